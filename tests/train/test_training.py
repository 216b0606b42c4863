"""A run: what it learns, what it leaves, what it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from elman.errors import ConfigError, DataError, TrainingDiverged
from elman.formats import model_file
from elman.train import config as config_file
from elman.train import loop
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.reports import StepReport
from elman.train.run import train
from tests.train.conftest import Clock

Small = Callable[..., Config]


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_learns_a_verse(small: Small, tmp_path: Path, cell: str) -> None:
    """Entropy of the verse given enough past is 0; single letters alone leave more than 4 bits."""
    reports: list[StepReport] = []
    config = small(cell=cell, hidden=32, steps=150, batch=4, chunk=20, learning_rate=1e-2)
    outcome = train(config, RunFolder(tmp_path / "run"), listen=reports.append)
    assert outcome.measures["bits_per_character"] < 1.0
    assert reports[0].loss > 4
    assert reports[-1].loss < 1.5
    assert outcome.steps == len(reports) == 150


def test_bfloat16_learns_as_well(small: Small, tmp_path: Path) -> None:
    """Factors in bfloat16 change the bits of a run and next to nothing of what it learns."""
    settings: dict[str, Any] = {"hidden": 32, "steps": 150, "batch": 4, "chunk": 20, "learning_rate": 1e-2}
    outcomes = [
        train(small(precision=precision, **settings), RunFolder(tmp_path / precision))
        for precision in ("float32", "bfloat16")
    ]
    exact, rounded = (outcome.measures["bits_per_character"] for outcome in outcomes)
    assert exact != rounded
    assert abs(exact - rounded) < 0.1


def test_what_a_run_leaves(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run")
    outcome = train(small(seed=5), folder)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == [
        ".lock",
        "checkpoint.previous.safetensors",
        "checkpoint.safetensors",
        "config.toml",
        "metrics.jsonl",
        "model.safetensors",
    ]
    written = config_file.read(folder.config).by_name()
    assert len(written.pop("digest")) == len(written.pop("equations")) == 64
    assert written.items() <= small(seed=5).by_name().items()
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [6, 12, 18, 24]
    assert [line["step"] for line in lines if line["kind"] == "training"] == list(range(1, 25))
    model = model_file.load(folder.model)
    assert model.extra["bits_per_character"] == outcome.measures["bits_per_character"]
    assert model.extra["step"] == outcome.step_of_best


def test_the_model_file_is_the_best_not_the_last(tmp_path: Path) -> None:
    """A text whose end is unlike its beginning: what is learned of the beginning soon hurts."""
    path = tmp_path / "turn.txt"
    path.write_text("ab" * 400 + "ba" * 5 + "aabb" * 60)
    folder = RunFolder(tmp_path / "run")
    config = Config.of(
        "text",
        str(path),
        hidden=12,
        batch=3,
        chunk=7,
        steps=120,
        validations=30,
        validation=0.2,
        learning_rate=3e-2,
        threads=1,
    )
    outcome = train(config, folder)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    bits = {line["step"]: line["bits_per_character"] for line in lines if line["kind"] == "validation"}
    assert outcome.measures["bits_per_character"] == min(bits.values())
    assert outcome.step_of_best < 120
    assert bits[outcome.step_of_best] < bits[120]
    assert model_file.load(folder.model).extra["step"] == outcome.step_of_best


def test_the_seed_decides(small: Small, tmp_path: Path) -> None:
    runs = [RunFolder(tmp_path / name) for name in "abc"]
    for folder, seed in zip(runs, (1, 1, 2), strict=True):
        train(small(seed=seed), folder)
    a, b, c = (folder.model.read_bytes() for folder in runs)
    assert a == b
    assert a != c


def test_the_number_of_threads_is_kept_and_given_back(small: Small, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    folder = RunFolder(tmp_path / "run")
    train(small(threads=1), folder, listen=lambda report: seen.append(torch.get_num_threads()))
    assert set(seen) == {1}
    assert torch.get_num_threads() == before
    other = RunFolder(tmp_path / "other")
    train(small(threads=0, steps=1), other)
    assert config_file.read(other.config).budget.threads == before


def test_a_run_by_the_clock_tries_numbers_of_threads(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    before, take, taken = torch.get_num_threads(), torch.set_num_threads, []

    def watch(count: int) -> None:
        taken.append(count)
        take(count)

    take(2)
    monkeypatch.setattr(torch, "set_num_threads", watch)
    folder = RunFolder(tmp_path / "run")
    try:
        train(small(steps=None, minutes=2 / 60, threads=0), folder)
        assert torch.get_num_threads() == 2
    finally:
        take(before)
    assert set(taken) == {1, 2}
    assert config_file.read(folder.config).budget.threads == 0


def test_a_clock_ends_a_run(small: Small, tmp_path: Path, clock: Clock) -> None:
    outcome = train(small(steps=None, minutes=0.3 / 60), RunFolder(tmp_path / "run"))
    assert 0.3 <= outcome.seconds < 0.4  # by a clock that goes on by looks at it
    assert outcome.step_of_best > 0


def test_a_slow_validation_is_not_the_last_word(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The clock may run out while an earlier mark is measured; the end is measured all the same."""
    measure = loop.measure

    def slowly(*arguments: Any) -> dict[str, float]:
        clock.now += 0.2
        return measure(*arguments)

    monkeypatch.setattr(loop, "measure", slowly)
    folder = RunFolder(tmp_path / "run")
    outcome = train(small(steps=None, minutes=0.3 / 60, validations=2), folder)
    last = json.loads(folder.metrics.read_text().splitlines()[-1])
    assert (last["kind"], last["step"]) == ("validation", outcome.steps)


