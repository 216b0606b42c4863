"""`elman score`."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from elman.formats import model_file
from tests.cli.conftest import Program
from tests.decode import small
from tests.runtime.test_threads import asked

TEXT = "a bad cab\nhad a cafe\n" * 3


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model_file.save(tmp_path / "model", small.model_file(("lstm",), symbols="\n abcdefh", hidden=12))
    (tmp_path / "text").write_text(TEXT)
    return tmp_path / "model"


def test_bits_and_spots(elman: Program, model: Path) -> None:
    told = json.loads(elman("score", model, "text", "--json").out)
    values = np.array(told["log_probabilities"][1:])
    assert told["log_probabilities"][0] is None
    assert len(told["tokens"]) == len(TEXT)
    assert told["bits_per_token"] == pytest.approx(-values.mean() / math.log(2))
    ended = elman("score", model, "text", "--spots", 3)
    assert ended.status == 0
    first, *spots = ended.out.rstrip("\n").split("\n")
    assert first == f"{len(TEXT)} characters: {told['bits_per_token']:.3f} bits per character, log p {values.sum():.3f}"
    places = [int(re.match(r" *(\d+)", spot)[1]) for spot in spots]  # type: ignore[index]
    assert places == sorted((np.argsort(values, kind="stable")[:3] + 1).tolist())


def test_a_byte_order_mark_is_no_part_of_the_text(elman: Program, model: Path, tmp_path: Path) -> None:
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert elman("score", model, "marked", "--json").out == elman("score", model, "text", "--json").out


def test_the_whole_text(elman: Program, model: Path) -> None:
    assert elman("score", model, "text", "--text", "--spots", 0).out.startswith(TEXT)


def test_streams_side_by_side(elman: Program, model: Path) -> None:
    one, three = (json.loads(elman("score", model, "text", "--json", "--streams", n).out) for n in (1, 3))
    assert one["log_probabilities"][:21] == three["log_probabilities"][:21]
    assert one["log_probabilities"] != three["log_probabilities"]


def test_bytes(elman: Program, tmp_path: Path) -> None:
    model_file.save(tmp_path / "bytes", small.model_file(("gru",), kind="bytes"))
    (tmp_path / "text").write_bytes("€ü€ü".encode() + b"\xff")
    ended = elman("score", tmp_path / "bytes", "text", "--text")
    assert ended.status == 0
    assert "11 bytes: " in ended.out
    assert "€ü€ü\ufffd" in ended.out


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("missing", None, (), "No such file"),
        ("empty", b"", (), "at least two tokens are needed"),
        ("one", b"a", (), "at least two tokens are needed"),
        ("latin", "größe".encode("latin-1"), (), "latin: byte 2 is not UTF-8"),
        ("strange", b"aXb", (), "character 'X' (U+0058) at position 1"),
        ("fine", b"abab", ("--spots", "-1"), "--spots must be at least 0, got -1"),
        ("fine", b"abab", ("--streams", "0"), "streams must be a whole number of at least 1, got 0"),
    ],
)
def test_refused(
    elman: Program,
    model: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    options: tuple[str, ...],
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    ended = elman("score", model, name, *options)
    assert (ended.status, ended.out) == (1, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_unknown_characters_may_be_left_out(elman: Program, model: Path, tmp_path: Path) -> None:
    (tmp_path / "strange").write_text("aXbX")
    (tmp_path / "plain").write_text("ab")
    skipped = elman("score", model, "strange", "--unknown", "skip", "--json")
    assert skipped.out == elman("score", model, "plain", "--json").out


def test_a_model_of_bytes_is_measured_in_bits_per_byte(elman: Program, tmp_path: Path) -> None:
    model_file.save(tmp_path / "bytes", small.model_file(("gru",), kind="bytes", hidden=4))
    (tmp_path / "text").write_text("größe")
    told = json.loads(elman("score", "bytes", "text", "--json").out)
    shown = elman("score", "bytes", "text").out.splitlines()[0]
    assert shown.startswith(f"7 bytes: {told['bits_per_token']:.3f} bits per byte, log p ")


@pytest.mark.parametrize("command", ["sample", "score", "compress", "decompress"])
def test_threads_are_chosen_by_the_work_or_by_the_user(
    elman: Program, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("ELMAN_NUM_THREADS", "4")
    (tmp_path / "text").write_text("abab")
    assert elman("compress", model, "text").status == 0
    arguments = {
        "sample": (model, "--length", 5, "--prompt", "a"),
        "score": (model, "text"),
        "compress": (model, "text", "--overwrite"),
        "decompress": (model, "text.elman", "--overwrite"),
    }[command]
    found = {}
    for threads in (0, 1, 3):
        found[threads] = asked(monkeypatch, lambda n=threads: elman(command, *arguments, "--threads", n))
    assert found == {0: {1}, 1: {1}, 3: {3}}
    ended = elman(command, *arguments, "--threads", -1)
    assert ended.status != 0
    assert "threads must be a whole number 0 … 65536, got -1" in ended.err
    assert "ELMAN_NUM_THREADS" in elman(command, "--help").out
