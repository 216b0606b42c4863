"""An arithmetic coder for many sequences side by side.

Probabilities become whole numbers by operations that every machine rounds alike, so that what decodes sees the very
numbers that what encoded saw. Reference: Martin 1979 (range coding); the carry is avoided as by Subbotin 1999.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.decode.roles import Integers
from elman.errors import DataError

Words = NDArray[np.uint64]

_STEPS, _BITS = 1024, 24  # parts of a bit that probabilities are rounded to; the likeliest token weighs 2^24
_PER_NAT = _STEPS / math.log(2)
_TOP, _BOTTOM = np.uint64(1 << 56), np.uint64(1 << 48)
_BYTE, _SHIFT = np.uint64(8), np.uint64(56)
_WORD = 8  # bytes of the interval's bounds, and of what ends a sequence


@cache
def _powers() -> NDArray[np.int64]:
    """floor(2^(24 - i/1024)) for i = 0 … 1023, by whole numbers alone."""
    values = []
    for i in range(_STEPS):
        root = 1 << (_BITS * _STEPS - i)
        for _ in range(10):
            root = math.isqrt(root)
        values.append(root)
    return np.array(values, np.int64)


def weights(scores: NDArray[Any]) -> Integers:
    """Whole numbers of at least 1 in proportion to exp(scores), [B, V].

    Raises:
        DataError: a score that is NaN or +inf.
    """
    top = scores.max(axis=1, keepdims=True).astype(np.float64)
    if not np.isfinite(top).all():
        raise DataError("the model gives no finite scores: nothing can be coded by them")
    parts = np.rint((top - scores) * _PER_NAT)
    steps = np.minimum(parts, float(_STEPS * (_BITS + 1))).astype(np.int64)
    numbers: Integers = np.maximum(_powers()[steps & (_STEPS - 1)] >> (steps >> 10), 1)
    return numbers


class RangeEncoder:
    """Narrows an interval for each of B sequences, and gives off the bytes that are settled."""

    def __init__(self, batch: int) -> None:
        self._low = np.zeros(batch, np.uint64)
        self._range = np.full(batch, np.iinfo(np.uint64).max, np.uint64)
        self._bytes = np.zeros((batch, 1 << 12), np.uint8)
        self._count = np.zeros(batch, np.int64)

    def encode(self, start: Integers, size: Integers, total: Integers) -> None:
        """Take a symbol each: its part [start, start + size) of [0, total), all [B]."""
        part = self._range // total.astype(np.uint64)
        self._low += start.astype(np.uint64) * part
        self._range = size.astype(np.uint64) * part
        while len(rows := _settled(self._low, self._range)):
            self._give(rows)

    def finish(self) -> None:
        """Settle what is left."""
        rows = np.arange(len(self._low))
        for _ in range(_WORD):
            self._give(rows)

    def take(self) -> list[bytes]:
        """The bytes of each sequence since the last time."""
        found = [row[:count].tobytes() for row, count in zip(self._bytes, self._count.tolist(), strict=True)]
        self._count[:] = 0
        return found

    def _give(self, rows: Integers) -> None:
        if self._count.max() == self._bytes.shape[1]:
            self._bytes = np.concatenate((self._bytes, np.zeros_like(self._bytes)), axis=1)
        self._bytes[rows, self._count[rows]] = (self._low[rows] >> _SHIFT).astype(np.uint8)
        self._count[rows] += 1
        self._low[rows] <<= _BYTE
        self._range[rows] <<= _BYTE


class RangeDecoder:
    """The way back.

    Args:
        streams: for each sequence all its bytes, at least the 8 that `RangeEncoder.finish` gives.

    Raises:
        DataError: a sequence of fewer bytes.
    """

    def __init__(self, streams: Sequence[bytes | bytearray]) -> None:
        if any(len(data) < _WORD for data in streams):
            raise DataError(f"a coded sequence has at least {_WORD} bytes, got {min(map(len, streams))}")
        self._bytes = np.frombuffer(b"".join(streams), np.uint8)
        self._end = np.cumsum([len(data) for data in streams])
        self._place = np.concatenate(([0], self._end[:-1]))
        self._low = np.zeros(len(streams), np.uint64)
        self._range = np.full(len(streams), np.iinfo(np.uint64).max, np.uint64)
        self._code = np.zeros(len(streams), np.uint64)
        for _ in range(_WORD):
            self._take(np.arange(len(streams)))

    def decode(self, weight: Integers) -> Integers:
        """The next symbol of each sequence, [B], given the weights [B, V] that it was encoded by.

        Raises:
            DataError: a sequence has ended; it was encoded with other weights, or has fewer symbols.
        """
        above = np.cumsum(weight, axis=1)
        total = above[:, -1].astype(np.uint64)
        part = self._range // total
        target = np.minimum((self._code - self._low) // part, total - np.uint64(1)).astype(np.int64)
        symbols: Integers = (above > target[:, None]).argmax(axis=1)
        size = weight[np.arange(len(symbols)), symbols]
        start = above[np.arange(len(symbols)), symbols] - size
        self._low += start.astype(np.uint64) * part
        self._range = size.astype(np.uint64) * part
        while len(rows := _settled(self._low, self._range)):
            self._take(rows)
            self._low[rows] <<= _BYTE
            self._range[rows] <<= _BYTE
        return symbols

    def _take(self, rows: Integers) -> None:
        """Read a byte more of some sequences."""
        places = self._place[rows]
        if (places == self._end[rows]).any():
            raise DataError("a coded sequence ends before all its symbols are decoded")
        self._code[rows] = (self._code[rows] << _BYTE) | self._bytes[places]
        self._place[rows] += 1


def _settled(low: Words, width: Words) -> Integers:
    """Sequences whose next byte is certain; where the interval has grown too small around a border, it is cut there."""
    same = (low ^ (low + width)) < _TOP
    small = ~same & (width < _BOTTOM)
    if small.any():
        width[small] = (~low[small] + np.uint64(1)) & (_BOTTOM - np.uint64(1))
        same |= small
    return np.flatnonzero(same)
