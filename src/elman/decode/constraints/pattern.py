"""Patterns of characters as data: what regular expressions and grammars are read into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from elman.errors import ConfigError

Ranges = tuple[tuple[int, int], ...]
LAST = 0x10FFFF
_DEEPEST = 200  # parts within parts, where rules are written into one pattern


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
class Minus:
    """What the part matches, and the other does not."""

    part: Pattern
    without: Pattern


@dataclass(frozen=True)
class Name:
    """What a grammar's rule of this name derives."""

    name: str


Pattern = Chars | Join | Either | Repeat | Minus | Name
Settled = dict[int, tuple[Pattern, Pattern]]  # by identity, patterns and what they are settled to


def text(literal: str) -> Pattern:
    """A text itself."""
    characters = tuple(Chars(((ord(c), ord(c)),)) for c in literal)
    return characters[0] if len(characters) == 1 else Join(characters)


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


def names(pattern: Pattern) -> set[str]:
    """The rules that a pattern refers to; a part that stands in many places is looked at once."""
    found, seen, waiting = set[str](), set[int](), [pattern]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Name):
            found.add(each.name)
        elif isinstance(each, Repeat):
            waiting.append(each.part)
        elif isinstance(each, Minus):
            waiting += [each.part, each.without]
        elif isinstance(each, Join | Either):
            waiting += each.parts
    return found


def bottom_up(rules: Mapping[str, Pattern], start: str) -> list[str] | None:
    """The rules that a rule needs and itself, each behind those that it refers to; None where one needs itself."""
    left: dict[str, None] = {}
    entered: set[str] = set()
    waiting = [(start, False)]
    while waiting:
        name, is_left = waiting.pop()
        if is_left:
            left[name] = None
        elif name not in entered:
            entered.add(name)
            waiting.append((name, True))
            waiting += [(other, False) for other in sorted(names(rules[name])) if other not in left]
        elif name not in left:
            return None
    return list(left)


def recurs(rules: Mapping[str, Pattern]) -> bool:
    """Whether some rule that texts are derived from needs itself."""
    return bottom_up(rules, next(iter(rules))) is None


def inlined(pattern: Pattern, rules: Mapping[str, Pattern]) -> Pattern:
    """The same without names. Raises ConfigError for rules that recur, or whose parts are nested too deep."""
    start = ""  # no rule has this name
    order = bottom_up({**rules, start: pattern}, start)
    if order is None:
        raise ConfigError("a rule that recurs can be neither a part of a difference A - B nor beside another grammar")
    known: dict[str, Pattern] = {}
    depths: dict[str, int] = {}
    for name in order:
        original = rules.get(name, pattern)
        depths[name] = _depth(original, depths, {})
        if depths[name] > _DEEPEST:
            raise ConfigError("rules within rules are nested too deep for a difference A - B, or for two grammars")
        known[name] = _with(original, known)
    return known[start]


def _depth(pattern: Pattern, of_rules: Mapping[str, int], known: dict[int, int]) -> int:
    """How deep parts stand within parts, rules written out; by identity, what is known already."""
    if isinstance(pattern, Name):
        return of_rules[pattern.name]
    if id(pattern) not in known:
        if isinstance(pattern, Minus):
            parts: tuple[Pattern, ...] = (pattern.part, pattern.without)
        elif isinstance(pattern, Repeat):
            parts = (pattern.part,)
        else:
            parts = pattern.parts if isinstance(pattern, Join | Either) else ()
        known[id(pattern)] = 1 + max((_depth(part, of_rules, known) for part in parts), default=0)
    return known[id(pattern)]


def with_differences(rules: Mapping[str, Pattern]) -> dict[str, Pattern]:
    """The rules with differences that name no other rules, those of characters worked out."""
    known: Settled = {}
    return {name: _settled(pattern, rules, known) for name, pattern in rules.items()}


def _settled(pattern: Pattern, rules: Mapping[str, Pattern], known: Settled) -> Pattern:
    """A part that stands in many places, as those of rules that are written out do, is settled once."""
    if id(pattern) not in known:
        known[id(pattern)] = pattern, _settle(pattern, rules, known)
    return known[id(pattern)][1]


def _settle(pattern: Pattern, rules: Mapping[str, Pattern], known: Settled) -> Pattern:
    if isinstance(pattern, Minus):
        part, without = (_settled(inlined(each, rules), {}, known) for each in (pattern.part, pattern.without))
        if isinstance(part, Chars) and isinstance(without, Chars):
            return Chars(complement((*complement(part.ranges), *without.ranges)))
        return Minus(part, without)
    if isinstance(pattern, Repeat):
        return Repeat(_settled(pattern.part, rules, known), pattern.least, pattern.most)
    if isinstance(pattern, Join | Either):
        parts = tuple(_settled(part, rules, known) for part in pattern.parts)
        if len(parts) == 1:
            return parts[0]
        of_characters = [part.ranges for part in parts if isinstance(part, Chars)]
        if isinstance(pattern, Either) and len(of_characters) == len(parts):
            return Chars(union(tuple(each for ranges in of_characters for each in ranges)))
        return type(pattern)(parts)
    return pattern


def _with(pattern: Pattern, known: Mapping[str, Pattern]) -> Pattern:
    if isinstance(pattern, Name):
        return known[pattern.name]
    if isinstance(pattern, Repeat):
        return Repeat(_with(pattern.part, known), pattern.least, pattern.most)
    if isinstance(pattern, Minus):
        is_settled = not names(pattern)  # and may have parts that stand in very many places
        return pattern if is_settled else Minus(_with(pattern.part, known), _with(pattern.without, known))
    if isinstance(pattern, Join | Either):
        return type(pattern)(tuple(_with(part, known) for part in pattern.parts))
    return pattern
