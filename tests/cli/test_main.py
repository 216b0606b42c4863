"""The error boundary, and what the program says about itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import elman as package
from elman import cli
from elman.cli.status import ExitStatus
from elman.errors import DataError
from tests.cli.conftest import Program


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
    from elman.train.config import TextSettings

    text = elman("train", "text", "--help").out
    for name in TextSettings.__struct_fields__:
        assert f"--{name.replace('_', '-')}" in text


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
        (("train",), "Missing subcommand: Expected one of {text}; see elman --help"),
        (
            ("trian",),
            "Unrecognized options: trian; Available subcommands: train, sample, score, compress, decompress, demo, "
            "bench; see elman --help",
        ),
        (
            ("train", "text", "--hiden", "9"),
            "Unrecognized options: --hiden, 9; perhaps you meant --hidden; see elman --help",
        ),
        (
            ("train", "text", "--hidden", "many"),
            "Value error: Error parsing --hidden: invalid literal for int() with base 10: 'many'; see elman --help",
        ),
        (
            ("bench", "--modes", "fast"),
            "invalid choice 'fast' for argument '--modes'. Expected one of ('infer', 'train', 'stream'); "
            "see elman bench --help",
        ),
        (
            ("sample",),
            "Required options: Missing from elman sample: RUN the folder of a run, or a model file. (required); "
            "see elman sample --help",
        ),
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
