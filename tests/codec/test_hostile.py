"""Archives that somebody made to waste time or memory: refused after a bounded amount of work."""

from __future__ import annotations

import io
import json
import tracemalloc
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from elman.codec import archive
from elman.codec.compress import compress, decompress
from elman.decode import ModelStepper
from elman.errors import FormatError
from elman.runtime import Model
from tests.decode.small import model_file

MODEL = Model(model_file(("lstm",), symbols="\n abcdefgh", hidden=8))
TEXT = ("a bad cab had a bag\n" * 150).encode()
LONG = TEXT * 28  # ten stretches, so that two are shorter by a token than the others


def packed(data: bytes) -> bytes:
    file = io.BytesIO()
    compress(MODEL, data, file)
    return file.getvalue()


def forged(data: bytes, frames: Iterable[bytes] | None = None, **changes: Any) -> bytes:
    """The archive with other frames and another header, each with a right checksum."""
    whole, file = archive.read(data, "x"), io.BytesIO()
    about = dict(whole.about) | changes
    about.pop("version")
    archive.write_header(file, about)
    for frame in whole.frames() if frames is None else frames:
        archive.write_frame(file, bytes(frame))
    archive.write_end(file)
    return file.getvalue()


def with_header(header: bytes) -> bytes:
    file = io.BytesIO()
    file.write(archive.MAGIC)
    archive._write(file, b"H", header)
    archive.write_end(file)
    return file.getvalue()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each step of a model."""
    counted: list[int] = []
    step = ModelStepper.logits
    monkeypatch.setattr(ModelStepper, "logits", lambda *given: (counted.append(1), step(*given))[1])
    return counted


@pytest.mark.parametrize(
    "header",
    [b"null", b"3", b"[]", b'"version"', b"[" * 4000, b'{"a":' * 700, b"{}" + b" " * 5000, b"\xff", b"", b"NaN"],
)
def test_a_header_of_another_kind(header: bytes) -> None:
    with pytest.raises(FormatError, match=r"x: (the archive's header is damaged|version 1 of the archive expected)"):
        decompress(MODEL, with_header(header), "x")


def test_a_version_and_a_size_that_are_not_the_archives() -> None:
    with pytest.raises(FormatError, match=r"expected, got 9{40}$"):
        decompress(MODEL, with_header(b'{"version":' + b"9" * 3000 + b"}"), "x")
    with pytest.raises(FormatError, match="what came out is not what went in"):
        decompress(MODEL, forged(packed(TEXT), size=10**6), "x")


@pytest.mark.parametrize("tokens", [8191, 10**6, 10**12, 1 << 62, 10**300])
def test_tokens_that_the_frames_cannot_hold_cost_no_step(tokens: int, steps: list[int]) -> None:
    data = packed(TEXT)
    steps.clear()
    for size in (3000, tokens):
        for streams in {1, max(1, min(512, tokens // 8192))}:
            with pytest.raises(FormatError, match="x: the archive"):
                decompress(MODEL, forged(data, tokens=tokens, size=size, streams=streams), "x")
    assert not steps


def test_more_tokens_than_were_coded_end_where_the_bytes_do(steps: list[int]) -> None:
    """Frames enough for the claim, but empty ones."""
    data = packed(TEXT)
    rest, coded = (bytes(frame) for frame in archive.read(data, "x").frames())
    empty = [b"\0" * 4 * 122] * 2
    body = np.frombuffer(np.array([8] * 122, "<u4").tobytes() + b"\0" * 8 * 122, np.uint8).tobytes()
    claim = {"tokens": 10**6, "streams": 122, "size": 10**6}
    steps.clear()
    for frames in ([rest, *empty, body], [rest, body, *empty], [rest, coded, *empty], [rest, *empty, b""]):
        with pytest.raises(FormatError, match=r"x: (the archive is damaged: |what came out is not what went in)"):
            decompress(MODEL, forged(data, frames, **claim), "x")
    assert len(steps) <= 2 * 8197


@pytest.mark.parametrize("fill", [b"\0", b"\1\0\0\0\0\0\0\0", b"\xff"])
def test_a_bomb_of_unknown_characters_is_not_unpacked(fill: bytes) -> None:
    data = packed(TEXT)
    _, coded = (bytes(frame) for frame in archive.read(data, "x").frames())
    bomb = zlib.compress(fill * ((200 << 20) // len(fill)), 9)
    claims = [{}] if fill[0] == 1 else [{}, {"size": 10**9}]  # a text may consist of unknown characters alone
    for claim in claims:
        hostile = forged(data, [bomb, coded], **claim)
        tracemalloc.start()
        with pytest.raises(FormatError, match="x: the archive is damaged: its unknown characters do not fit its size"):
            decompress(MODEL, hostile, "x")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20


@pytest.mark.parametrize(
    "rest", [b"", b"x", zlib.compress(b"abc"), zlib.compress(bytes(12))[:-3], zlib.compress(b"") * 2]
)
def test_unknown_characters_that_are_none(rest: bytes) -> None:
    data = packed(TEXT)
    _, coded = (bytes(frame) for frame in archive.read(data, "x").frames())
    with pytest.raises(FormatError, match="x: the archive is damaged: its unknown characters"):
        decompress(MODEL, forged(data, [rest, coded]), "x")


def test_a_place_and_a_character_that_no_text_has() -> None:
    data = packed(b"abc\xc3\xa9")
    _, coded = (bytes(frame) for frame in archive.read(data, "x").frames())
    for place, point in ((4, 233), (3, 0x110000), (0, 233)):
        rest = np.array([place], "<u8").tobytes() + np.array([point], "<u4").tobytes()
        with pytest.raises(FormatError, match=r"x: (the archive is damaged|what came out is not what went in)"):
            decompress(MODEL, forged(data, [zlib.compress(rest), coded]), "x")


def test_memory_follows_the_file_not_what_its_parts_claim() -> None:
    """A long stretch beside short ones, and frames without number."""
    data = packed(TEXT)
    rest, _ = (bytes(frame) for frame in archive.read(data, "x").frames())
    sizes = np.array([4 << 20, *[8] * 121], "<u4")
    skewed = sizes.tobytes() + bytes(int(sizes.sum()))
    claim = {"tokens": 10**6, "streams": 122, "size": 10**6}
    for frames in ([rest, *[bytes(488)] * 2, skewed], [rest, *[b""] * 400_000]):
        hostile = forged(data, frames, **claim)
        tracemalloc.start()
        with pytest.raises(FormatError):
            decompress(MODEL, hostile, "x")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * len(hostile) + (4 << 20)  # beside the file itself


def test_stretches_of_unequal_length_and_several_frames() -> None:
    data = LONG[: 10 * 8192 + 8]
    assert decompress(MODEL, packed(data), "x") == data


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_with_right_checksums(seed: int) -> None:
    """Whatever stands in header and frames, it is restored or refused, and never ends in another error."""
    random, text = np.random.default_rng(seed), b"a bad caf\xc3\xa9\xff\n" * 20
    whole = archive.read(packed(text), "x")
    refused = 0
    for _ in range(40):
        parts = [bytearray(json.dumps(dict(whole.about)).encode()), *map(bytearray, whole.frames())]
        part = parts[random.integers(len(parts))]
        part[random.integers(len(part))] ^= 1 << random.integers(8)
        file = io.BytesIO(with_header(bytes(parts[0]))[: -archive._SIZES.size])
        file.seek(0, io.SEEK_END)
        for frame in parts[1:]:
            archive.write_frame(file, bytes(frame))
        archive.write_end(file)
        try:
            assert decompress(MODEL, file.getvalue(), "x") == text
        except FormatError:
            refused += 1
    assert refused > 20
