"""`elman train text` and `elman sample`: what they do, and one test for each way in which they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL, Program


def test_train_then_sample(elman: Program, verse: Path) -> None:
    trained = elman("train", "text", verse, *SMALL)
    assert trained.status == 0
    assert "bits per character on the held-out part" in trained.out
    assert "elman sample runs/verse-lstm" in trained.err
    assert trained.err.count("held out") == 3
    written = elman("sample", "runs/verse-lstm", "--prompt", "the ", "--length", 30)
    assert written.status == 0
    assert written.err == ""
    assert written.out.startswith("the ")
    assert len(written.out) == len("the ") + 30 + 1
    assert elman("sample", "runs/verse-lstm/model.safetensors", "--prompt", "the ", "--length", 30).out == written.out
    other = elman("sample", "runs/verse-lstm", "--prompt", "the ", "--length", 30, "--seed", 1)
    assert other.out != written.out
    assert len(elman("sample", "runs/verse-lstm", "--length", 30).out) == 31


def test_json(elman: Program, verse: Path) -> None:
    trained = elman("train", "text", verse, *SMALL, "--cell", "gru", "--run", "here", "--json")
    outcome = json.loads(trained.out)
    assert outcome["cell"] == "gru"
    assert outcome["steps"] == 12
    assert outcome["run"] == "here"
    v = len(set(verse.read_text()))
    assert outcome["parameters"] == 3 * (12 * v + 12 * 12 + 12) + 12 + v * 13
    written = json.loads(elman("sample", "here", "--prompt", "fox", "--length", 9, "--json").out)
    assert (written["cell"], written["prompt"], len(written["text"])) == ("gru", "fox", 9)


CELL = """
from elman import cell, tanh


@cell(states="h")
def mine(x, h, W, U, b):
    return tanh(W @ x + U @ h + b)
