"""The error boundary, and what the program says about itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import elman as package
from elman import cli
from elman.cli.arguments import COMMANDS
from elman.cli.refusals import options
from elman.cli.status import ExitStatus
from elman.errors import DataError
from elman.formats import model_file
from tests.cli.conftest import Program
from tests.decode import small


def test_version(elman: Program) -> None:
    ended = elman("--version")
    assert (ended.status, ended.out, ended.err) == (0, f"elman {package.__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_every_command(elman: Program, arguments: tuple[str, ...]) -> None:
    ended = elman(*arguments)
    assert ended.status == 0
    for word in ("train", "sample", "demo", "bench", "--version", "--debug"):
        assert word in ended.out


def test_help_of_training_names_every_option(elman: Program) -> None:
    from elman.train.settings import Settings

    text = elman("train", "text", "--help").out
    for name in Settings().by_name():
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.parametrize("words", [name.split() for name in COMMANDS])
def test_help_shows_no_default_that_tells_nothing(elman: Program, words: list[str]) -> None:
    ended = elman(*words, "--help")
    assert (ended.status, ended.err) == (0, "")
    for noise in ("{None}", "default: None", "default: False", "default: )", "default: '')"):
        assert noise not in ended.out
    for option in options(COMMANDS[" ".join(words)]):
        assert option in ended.out


def test_help_of_sampling_groups_its_options(elman: Program) -> None:
    headings = re.findall(r"(\w+) options [^\w\]]", elman("sample", "--help").out)
    assert headings == ["search", "draw", "repetition", "constraint", "beam", "reading"]


@pytest.mark.parametrize("columns", ["1", "20"])
def test_help_is_readable_in_few_columns(elman: Program, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    ended = elman("decompress", "--help")
    assert (ended.status, os.environ["COLUMNS"]) == (0, columns)
    assert {len(line) for line in ended.out.splitlines()[4:]} <= {0, 60}  # what is drawn


def run(*arguments: str, redirect: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The program behind a shell's redirections."""
    command = f'exec "$@" {redirect}'
    every = [command, "sh", sys.executable, "-m", "elman", *arguments]
    return subprocess.run(["sh", "-c", *every], capture_output=True, env={**os.environ, **environment}, check=False)


def test_a_closed_stream_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("abcdefgh\n" * 60)
    model, steps = str(tmp_path / "run"), ("--hidden", "4", "--steps", "2", "--batch", "2", "--threads", "1")
    trained = run("train", "text", str(tmp_path / "text"), "--run", model, *steps, redirect=">&-")
    assert trained.returncode == 0, trained.stderr
    written = run("sample", model, "--length", "5", redirect=">&-")
    assert (written.returncode, written.stderr) == (0, b"")
    silent = run("sample", model, "--length", "5", redirect="2>&-")
    assert (silent.returncode, len(silent.stdout), silent.stderr) == (0, 6, b"")


def test_a_closed_input_is_an_empty_one(tmp_path: Path) -> None:
    model_file.save(tmp_path / "m", small.model_file(("lstm",), symbols="ab"))
    ended = run("score", str(tmp_path / "m"), "-", redirect="<&-")
    assert (ended.returncode, ended.stderr.startswith(b"elman: -: at least two tokens are needed")) == (1, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_told_once() -> None:
    ended = run("--version", redirect=">/dev/full")
    assert (ended.returncode, ended.stderr) == (1, b"elman: [Errno 28] No space left on device\n")


def test_a_terminal_of_few_characters_gets_escapes(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model_file.save(model, small.model_file(("lstm",), symbols="é\n"))
    ended = run("sample", str(model), "--prompt", "é", "--length", "0", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (ended.returncode, ended.stdout) == (0, b"\\xe9\n"), ended.stderr


def failing(error: BaseException) -> Callable[[list[str]], int]:
    def run(arguments: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DataError("what came\nwas bad"), ExitStatus.ERROR, "elman: what came was bad\n"),
        (PermissionError(13, "Permission denied", "x"), ExitStatus.ERROR, "elman: x: Permission denied\n"),
        (OSError(28, "No space left on device"), ExitStatus.ERROR, "elman: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), ExitStatus.INTERRUPTED, "elman: interrupted\n"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            ExitStatus.ERROR,
            "elman: this needs torch: pip install 'elman[train]'\n",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_one_line(
    elman: Program, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, message: str
) -> None:
    monkeypatch.setattr(cli, "_run", failing(error))
    ended = elman("train")
    assert (ended.status, ended.out, ended.err) == (status, "", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train",), "what to train is missing: text; see elman train --help"),
        (
            ("trian",),
            "there is no command trian; perhaps you meant train; the commands are train, sample, score, compress, "
            "decompress, demo, bench; see elman --help",
        ),
        (
            ("train", "txt"),
            "there is no command txt; perhaps you meant text; the commands are text; see elman train --help",
        ),
        (
            ("train", "text", "--hiden", "9"),
            "there is no option --hiden; perhaps you meant --hidden or --demo; see elman train text --help",
        ),
        (
            ("train", "text", "--hidden", "many", "x"),
            "--hidden many: expected a whole number; see elman train text --help",
        ),
        (("train", "text", "--minutes=x"), "--minutes x: expected a number; see elman train text --help"),
        (("sample", "x", "--top_k", "1.5"), "--top-k 1.5: expected a whole number; see elman sample --help"),
        (("sample", "x", "--length", "None"), "--length None: expected a whole number; see elman sample --help"),
        (("sample", "x", "--length"), "--length: a value is missing; see elman sample --help"),
        (("bench", "--threads", "1", "a"), "--threads 1 a: expected a whole number; see elman bench --help"),
        (("bench", "--modes", "fast"), "--modes fast: expected one of infer, train, stream; see elman bench --help"),
        (("sample",), "RUN is missing; see elman sample --help"),
        (("compress",), "RUN and FILE are missing; see elman compress --help"),
        (("compress", "a", "b", "c"), "c is one argument too many; see elman compress --help"),
        (("--foo",), "there is no option --foo; see elman --help"),
    ],
)
@pytest.mark.parametrize("width", ["40", "200"])
def test_what_cannot_be_parsed_is_told_in_one_line(
    elman: Program, monkeypatch: pytest.MonkeyPatch, width: str, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = elman(*arguments)
    assert (ended.status, ended.out, ended.err) == (ExitStatus.USAGE, "", f"elman: {message}\n")


def test_debug_shows_where_an_error_came_from(elman: Program) -> None:
    plain, debugged = elman("sample", "nowhere"), elman("sample", "nowhere", "--debug")
    assert "Traceback" not in plain.err
    assert debugged.err.startswith("Traceback")
    assert debugged.err.endswith(plain.err)


def test_mistakes_of_our_own_are_not_hidden(elman: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_run", failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        elman("train")
    monkeypatch.setattr(cli, "_run", failing(ModuleNotFoundError("No module named 'elman.x'", name="elman.x")))
    with pytest.raises(ModuleNotFoundError):
        elman("train")


def test_a_folder_that_cannot_be_made(elman: Program, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefgh" * 50)
    ended = elman("train", "text", "text.txt", "--run", "text.txt/run")
    assert ended.status == 1
    assert ended.err.startswith("elman: text.txt/run: cannot be made a run's folder")
