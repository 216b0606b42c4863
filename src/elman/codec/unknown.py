"""What a model's vocabulary lacks: taken out of a text with its places, and put back.

It is kept as 12 bytes a character, before they are compressed: how far each stands behind the one before (8 bytes each,
the first from the beginning), then the code points (4 bytes each). A byte that is no UTF-8 is a lone surrogate.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data.vocabulary import Vocabulary
from elman.decode.roles import Integers
from elman.errors import FormatError

_PLACE, _POINT = 8, 4
_BYTES = _PLACE + _POINT
_PIECE = 1 << 20


def split(data: bytes, vocabulary: Vocabulary) -> tuple[Integers, bytes]:
    """The tokens that the vocabulary has, and the rest, compressed."""
    if vocabulary.kind == "bytes":
        return np.frombuffer(data, np.uint8).astype(np.int64), zlib.compress(b"", 9)
    points = _points(data.decode("utf-8", "surrogateescape"))
    known = _points(vocabulary.symbols)
    tokens = np.minimum(np.searchsorted(known, points), len(known) - 1)
    unknown = known[tokens] != points
    apart = np.diff(np.flatnonzero(unknown), prepend=0).astype("<u8")
    return tokens[~unknown].astype(np.int64), zlib.compress(apart.tobytes() + points[unknown].tobytes(), 9)


def unpack(frame: memoryview, tokens: int, size: int) -> bytes:
    """The rest of a text of so many known tokens and `size` bytes, checked piece by piece as it grows.

    Raises:
        FormatError: it cannot be the rest of such a text.
    """
    most, inflate = _BYTES * (size - tokens), zlib.decompressobj()
    found, checked, waiting = bytearray(), 0, bytes(frame)
    try:
        while not inflate.eof:
            piece = inflate.decompress(waiting, _PIECE)
            if not piece and not inflate.unconsumed_tail and not inflate.eof:
                raise FormatError("its unknown characters are cut short")
            found += piece
            waiting = inflate.unconsumed_tail
            certain = len(found) // _BYTES  # so many places at least stand at the beginning
            if len(found) > most or not _is_rising(found, checked, certain, size):
                raise FormatError("its unknown characters do not fit its size")
            checked = certain
    except zlib.error as error:
        raise FormatError(f"its unknown characters cannot be read: {error}") from None
    if inflate.unused_data or len(found) % _BYTES:
        raise FormatError("its unknown characters do not fit its size")
    return bytes(found)


def join(tokens: NDArray[Any], rest: bytes, vocabulary: Vocabulary) -> bytes:
    """The text again.

    Raises:
        ValueError: a character or a place that no text has.
    """
    if vocabulary.kind == "bytes":
        return tokens.astype(np.uint8).tobytes()
    count = len(rest) // _BYTES
    places = np.cumsum(np.frombuffer(rest[: _PLACE * count], "<u8").astype(np.int64))
    if count and places[-1] >= len(tokens) + count:
        raise ValueError("an unknown character stands behind the text's end")
    points = np.zeros(len(tokens) + count, "<u4")
    unknown = np.zeros(len(points), bool)
    unknown[places] = True
    points[unknown], points[~unknown] = (
        np.frombuffer(rest[_PLACE * count :], "<u4"),
        _points(vocabulary.symbols)[tokens],
    )
    return points.tobytes().decode("utf-32-le", "surrogatepass").encode("utf-8", "surrogateescape")


def _points(text: str) -> NDArray[Any]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _is_rising(found: bytearray, begin: int, end: int, size: int) -> bool:
    """Whether places `begin` to `end` come one behind another, none farther than a text of `size` bytes is long."""
    apart = np.frombuffer(bytes(found[_PLACE * begin : _PLACE * end]), "<u8")
    return not len(apart) or bool(apart[begin == 0 :].min(initial=1) >= 1 and apart.max() < size)
