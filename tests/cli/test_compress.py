"""`elman compress` and `elman decompress`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from elman.formats import model_file
from tests.cli.conftest import Program
from tests.decode import small

DATA = ("a bad cab\r\nhad a café\n" * 200).encode() + b"\xff\x00"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model_file.save(tmp_path / "model", small.model_file(("lstm",), symbols="\n abcdefh", hidden=12))
    (tmp_path / "text").write_bytes(DATA)
    return tmp_path / "model"


def test_there_and_back(elman: Program, model: Path, tmp_path: Path) -> None:
    ended = elman("compress", model, "text")
    assert (ended.status, ended.out) == (0, "")
    size = (tmp_path / "text.elman").stat().st_size
    assert f"text.elman: {len(DATA):,} bytes became {size:,}, " in ended.err
    (tmp_path / "text").unlink()
    back = elman("decompress", model, "text.elman")
    assert (back.status, back.out, back.err) == (0, "", f"text: {len(DATA):,} bytes restored\n")
    assert (tmp_path / "text").read_bytes() == DATA
    assert elman("decompress", model, "text.elman", "--output", "other").status == 0
    assert (tmp_path / "other").read_bytes() == DATA


def test_nothing_is_replaced_unasked(elman: Program, model: Path, tmp_path: Path) -> None:
    assert elman("compress", model, "text").status == 0
    again = elman("compress", model, "text")
    assert again.err == (
        "elman: text.elman is there already: replace it with --overwrite, or name the archive with --output\n"
    )
    back = elman("decompress", model, "text.elman")
    assert "text is there already: replace it with --overwrite, or name the restored file with --output" in back.err
    assert elman("compress", model, "text", "--overwrite").status == 0
    assert elman("decompress", model, "text.elman", "--overwrite").status == 0


def test_refused(elman: Program, model: Path, tmp_path: Path) -> None:
    assert elman("compress", model, "text").status == 0
    whole = (tmp_path / "text.elman").read_bytes()
    for data, message in (
        (
            whole[: len(whole) // 2],
            "half.elman: the archive is incomplete: its end is missing; was compressing interrupted?",
        ),
        (whole[:-30] + b"?" + whole[-29:], "half.elman: the archive is damaged at byte"),
        (b"something else", "half.elman: not an archive of elman compress"),
    ):
        (tmp_path / "half.elman").write_bytes(data)
        ended = elman("decompress", model, "half.elman")
        assert (ended.status, ended.out) == (1, "")
        assert message in ended.err
        assert not (tmp_path / "half").exists()
    other = small.model_file(("lstm",), symbols="\n abcdefh", hidden=12, seed=1)
    model_file.save(tmp_path / "other", other)
    assert "another model compressed this" in elman("decompress", "other", "text.elman", "--overwrite").err
    (tmp_path / "text.elman").rename(tmp_path / "archive")
    assert (
        "archive does not end in .elman: name the restored file with --output"
        in elman("decompress", model, "archive").err
    )
    assert elman("compress", model, "missing").status == 1


def test_a_model_that_cannot_compress_leaves_nothing(elman: Program, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(DATA)
    damaged = small.model_file(("lstm",), symbols="\n abcdefh", hidden=12)
    damaged.tensors["head.bias"][3] = float("nan")
    model_file.save(tmp_path / "damaged", damaged)
    model_file.save(tmp_path / "numbers", replace(damaged, vocabulary=None))
    for name, message in (("damaged", "gives no finite scores"), ("numbers", "needs a model with a vocabulary")):
        ended = elman("compress", name, "text")
        assert (ended.status, ended.out) == (1, "")
        assert message in ended.err
        assert not (tmp_path / "text.elman").exists()


def half_way(folder: Path, model: Path, end: signal.Signals) -> int:
    """Compress for a while, then send a signal; the exit status."""
    (folder / "long").write_bytes(DATA * 2000)
    command = [sys.executable, "-m", "elman", "compress", str(model), "long", "--overwrite"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not any(path.stat().st_size for path in folder.glob(".long.elman.*.tmp")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(end)
    return process.wait(timeout=600)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_what_was_there_survives_a_compressing_that_ends_early(
    model: Path, tmp_path: Path, end: signal.Signals
) -> None:
    (tmp_path / "long.elman").write_bytes(b"kept")
    assert half_way(tmp_path, model, end) == (-end if end == signal.SIGKILL else 128 + end)
    assert (tmp_path / "long.elman").read_bytes() == b"kept"
    if end != signal.SIGKILL:
        assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("model_of", ["damaged", "numbers"])
def test_what_was_there_survives_a_compressing_that_fails(
    elman: Program, model: Path, tmp_path: Path, model_of: str
) -> None:
    damaged = small.model_file(("lstm",), symbols="\n abcdefh", hidden=12)
    damaged.tensors["head.bias"][3] = float("nan")
    numbers = replace(damaged, vocabulary=None)
    model_file.save(tmp_path / model_of, {"damaged": damaged, "numbers": numbers}[model_of])
    (tmp_path / "text.elman").write_bytes(b"kept")
    assert elman("compress", model_of, "text", "--overwrite").status == 1
    assert (tmp_path / "text.elman").read_bytes() == b"kept"


def test_what_is_read_is_never_replaced(elman: Program, model: Path, tmp_path: Path) -> None:
    assert elman("compress", model, "text").status == 0
    (tmp_path / "link").symlink_to("text")
    (tmp_path / "text.elman").rename(tmp_path / "a.elman")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for command, file, output in (
        ("compress", "text", "text"),
        ("compress", "text", "link"),
        ("compress", "link", "text"),
        ("compress", "text", model),
        ("decompress", "a.elman", "a.elman"),
        ("decompress", "a.elman", "model"),
    ):
        ended = elman(command, model, file, "--output", output, "--overwrite")
        assert (ended.status, ended.out) == (1, "")
        assert f"elman: --output {output}: this file is read, so it cannot be replaced: name another for " in ended.err
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for output, message in ((".", "got a folder"), ("nowhere/x", "there is no folder nowhere")):
        assert message in elman("compress", model, "text", "--output", output).err
