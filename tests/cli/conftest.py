"""The program in this process: `elman("train", …)` gives exit status, output and talk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from elman.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


Program = Callable[..., Ended]


@pytest.fixture
def elman(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Run the program with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(int(status), out, err)

    return run


@pytest.fixture
def verse(tmp_path: Path) -> Path:
    path = tmp_path / "verse.txt"
    path.write_text("the quick brown fox jumps over the lazy dog, and the dog sleeps on.\n" * 20)
    return path


SMALL = ("--hidden", 12, "--batch", 3, "--chunk", 7, "--steps", 12, "--validations", 3, "--threads", 1)
