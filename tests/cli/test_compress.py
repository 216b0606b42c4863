"""`elman compress` and `elman decompress`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from elman.codec.archive import MAGIC
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


def test_killed_half_way_the_archive_is_incomplete(elman: Program, model: Path, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(DATA * 2000)
    command = [sys.executable, "-m", "elman", "compress", str(model), "long"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    archive, deadline = tmp_path / "long.elman", time.monotonic() + 60
    while not (archive.exists() and archive.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert archive.read_bytes().startswith(MAGIC)
    ended = elman("decompress", model, "long.elman", "--output", "out")
    assert (ended.status, ended.out) == (1, "")
    assert "the archive is incomplete" in ended.err
    assert not (tmp_path / "out").exists()
