"""A run that is stopped or killed anywhere goes on to the same bits."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError, DataError, FormatError
from elman.formats import safetensors
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.reports import StepReport
from elman.train.run import resume, train
from elman.train.stopping import Stopped

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


def test_a_run_by_the_clock_goes_on_with_the_time_that_is_left(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    config = small(steps=None, minutes=0.5 / 60)
    with pytest.raises(Stopped):
        train(config, folder, listen=stop_at(2))
    outcome = resume(folder)
    assert outcome.steps > 2
    assert 0.5 <= outcome.seconds < 5


def test_given_settings_must_be_the_runs_own(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stopped):
        train(small(), folder, listen=stop_at(2))
    with pytest.raises(ConfigError, match="`hidden` is 12 there and 13 was asked for"):
        resume(folder, given={"hidden": 13})
    resume(folder, given={"hidden": 12})


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


def test_a_damaged_checkpoint_is_refused(small: Small, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stopped):
        train(small(), folder, listen=stop_at(2))
    whole = folder.checkpoint.read_bytes()
    folder.checkpoint.write_bytes(whole[:-7])
    with pytest.raises(FormatError, match=r"checkpoint\.safetensors"):
        resume(folder)
    safetensors.save(folder.checkpoint, {"model.x": np.zeros(3, np.float32)})
    with pytest.raises(FormatError, match="not a checkpoint"):
        resume(folder)
