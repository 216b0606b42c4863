"""Runs on the command line that go on, end early, or must not begin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elman.cli.arguments import all_options
from elman.cli.dashes import named, with_dashes
from elman.runtime.room import total_memory
from elman.train.folder import RunFolder
from tests.cli.conftest import SMALL, Program


@pytest.fixture
def run(elman: Program, verse: Path) -> Path:
    assert elman("train", "text", verse, *SMALL, "--run", "run").status == 0
    return Path("run")


@pytest.mark.parametrize(
    "option", [("--hidden", "256"), ("--hidden=256",), ("--learning_rate=0.008", "--hidden=256")], ids=" ".join
)
def test_a_default_that_is_given_is_given(elman: Program, run: Path, option: tuple[str, ...]) -> None:
    ended = elman("train", "text", "--run", run, "--resume", *option)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "elman: run: a resumed run keeps its settings; --hidden is 12 there and 256 was asked for; leave it out, or "
        "start another run\n"
    )


@pytest.mark.parametrize("option", [("--bytes",), ("--chunk", 64), ("--precision", "bfloat16")], ids=str)
def test_other_settings_that_are_given_are_told(elman: Program, run: Path, option: tuple[object, ...]) -> None:
    ended = elman("train", "text", "--run", run, "--resume", *option)
    assert ended.status == 1
    assert f"{option[0]} is " in ended.err


def test_the_length_is_honoured(elman: Program, run: Path) -> None:
    longer = elman("train", "text", "--run", run, "--resume", "--steps=15", "--json")
    assert json.loads(longer.out)["steps"] == 15
    refused = elman("train", "text", "--run", run, "--resume", "--steps", 10)
    assert refused.status == 1
    assert "15 steps" in refused.err
    assert "--steps and --minutes must leave something to do" in refused.err


def test_the_demo_is_another_text(elman: Program, run: Path) -> None:
    ended = elman("train", "text", "--demo", "--run", run, "--resume")
    assert ended.status == 1
    assert "the data have changed since the run began" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "the name of FILE is empty: is a variable unset? to train on CPython's text, say --demo"),
        (("", "--resume", "--run", "run"), "the name of FILE is empty"),
        (("verse.txt", "--run", ""), "the name of the run's folder is empty: is a variable unset?"),
        (("verse.txt", "--hidden", 10**9), "--hidden must be at least 1 and below 536,870,912, got 1000000000"),
        (("verse.txt", "--hidden", 10**8), "--hidden 100000000 in --layers 1: training takes at least 596,0"),
        (("verse.txt", "--layers", 10**9), "--hidden 256 in --layers 1000000000: training takes at least"),
        (("verse.txt", "--sizes", "Q", 3), "lstm: sizes names 'Q'; its own letters are none"),
        (("verse.txt", "--cell", "projected_lstm"), "projected_lstm: the size P of h is not given"),
    ],
    ids=str,
)
def test_refused(elman: Program, verse: Path, tmp_path: Path, arguments: tuple[object, ...], message: str) -> None:
    ended = elman("train", "text", *arguments)
    assert (ended.status, ended.out) == (1, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["verse.txt"]


def test_sizes_of_a_cell(elman: Program, verse: Path) -> None:
    trained = elman("train", "text", verse, *SMALL, "--cell", "projected_lstm", "--sizes", "P", 5, "--json")
    v = len(set(verse.read_text()))
    assert json.loads(trained.out)["parameters"] == 4 * (12 * v + 12 * 5 + 12) + 5 * 12 + v * 6


def test_the_memory_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("elman.runtime.room._LIMITS", ((limit, tmp_path / "used"),))
    whole = total_memory()
    assert whole is not None
    limit.write_text("max\n")
    assert total_memory() == whole
    limit.write_text("1048576\n")
    assert total_memory() == 1 << 20


CELL = """
{first}
from elman import cell, tanh

print("hello")

@cell(states="h")
def mine(x, h, W, U, b):
    return tanh(W @ x + U @ h + b)
