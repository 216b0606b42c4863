"""Patterns of characters as data: what regular expressions and grammars are read into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]
LAST = 0x10FFFF


@dataclass(frozen=True)
class Chars:
    """One character out of ranges of code points, ends included."""

    ranges: Ranges


@dataclass(frozen=True)
class Join:
    """One part after another; without parts, the empty text."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True)
class Either:
    """One of the parts."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True)
class Repeat:
    """A part so many times; without end where `most` is None."""

    part: Pattern
    least: int
    most: int | None


@dataclass(frozen=True)
class Name:
    """What a grammar's rule of this name derives."""

    name: str


Pattern = Chars | Join | Either | Repeat | Name


def text(literal: str) -> Join:
    """A text itself."""
    return Join(tuple(Chars(((ord(c), ord(c)),)) for c in literal))


def union(ranges: Ranges) -> Ranges:
    """Sorted, without overlaps."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Every other code point."""
    result, begin = [], 0
    for low, high in union(ranges):
        if low > begin:
            result.append((begin, low - 1))
        begin = high + 1
    return (*result, (begin, LAST)) if begin <= LAST else tuple(result)


def utf8(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    """Sequences of byte ranges that together are the UTF-8 forms of these code points, surrogates left out."""
    if low < 0xD800 and high > 0xDFFF:
        yield from utf8(low, 0xD7FF)
        yield from utf8(0xE000, high)
        return
    low, high = (0xE000 if 0xD800 <= low <= 0xDFFF else low), (0xD7FF if 0xD800 <= high <= 0xDFFF else high)
    if low > high:
        return
    for at in _borders(low, high):
        yield from utf8(low, at)
        yield from utf8(at + 1, high)
        return
    yield list(zip(chr(low).encode(), chr(high).encode(), strict=True))


def _borders(low: int, high: int) -> Iterator[int]:
    """Where a range must be cut so that its first and last forms span all between them."""
    for border in (0x7F, 0x7FF, 0xFFFF):
        if low <= border < high:
            yield border
    if high <= 0x7F:
        return
    for bits in (6, 12, 18):
        rest = (1 << bits) - 1
        if low & ~rest != high & ~rest:
            if low & rest:
                yield low | rest
            if high & rest != rest:
                yield (high & ~rest) - 1