"""


def test_own_cell(elman: Program, verse: Path, tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(CELL)
    assert elman("train", "text", verse, *SMALL, "--cell", "cells.py:mine").status == 0
    (tmp_path / "cells.py").unlink()
    assert len(elman("sample", "runs/verse-mine", "--length", 5).out) == 6


def test_bytes(elman: Program, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(bytes([0xE2, 0x82, 0xAC, 0xFF]) * 300)
    assert elman("train", "text", "noise", *SMALL, "--bytes").status == 0
    written = elman("sample", "runs/noise-lstm", "--prompt", "€", "--length", 40)
    assert written.status == 0
    assert written.out.startswith("€")


def test_resume_and_overwrite(elman: Program, verse: Path) -> None:
    assert elman("train", "text", verse, *SMALL).status == 0
    refused = elman("train", "text", verse, *SMALL)
    assert refused.status == 1
    assert refused.err == (
        "elman: runs/verse-lstm is not empty: continue its run with --resume, begin anew with --overwrite, "
        "or choose another folder with --run\n"
    )
    assert elman("train", "text", verse, *SMALL, "--resume").status == 0
    assert elman("train", "text", "--run", "runs/verse-lstm", "--resume").status == 0
    assert elman("train", "text", verse, *SMALL, "--overwrite").status == 0


REFUSED = [
    (("train", "text", "missing.txt"), 1, "missing.txt: there is no such file"),
    (("train", "text", "empty.txt"), 1, "empty.txt: the file is empty"),
    (("train", "text", "folder"), 1, "folder: a file of text expected, got a folder"),
    (("train", "text", "latin.txt"), 1, "or set --bytes to read it as bytes"),
    (("train", "text", "short.txt"), 1, "or a smaller --batch"),
    (("train", "text"), 1, "name a FILE, or train on the text that ships with CPython with --demo"),
    (("train", "text", "--resume"), 1, "name its folder with --run, or the FILE that it reads"),
    (("train", "text", "verse.txt", "--minutes", "inf"), 1, "--minutes must be above 0 and finite, got inf"),
    (("train", "text", "verse.txt", "--demo"), 1, "leave out verse.txt, or --demo"),
    (("train", "text", "verse.txt", "--cell", "lstn"), 1, "unknown cell 'lstn'; built in: elman, "),
    (("train", "text", "verse.txt", "--cell", "leaky_elman"), 1, "takes the inputs x, dt"),
    (("train", "text", "verse.txt", "--cell", "no.py:mine"), 1, "there is no file no.py"),
    (("train", "text", "verse.txt", "--hidden", "0"), 1, "--hidden must be at least 1 and below 536,870,912, got 0"),
    (("train", "text", "verse.txt", "--hidden", "many"), 2, "--hidden many: expected a whole number"),
    (("train", "text", "verse.txt", "--hiden", "9"), 2, "--hidden"),
    (("train", "text", "verse.txt", "--run", "full"), 1, "full is not empty"),
    (("train", "text", "verse.txt", "--run", "verse.txt"), 1, "a folder for the run expected, got a file"),
    (("train", "text", "verse.txt", "--run", "nowhere", "--resume"), 1, "nowhere: no run to resume"),
    (("train", "text", "verse.txt", "--resume", "--overwrite"), 1, "choose one"),
    (("train", "music"), 2, "music"),
    (("sample", "nowhere"), 1, "nowhere: there is no such file"),
    (("sample", "full"), 1, "no model.safetensors in this folder"),
    (("sample", "latin.txt"), 1, "latin.txt"),
    (("sample",), 2, "RUN"),
    (("nosuch",), 2, "nosuch"),
]


@pytest.mark.parametrize(
    ("arguments", "status", "message"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_refused(
    elman: Program, verse: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    (tmp_path / "latin.txt").write_bytes("größer".encode("latin-1") * 50)
    (tmp_path / "short.txt").write_text("too short, this")
    ended = elman(*arguments)
    assert ended.status == status
    assert ended.out == ""
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("elman: ")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def trained(elman: Program, verse: Path) -> Path:
    assert elman("train", "text", verse, *SMALL, "--run", "run").status == 0
    return Path("run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prompt", "the ß"), "character 'ß' (U+00DF) at position 4 is not among the 30 characters"),
        (("--prompt", ""), "a prompt of at least one token"),
        (("--temperature", "-1"), "temperature must be 0 or above"),
        (("--tree",), "--tree and --svg show the hypotheses of a beam: add --strategy beam"),
        (("--strategy", "beam", "--svg", "nowhere/tree.svg"), "--svg nowhere/tree.svg: there is no folder nowhere"),
        (("--grammar", "missing.ebnf"), "elman: missing.ebnf: No such file or directory"),
        (("--length", "-1"), "--length must be at least 0, got -1"),
    ],
)
def test_refused_samples(elman: Program, trained: Path, options: tuple[str, ...], message: str) -> None:
    ended = elman("sample", trained, *options)
    assert (ended.status, ended.out) == (1, "")
    assert message in ended.err


def test_corrupt_files(elman: Program, trained: Path, verse: Path) -> None:
    for name, command in (
        ("model.safetensors", ("sample", trained)),
        ("config.toml", ("train", "text", verse, "--run", trained, "--resume")),
    ):
        path = trained / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        ended = elman(*command)
        path.write_bytes(whole)
        assert ended.status == 1
        assert name in ended.err
        assert ended.err.count("\n") == 1


def test_ctrl_c_leaves_a_run_that_goes_on(elman: Program, verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.cli.progress import ProgressLine

    show = ProgressLine.__call__

    def press(self: ProgressLine, report: object) -> None:
        show(self, report)  # type: ignore[arg-type]
        if report.step == 5:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressLine, "__call__", press)
        stopped = elman("train", "text", verse, *SMALL, "--json")
    assert (stopped.status, stopped.out) == (130, "")
    assert "stopped after step 5; --resume continues" in stopped.err
    resumed = elman("train", "text", verse, *SMALL, "--json", "--resume")
    whole = elman("train", "text", verse, *SMALL, "--json", "--run", "whole")
    assert json.loads(resumed.out)["bits_per_character"] == json.loads(whole.out)["bits_per_character"]


def program(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "elman", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


def test_sigterm_in_a_process_of_its_own(tmp_path: Path, verse: Path) -> None:
    run = tmp_path / "run"
    process = program("train", "text", verse, "--hidden", 8, "--minutes", 5, "--threads", 1, "--run", run)
    deadline = time.monotonic() + 600
    while not (run / "metrics.jsonl").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 143, err
    assert "--resume continues" in err
    assert (run / "checkpoint.safetensors").exists()


def test_a_reader_that_leaves_is_no_error(trained: Path) -> None:
    process = program("sample", trained, "--length", 100_000)
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(10)) == 10
    process.stdout.close()
    assert process.wait(timeout=600) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_sampling_brings_in_no_torch(trained: Path) -> None:
    code = (
        "import sys\n"
        "from elman.cli import main\n"
        f"status = main(['sample', {str(trained)!r}, '--length', '5'])\n"
        "print(status, [name for name in ('torch', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "0 []"