"""


def test_a_cell_s_file_cannot_end_the_program_in_peace(elman: Program, verse: Path, tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(CELL.format(first="import sys; sys.exit(0)"))
    ended = elman("train", "text", verse, *SMALL, "--cell", "cells.py:mine")
    assert (ended.status, ended.out) == (1, "")
    assert "cells.py fails when it is run: SystemExit: 0" in ended.err
    assert not (tmp_path / "runs").exists()


def test_what_a_cell_s_file_prints_does_not_spoil_json(elman: Program, verse: Path, tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(CELL.format(first=""))
    ended = elman("train", "text", verse, *SMALL, "--cell", "cells.py:mine", "--json")
    assert json.loads(ended.out)["cell"] == "mine"
    assert "hello\n" in ended.err


def test_a_configuration_that_is_not_utf8(elman: Program, run: Path) -> None:
    config = run / "config.toml"
    config.write_bytes(config.read_bytes().replace(b"verse", b"v\xe9rse"))
    ended = elman("train", "text", "--run", run, "--resume")
    assert (ended.status, ended.out) == (1, "")
    assert "run/config.toml: not the configuration of a run: not UTF-8 at byte" in ended.err


def test_a_configuration_of_other_kinds(elman: Program, run: Path) -> None:
    config = run / "config.toml"
    config.write_text(config.read_text().replace("hidden = 12", "hidden = 'many'"))
    ended = elman("train", "text", "--run", run, "--resume")
    assert ended.status == 1
    assert ended.err.endswith("not the configuration of a run: Expected 'int', got 'str' - at '$.network.hidden'\n")


def test_a_run_of_an_earlier_version(elman: Program, run: Path) -> None:
    (run / "config.toml").write_text('file = "verse.txt"\ncell = "lstm"\nhidden = 12\n')
    ended = elman("train", "text", "--run", run, "--resume")
    assert ended.status == 1
    assert "was it written by an earlier version? start another run" in ended.err


def test_a_damaged_checkpoint_is_told(elman: Program, run: Path) -> None:
    data = bytearray((run / "checkpoint.safetensors").read_bytes())
    data[-100] ^= 16
    (run / "checkpoint.safetensors").write_bytes(data)
    ended = elman("train", "text", "--run", run, "--resume")
    assert ended.status == 0
    line = (
        "run/checkpoint.safetensors: its checksum is wrong: the file was damaged or changed; the checkpoint before it"
    )
    assert line in ended.err


def test_a_full_disk(elman: Program, verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_checkpoint", full)
        ended = elman("train", "text", verse, *SMALL, "--run", "run")
    assert (ended.status, ended.out) == (1, "")
    assert "run: cannot be written: No space left on device; no checkpoint was written before step 4" in ended.err
    assert ended.err.endswith("make room on the disk, then continue with --resume\n")
    assert elman("train", "text", verse, *SMALL, "--run", "run", "--resume").status == 0


def program(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "elman", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


SLOW = """
import os, signal, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), {number})
        return None
sys.meta_path.insert(0, Watch())
from elman.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("elman.cli.arguments", signal.SIGTERM),
        ("elman.cli.arguments", signal.SIGINT),
        ("elman.cli.arguments", signal.SIGHUP),
        ("torch", signal.SIGTERM),
        ("elman.train.loop", signal.SIGTERM),
    ],
)
def test_a_signal_in_the_first_moments(verse: Path, tmp_path: Path, number: int, module: str) -> None:
    code = SLOW.format(module=module, number=int(number))
    command = [sys.executable, "-c", code, "train", "text", str(verse), "--run", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "", "elman: interrupted\n")
    assert not (tmp_path / "run").exists()


def test_a_closed_terminal_saves(verse: Path, tmp_path: Path) -> None:
    """The terminal of an ssh session goes away: a signal comes, and nothing can be written there any more."""
    run = tmp_path / "run"
    ours, theirs = os.openpty()
    process = program(
        "train", "text", verse, "--hidden", 8, "--minutes", 5, "--threads", 1, "--run", run, stderr=theirs
    )
    os.close(theirs)
    deadline = time.monotonic() + 600
    while not (run / "metrics.jsonl").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGHUP
    assert (run / "checkpoint.safetensors").exists()


def test_settings_and_options() -> None:
    message = with_dashes("`learning_rate` is `sizes` `r * U` `max` x", all_options())
    assert message == "--learning-rate is --sizes `r * U` `max` x"
    found = named(["train", "--learning_rate", "1", "--hidden=3", "-h", "--run", "a"])
    assert found == {"learning_rate", "hidden", "run"}
