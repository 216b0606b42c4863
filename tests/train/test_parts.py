"""The small parts of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from elman import cells
from elman.errors import ConfigError, EquationError
from elman.models import LanguageModel
from elman.train import config
from elman.train.cell_choice import find_cell, settled
from elman.train.config import TextConfig
from elman.train.data import demo_prose
from elman.train.evaluate import bits_per_character
from elman.train.schedule import Budget, learning_rate, passes
from elman.train.threads import FastestThreads


def test_budget_takes_what_comes_first() -> None:
    both = Budget(steps=100, seconds=10.0)
    assert both.progress(50, 1.0) == 0.5
    assert both.progress(10, 8.0) == 0.8
    assert both.progress(10, 80.0) == 1.0
    assert both.seconds_left(50, 1.0) == pytest.approx(1.0)
    assert both.seconds_left(0, 0.0) == math.inf


def test_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(p / 1000, 2.0, 0.1) for p in range(1001)]
    top = int(np.argmax(rates))
    assert 90 <= top <= 100
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert max(rates) <= 2.0
    assert learning_rate(0.0, 2.0, 0.0) == 2.0


@pytest.mark.parametrize(("steps", "times"), [(24, 4), (1000, 10), (7, 10), (1, 3)])
def test_marks_are_passed_once_each(steps: int, times: int) -> None:
    passed = [step for step in range(1, steps + 1) if passes((step - 1) / steps, step / steps, times)]
    assert len(passed) == min(steps, times)
    assert passed[-1] == steps


def total(seconds: Callable[[int, int], float], steps: int, most: int = 4) -> tuple[float, FastestThreads]:
    """Seconds of a run whose step i takes seconds(i, threads), and the choice at its end."""
    threads = FastestThreads(most)
    whole = 0.0
    for i in range(steps):
        taken = seconds(i, threads.next)
        threads.took(taken)
        whole += taken
    return whole, threads


def test_a_free_machine_gets_all_threads_at_little_cost() -> None:
    whole, threads = total(lambda i, n: 1 / n, 2000)
    assert threads.chosen == 4
    assert whole < 1.02 * 2000 / 4


def test_a_busy_machine_gets_one_thread_soon() -> None:
    """There every larger team is ten times slower than one thread."""
    whole, threads = total(lambda i, n: 1.0 if n == 1 else 10.0, 1000)
    assert threads.chosen == 1
    assert whole < 1.3 * 1000


def test_a_machine_that_becomes_free() -> None:
    whole, threads = total(lambda i, n: (1.0 if n == 1 else 10.0) if i < 1000 else 1 / n, 4000)
    assert threads.chosen == 4
    assert whole < 1.3 * 1000 + 0.5 * 3000


def test_equal_times_change_nothing() -> None:
    noise = np.random.default_rng(0).uniform(0.97, 1.03, 5000)
    _, threads = total(lambda i, n: noise[i], 5000)
    assert threads.chosen == 4


def test_one_thread_leaves_no_choice() -> None:
    _, threads = total(lambda i, n: float(n), 100, most=1)
    assert threads.chosen == threads.next == 1


def test_config_goes_to_toml_and_back(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for each in (
        TextConfig(file=""),
        TextConfig(file='odd "name"\\ with\ttab, \x7f and 🙂', cell="a\nb.py:c", steps=3, minutes=0.25, bytes=True),
        TextConfig(file="", clip=math.inf, checkpoint_seconds=math.inf),
    ):
        config.write(path, each)
        assert config.read(path) == each


@pytest.mark.parametrize("text", ["hidden = 'many'", "hidden = 9", "nosuch = 1", "hidden = ", "hidden = 0", "\x00"])
def test_a_damaged_config_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        config.read(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "--hidden must be at least 1, got 0"),
        ({"dropout": 1.0}, "--dropout must be from 0 to less than 1"),
        ({"validation": 0.0}, "--validation must be between 0 and 1"),
        ({"learning_rate": -1.0}, "--learning-rate must be above 0"),
        ({"learning_rate": math.nan}, "--learning-rate must be above 0 and finite, got nan"),
        ({"learning_rate": math.inf}, "--learning-rate must be above 0 and finite, got inf"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"minutes": 0.0}, "--minutes must be above 0"),
        ({"minutes": math.inf}, "--minutes must be above 0 and finite, got inf"),
        ({"seed": -1}, "--seed must be at least 0"),
    ],
)
def test_ranges(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.check(TextConfig(file="", **settings))  # type: ignore[arg-type]


def test_minutes_have_a_default_only_without_steps() -> None:
    assert TextConfig(file="").seconds == 300
    assert TextConfig(file="", steps=5).seconds is None
    assert TextConfig(file="", steps=5, minutes=2).seconds == 120


CELLS = """
from elman import cell, tanh

@cell(states="h")
def mine(x, h, W, U, b):
    return tanh(W @ x + U @ h + b)

number = 3
"""


def test_a_cell_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells.py").write_text(CELLS)
    monkeypatch.chdir(tmp_path)
    assert find_cell("cells.py:mine").name == "mine"
    assert settled("cells.py:mine") == f"{tmp_path.resolve()}/cells.py:mine"
    assert settled("lstm") == "lstm"
    assert find_cell("lstm") == cells.get("lstm")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("nosuch", "unknown cell 'nosuch'; built in: elman"),
        ("missing.py:mine", "no file missing.py"),
        ("cells.py", "write cells.py:name"),
        ("cells.py:other", "other is not there; cells in cells.py: mine"),
        ("cells.py:number", "number is no cell"),
        ("broken.py:mine", "fails when it is run: ZeroDivisionError"),
        ("cells.txt:mine", "must end in .py"),
    ],
)
def test_cells_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, message: str) -> None:
    (tmp_path / "cells.py").write_text(CELLS)
    (tmp_path / "cells.txt").write_text(CELLS)
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        find_cell(choice)


def test_refused_equations_keep_their_message(tmp_path: Path) -> None:
    file = tmp_path / "cells.py"
    file.write_text(CELLS.replace("tanh(W", "max(W"))
    with pytest.raises(EquationError):
        find_cell(f"{file}:mine")


@pytest.mark.parametrize("count", [2, 3, 700, 4096, 10_001])
def test_bits_per_character(count: int) -> None:
    """Against one pass over the text. Stretches begin without a past: that costs a little where there are several."""
    torch.manual_seed(0)
    model = LanguageModel(cells.get("gru"), 5, 8, dropout=0.5)
    tokens = np.random.default_rng(0).integers(0, 5, count)
    model.eval()
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(tokens[:-1, None]))
    nats = torch.nn.functional.cross_entropy(logits[:, 0], torch.from_numpy(tokens[1:])).item()
    model.train()
    found = bits_per_character(model, tokens)
    assert found == pytest.approx(nats / math.log(2), rel=1e-6 if count < 2 * 2048 else 1e-3)
    assert model.training


def test_the_demo_text_has_no_drawn_tables() -> None:
    text = demo_prose()
    lines = text.splitlines()
    assert len(text) > 100_000
    assert not [line for line in lines if line.lstrip().startswith(("|", "+-", "+=")) or " " * 12 in line]
