"""What may happen to a run from outside: kills, full disks, damaged files, two processes, signals."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.errors import ConfigError, SaveError
from elman.train import lock
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.run import resume, train
from elman.train.stopping import Stopped, handled, interrupt, stop_requests
from tests.train.test_resume import kill_at, remains

Small = Callable[..., Config]


def test_the_next_start_clears_what_killed_processes_left(half: RunFolder) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, own = (half.path / f".checkpoint.safetensors.{pid}.0a1b2c3d.tmp" for pid in (ended.pid, os.getpid()))
    model = half.path / f".model.safetensors.{ended.pid}.0a1b2c3d.tmp"
    living = half.path / f".checkpoint.safetensors.{os.getppid()}.0a1b2c3d.tmp"
    mine = half.path / ".notes.txt.1.0a1b2c3d.tmp"
    for path in (dead, own, model, living, mine):
        path.touch()
    resume(half)
    assert [path.exists() for path in (dead, own, model, living, mine)] == [False, False, False, True, True]


def test_a_folder_with_leftovers_alone_is_free(small: Small, tmp_path: Path) -> None:
    """A process was killed while it wrote its very first file."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    with folder.locked():
        (folder.path / f".config.toml.{os.getpid()}.0a1b2c3d.tmp").touch()
    train(small(steps=1), folder)


CHILD = """
import sys
from pathlib import Path
from elman.train.folder import RunFolder
with RunFolder(sys.argv[1]).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_a_folder(small: Small, half: RunFolder) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(half.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "locked\n"
    before = half.metrics.read_bytes()
    message = (
        rf"half: process {other.pid} is training there: wait until it ends, stop it \(kill {other.pid}\), or choose"
    )
    for again in (lambda: resume(half), lambda: train(small(), half), lambda: train(small(), half, overwrite=True)):
        with pytest.raises(ConfigError, match=message):
            again()
    assert half.metrics.read_bytes() == before
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    resume(half)


def test_two_runs_of_one_process_are_two(half: RunFolder) -> None:
    with half.locked(), pytest.raises(ConfigError, match=f"process {os.getpid()} is training there"):
        resume(half)


def test_a_folder_that_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be locked: No such file or directory"), lock.locked(tmp_path / "a/b"):
        pass

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with pytest.raises(ConfigError, match="No locks available; choose a folder on a local disk"):  # noqa: SIM117
        with lock.locked(tmp_path / "lock"):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_tells_its_number(same: Config, whole: RunFolder, tmp_path: Path, number: int) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stopped, match="stopped after step 5; `resume` continues") as stopped:
        train(same, folder, listen=lambda report: signal.raise_signal(number) if report.step == 5 else None)
    assert stopped.value.signal == number
    resume(folder)
    assert remains(folder) == remains(whole)


def test_a_second_signal_interrupts_at_once() -> None:
    with stop_requests() as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.signal == signal.SIGTERM
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGTERM)
    assert stopped.value.signal == signal.SIGTERM


def test_what_a_process_was_told_to_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled(interrupt):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace", "write", "append"])
def test_a_full_disk_says_what_is_lost_and_how_to_go_on(
    same: Config, whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    folder = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:

        def fill(report: Any) -> None:
            if report.step == 15:
                if call == "fsync":
                    patch.setattr(os, "fsync", full)
                elif call == "replace":
                    patch.setattr(Path, "replace", full)
                elif call == "write":
                    patch.setattr(RunFolder, "write_model", full)
                else:
                    patch.setattr(RunFolder, "append_metrics", full)

        with pytest.raises(SaveError) as refused:
            train(same, folder, listen=fill)
    step = 16 if call == "append" else 18
    assert str(refused.value) == (
        f"{folder.path}: cannot be written: No space left on device; the checkpoint of step 12 is whole, lost are the "
        f"{step - 12} steps after it; make room on the disk, then continue with `resume`"
    )
    assert not list(folder.path.glob(".*.tmp"))
    resume(folder)
    assert remains(folder) == remains(whole)


def test_a_full_disk_before_the_first_checkpoint(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFolder, "write_checkpoint", full)
    with pytest.raises(SaveError, match="no checkpoint was written before step 6, so all of it is lost; make room"):
        train(small(), RunFolder(tmp_path / "run"))


def test_a_full_disk_before_anything_else(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = r"config\.toml: cannot be written: No space left on device; nothing was trained; mend that"
        with pytest.raises(SaveError, match=message):
            train(small(), folder)
    assert [path.name for path in folder.path.iterdir()] == [".lock"]
    train(small(steps=1), folder)


def test_another_failure_to_write(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(RunFolder, "append_metrics", gone)
    with pytest.raises(SaveError, match=r"No such file or directory; .*; mend that, then continue"):
        train(small(), RunFolder(tmp_path / "run"))


def test_kills_at_many_points_end_in_the_same_bits(same: Config, whole: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "killed")
    begin: Callable[..., Any] = lambda listen: train(same, folder, listen=listen)  # noqa: E731
    for step in (1, 3, 7, 8, 13, 20):
        with pytest.raises(Exception, match=r"^$"):
            begin(kill_at(step))
        begin = lambda listen: resume(folder, listen=listen)  # noqa: E731
    resume(folder)
    assert remains(folder) == remains(whole)
