"""A run that is stopped or killed anywhere goes on to the same bits."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from elman.errors import ConfigError, DataError
from elman.formats import safetensors
from elman.train import config
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.reports import StepReport
from elman.train.run import resume, train
from elman.train.stopping import Stopped
from tests.train.conftest import Clock

Small = Callable[..., Config]


class Killed(Exception):
    """Stands for a process that ends without another word."""


def stop_at(step: int) -> Callable[[StepReport], None]:
    def listen(report: StepReport) -> None:
        if report.step == step:
            signal.raise_signal(signal.SIGINT)

    return listen


def kill_at(step: int) -> Callable[[StepReport], None]:
    def listen(report: StepReport) -> None:
        if report.step == step:
            raise Killed

    return listen


def remains(folder: RunFolder) -> tuple[Any, ...]:
    """Everything that a run leaves, but for what the clock says."""
    tensors, metadata = safetensors.load(folder.checkpoint)
    facts = json.loads(metadata["elman.checkpoint"])["facts"]
    for name in ("seconds", "validation_seconds"):
        facts["counters"].pop(name)
    facts.pop("metrics")  # a length in bytes; the lines hold times
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    for line in lines:
        line.pop("seconds")
    arrays = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in tensors.items()}
    return arrays, facts, lines, folder.model.read_bytes()


SETTINGS = [
    {"threads": 2},
    {"cell": "gru"},
    {"layers": 2, "dropout": 0.3},
    {"cell": "elman", "chunk": 50},
    {"cell": "slstm"},
    {"precision": "bfloat16"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(
    "interrupt", [stop_at(5), stop_at(12), kill_at(5), kill_at(17)], ids=["stop 5", "stop 12", "kill 5", "kill 17"]
)
def test_same_bits(
    small: Small, tmp_path: Path, settings: dict[str, Any], interrupt: Callable[[StepReport], None]
) -> None:
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    config = small(**settings)
    expected = train(config, whole)
    with pytest.raises((Stopped, Killed)):
        train(config, parted, listen=interrupt)
    outcome = resume(parted)
    assert remains(parted) == remains(whole)
    assert (outcome.steps, outcome.measures) == (expected.steps, expected.measures)


def test_stopped_again_and_again(small: Small, tmp_path: Path) -> None:
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train(small(), whole)
    with pytest.raises(Stopped):
        train(small(), parted, listen=stop_at(3))
    for step in (4, 9, 23):
        with pytest.raises(Stopped):
            resume(parted, listen=stop_at(step))
    resume(parted)
    assert remains(parted) == remains(whole)


def test_killed_before_the_first_checkpoint(small: Small, tmp_path: Path) -> None:
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train(small(), whole)
    with pytest.raises(Killed):
        train(small(), parted, listen=kill_at(2))
    assert not parted.checkpoint.exists()
    assert parted.metrics_size() > 0
    resume(parted)
    assert remains(parted) == remains(whole)


def test_signal_handlers_are_given_back(small: Small, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped:
        train(small(), RunFolder(tmp_path / "run"), listen=stop_at(1))
    assert stopped.value.signal == signal.SIGINT
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_ended_run_gives_its_outcome_again(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    outcome = train(small(), folder)
    before = remains(folder)
    again = resume(folder, listen=lambda report: pytest.fail("a step was taken"))
    assert again == outcome
    assert remains(folder) == before


def test_a_run_by_the_clock_goes_on_with_the_time_that_is_left(small: Small, tmp_path: Path, clock: Clock) -> None:
    folder = RunFolder(tmp_path / "run")
    config = small(steps=None, minutes=0.5 / 60)
    with pytest.raises(Stopped):
        train(config, folder, listen=stop_at(2))
    outcome = resume(folder)
    assert outcome.steps > 2
    assert 0.5 <= outcome.seconds < 0.6


KEPT = {
    "hidden": 256, "layers": 2, "cell": "gru", "dropout": 0.1, "sizes": {"P": 3}, "bytes": True, "validation": 0.2,
    "batch": 4, "chunk": 8, "learning_rate": 8e-4, "warmup": 0.1, "clip": 2.0, "precision": "bfloat16", "seed": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("how", ["given", "edited"])
def test_a_run_keeps_its_settings(half: RunFolder, same: Config, name: str, how: str) -> None:
    """Whether they are named again, defaults too, or changed in the file: both values are told."""
    value, own = KEPT[name], same.by_name()[name]
    given = {name: value} if how == "given" else {}
    if how == "edited":
        config.write(half.config, config.read(half.config).replaced({name: value}))
    before = half.checkpoint.read_bytes()
    message = rf"`{name}` is {re.escape(repr(own))} there and {re.escape(repr(value))} was asked for"
    with pytest.raises(ConfigError, match=message):
        resume(half, given=given)
    assert half.checkpoint.read_bytes() == before
    with pytest.raises(ConfigError, match="there is no setting `hiden`"):
        resume(half, given={"hiden": 3})


def test_settings_of_a_run_without_a_checkpoint_are_kept_too(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Killed):
        train(small(), folder, listen=kill_at(2))
    with pytest.raises(ConfigError, match="`hidden` is 12 there and 256 was asked for"):
        resume(folder, given={"hidden": 256})


def test_what_is_given_again_alike_changes_nothing(half: RunFolder, whole: RunFolder, same: Config) -> None:
    resume(half, given={name: value for name, value in same.by_name().items() if name not in ("digest", "equations")})
    assert remains(half) == remains(whole)


def test_the_length_of_a_run_may_change(half: RunFolder, same: Config) -> None:
    outcome = resume(half, given={"steps": 30, "validations": 5})
    assert outcome.steps == 30
    assert config.read(half.config).budget == msgspec.structs.replace(same.budget, steps=30, validations=5)
    validations = [json.loads(line) for line in half.metrics.read_text().splitlines()]
    assert [line["step"] for line in validations if line["kind"] == "validation"] == [6, 12, 18, 24, 30]
    longer = resume(half, given={"steps": 36})  # a run that has ended goes on
    assert longer.steps == 36
    rates = [line["learning_rate"] for line in map(json.loads, half.metrics.read_text().splitlines()) if "bits" in line]
    assert rates[-1] < 0.1 * max(rates)


def test_a_length_in_the_file_is_taken_as_well(half: RunFolder) -> None:
    config.write(half.config, config.read(half.config).replaced({"steps": 16}))
    assert resume(half).steps == 16


@pytest.mark.parametrize("given", [{"steps": 14}, {"steps": 3}, {"minutes": 1e-9}], ids=str)
def test_a_length_that_is_over_already_is_refused(half: RunFolder, given: dict[str, Any]) -> None:
    before = config.read(half.config)
    with pytest.raises(
        ConfigError, match=r"14 steps and 0.* minutes are done; `steps` and `minutes` must leave something"
    ):
        resume(half, given=given)
    assert config.read(half.config) == before


def test_the_number_of_threads_may_change(half: RunFolder) -> None:
    seen: list[int] = []
    resume(half, given={"threads": 2}, listen=lambda report: seen.append(torch.get_num_threads()))
    assert set(seen) == {2}


def test_a_text_that_was_moved_goes_on(half: RunFolder, whole: RunFolder, runs: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "verse.txt"
    moved.parent.mkdir()
    moved.write_bytes((runs / "verse.txt").read_bytes())
    config.write(half.config, config.read(half.config).replaced({"source": str(tmp_path / "gone.txt")}))
    with pytest.raises(DataError, match=r"gone\.txt: there is no such file"):
        resume(half)
    resume(half, given={"source": str(moved)})
    assert config.read(half.config).source == str(moved)
    assert half.model.read_bytes() == whole.model.read_bytes()


@pytest.mark.parametrize("source", [None, "other.txt"])
def test_another_text_is_refused(half: RunFolder, tmp_path: Path, source: str | None) -> None:
    (tmp_path / "other.txt").write_text("another text " * 99)
    with pytest.raises(DataError, match="the data have changed since the run began"):
        resume(half, given={"source": source and str(tmp_path / source)})


def test_a_cell_s_file_that_was_moved_goes_on(small: Small, tmp_path: Path) -> None:
    file, folder = tmp_path / "cells.py", RunFolder(tmp_path / "run")
    file.write_text(CELL.format(recurrent="U @ h"))
    with pytest.raises(Stopped):
        train(small(cell=f"{file}:mine"), folder, listen=stop_at(2))
    moved = file.rename(tmp_path / "moved.py")
    with pytest.raises(ConfigError, match=r"there is no file .*cells\.py"):
        resume(folder)
    resume(folder, given={"cell": f"{moved}:mine"})


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run to resume"):
        resume(RunFolder(tmp_path / "none"))


def test_a_changed_text_is_refused(small: Small, tmp_path: Path, text_file: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stopped):
        train(small(), folder, listen=stop_at(2))
    text_file.write_text(text_file.read_text().replace("fox", "cow"))
    with pytest.raises(DataError, match="have changed since the run began"):
        resume(folder)


CELL = """
from elman import cell, tanh

@cell(states="h")
def mine(x, h, W, U, b):
    return tanh(W @ x + {recurrent} + b)
"""


def test_changed_equations_are_refused(small: Small, tmp_path: Path) -> None:
    file, folder = tmp_path / "cells.py", RunFolder(tmp_path / "run")
    file.write_text(CELL.format(recurrent="U @ h"))
    with pytest.raises(Stopped):
        train(small(cell=f"{file}:mine"), folder, listen=stop_at(2))
    file.write_text(CELL.format(recurrent="tanh(U @ h)"))
    with pytest.raises(ConfigError, match="its equations have changed"):
        resume(folder)
