"""Random numbers by counting: number k of stream s under a seed is a function of the three, and of nothing else.

So a sequence draws the same numbers alone, in any batch, in any chunks and on any number of threads.
Reference: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.decode.roles import Floats, Integers

Words = NDArray[np.uint64]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROUNDS = 10
_BLOCK, _AT_ONCE = 512, 1 << 15  # numbers of one stream, and of all, that a Uniforms makes at once


def philox(counter: tuple[ArrayLike, ...], key: tuple[ArrayLike, ArrayLike]) -> tuple[Words, ...]:
    """Four arrays of 32-bit numbers from a counter of four and a key of two; all six broadcast."""
    a, b, c, d, k, m = np.broadcast_arrays(*(np.asarray(word, np.uint64) & _LOW for word in (*counter, *key)))
    for _ in range(_ROUNDS):
        p, q = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (q >> _HALF) ^ b ^ k, q & _LOW, (p >> _HALF) ^ d ^ m, p & _LOW
        k, m = (k + _WEYL[0]) & _LOW, (m + _WEYL[1]) & _LOW
    return a, b, c, d


def uniforms(seeds: Words, streams: Integers, first: ArrayLike, count: int) -> Floats:
    """Numbers first … first + count - 1 of each stream, [B, count], each in [0, 1) with 53 bits.

    Args:
        seeds: uint64 [B].
        streams: [B], 0 … 2^63 - 1.
        first: even; a number, or one for each stream [B].
        count: even.
    """
    blocks = (np.asarray(first, np.int64).reshape(-1, 1) // 2 + np.arange(count // 2)).astype(np.uint64)
    names = streams.astype(np.uint64)[:, None]
    return _pairs((blocks, blocks >> _HALF, names, names >> _HALF), seeds, count)


def grid(seeds: Words, step: int, slots: Integers, count: int) -> Floats:
    """`count` numbers for each place of a search, [B, count]; no stream has them.

    Args:
        seeds: uint64 [B].
        step: of the search.
        slots: [B], the place.
        count: numbers wanted.
    """
    blocks, names = np.arange((count + 1) // 2, dtype=np.uint64), slots.astype(np.uint64)[:, None]
    return _pairs((blocks, np.uint64(step), names, np.uint64(1 << 31)), seeds, count)


def _pairs(counter: tuple[ArrayLike, ...], seeds: Words, count: int) -> Floats:
    a, b, c, d = philox(counter, (seeds[:, None], (seeds >> _HALF)[:, None]))
    pairs = np.stack((_unit(a, b), _unit(c, d)), axis=-1)
    return pairs.reshape(len(pairs), -1)[:, :count]


def _unit(a: Words, b: Words) -> Floats:
    high, low = a >> np.uint64(5), b >> np.uint64(6)
    return (high.astype(np.float64) * 67108864.0 + low.astype(np.float64)) / 9007199254740992.0


class Uniforms:
    """The numbers of some streams one after another, made a block at a time.

    Args:
        seeds: uint64 [B].
        streams: [B].
        position: [B], how many numbers each stream has given already.
    """

    def __init__(self, seeds: Words, streams: Integers, position: Integers) -> None:
        self.seeds, self.streams, self._begin = seeds, streams, position
        self._block = max(2, min(_BLOCK, _AT_ONCE // max(1, len(streams))) // 2 * 2)
        self._taken, self._place = 0, self._block
        self._ready = np.empty((len(streams), 0))

    @property
    def position(self) -> Integers:
        """[B], how many numbers each stream has given."""
        return self._begin + self._taken

    def next(self) -> Floats:
        """One number for each stream, [B]."""
        if self._place == self._block:
            self._fill()
        self._place += 1
        self._taken += 1
        return self._ready[:, self._place - 1]

    def select(self, rows: Integers) -> Uniforms:
        """The numbers of some of the streams from here on."""
        chosen = Uniforms(self.seeds[rows], self.streams[rows], self.position[rows])
        chosen._block, chosen._place, chosen._ready = self._block, self._place, self._ready[rows]
        return chosen

    def _fill(self) -> None:
        first, self._place = self.position, 0
        odd = first % 2
        self._ready = uniforms(self.seeds, self.streams, first - odd, self._block + 2)
        if odd.any():
            self._ready = np.take_along_axis(self._ready, np.arange(self._block) + odd[:, None], axis=1)