def test_divergence_is_told(small: Small, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="try a lower `learning_rate`"):
        train(small(learning_rate=1e38, warmup=0.0), RunFolder(tmp_path / "run"))


def test_a_model_that_diverges_with_its_last_step_is_not_kept(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "measure", lambda *arguments: {"bits_per_character": math.nan})
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingDiverged, match="the loss is nan after step 24: try a lower `learning_rate`"):
        train(small(validations=1), folder)
    assert not folder.model.exists()


def test_a_model_beyond_memory_is_refused(small: Small, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"`hidden` 100000000 in `layers` 1: training takes at least 596,046,685\.1 GiB"
    ):
        train(small(hidden=10**8), RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_in_it(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    note = folder.path / "note.txt"
    note.write_text("mine")
    with pytest.raises(ConfigError, match=r"is not empty.*`resume`.*`overwrite`"):
        train(small(), folder)
    train(small(), folder, overwrite=True)
    first = folder.model.read_bytes()
    train(small(seed=3), folder, overwrite=True)
    assert folder.model.read_bytes() != first
    assert note.read_text() == "mine"
    steps = [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()]
    assert steps.count(1) == 1


def test_a_file_where_the_folder_should_be(small: Small, text_file: Path) -> None:
    with pytest.raises(ConfigError, match="got a file"):
        train(small(), RunFolder(text_file))


def test_refusals_leave_no_folder(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for config, error in [
        (small(batch=5000), DataError),
        (small(cell="nosuch"), ConfigError),
        (small(sizes={"Q": 3}), ConfigError),
    ]:
        with pytest.raises(error):
            train(config, folder)
    assert not folder.path.exists()


def test_a_cell_with_more_inputs_is_refused(small: Small, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaky_elman takes the inputs x, dt"):
        train(small(cell="leaky_elman"), RunFolder(tmp_path / "run"))


def test_bytes(tmp_path: Path) -> None:
    file = tmp_path / "noise"
    file.write_bytes(bytes(range(256)) * 4)
    config = Config.of("text", str(file), bytes=True, hidden=4, batch=2, chunk=5, steps=2, threads=1)
    assert list(train(config, RunFolder(tmp_path / "run")).measures) == ["bits_per_byte"]


def test_too_short_for_its_streams(small: Small, tmp_path: Path, text_file: Path) -> None:
    text_file.write_text("abcdefgh")
    with pytest.raises(DataError, match="smaller `batch`"):
        train(small(validation=0.5, batch=4), RunFolder(tmp_path / "run"))
