"""A text and settings small enough that a run takes a moment."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.train import loop
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.run import train
from elman.train.stopping import Stopped

VERSE = "the quick brown fox jumps over the lazy dog, and the dog sleeps on.\n"
USUAL: dict[str, Any] = {"hidden": 12, "batch": 3, "chunk": 7, "steps": 24, "validations": 4, "threads": 1}


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "verse.txt"
    path.write_text(VERSE * 20, encoding="utf-8")
    return path


class Clock:
    """In the place of the loop's own: every look at it takes a hundredth of a second, and nothing else does."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(loop, "perf_counter", found)
    return found


@pytest.fixture
def small(text_file: Path) -> Callable[..., Config]:
    """`small(steps=…, …)`: settings for a run on the verse."""

    def make(**settings: Any) -> Config:
        return Config.of("text", str(text_file), **(USUAL | settings))

    return make


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped, and the same one stopped after step 14, with checkpoints of steps 12 and 14."""
    place = tmp_path_factory.mktemp("runs")
    (place / "verse.txt").write_text(VERSE * 20)
    config = config_of(place)
    train(config, RunFolder(place / "whole"))
    with pytest.raises(Stopped):
        train(
            config,
            RunFolder(place / "half"),
            listen=lambda report: signal.raise_signal(signal.SIGINT) if report.step == 14 else None,
        )
    return place


@pytest.fixture
def half(runs: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(runs / "half", tmp_path / "half"))


@pytest.fixture
def whole(runs: Path) -> RunFolder:
    return RunFolder(runs / "whole")


@pytest.fixture
def same(runs: Path) -> Config:
    """The settings of these runs."""
    return config_of(runs)


def config_of(place: Path) -> Config:
    return Config.of("text", str(place / "verse.txt"), **USUAL)
