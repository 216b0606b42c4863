"""Sets of lengths that a text can have, as bits of whole numbers: bit n stands for n tokens."""

from __future__ import annotations


class Lengths:
    """Such sets, with no more in them than is asked: each length below the least one, and the smallest one above.

    Args:
        least: tokens that may be asked for at least.
        most: tokens that count at all.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._below, self._within = (1 << least) - 1, (1 << (most + 1)) - 1

    def of(self, bits: int) -> int:
        """The set, without lengths that are never asked for."""
        above = (bits & self._within) >> self._least
        return bits & self._below | (above & -above) << self._least

    def sums(self, one: int, other: int) -> int:
        """All sums of a length from one set and a length from the other."""
        if one.bit_count() > other.bit_count():
            one, other = other, one
        found = 0
        while one:
            low = one & -one
            found |= other << (low.bit_length() - 1)
            one ^= low
        return self.of(found)


def shortest(bits: int) -> int:
    """The smallest length of a set that has one."""
    return (bits & -bits).bit_length() - 1


def between(bits: int, low: int, high: int) -> bool:
    """Whether a length from `low` to `high` is in the set."""
    return high >= low and bits >> low & ((1 << (high - low + 1)) - 1) != 0
