"""Pieces of JSON's own grammar, as EBNF: literals, characters of strings, numbers in a range, dates.

Reference: RFC 8259 (JSON), RFC 3339 (dates and times).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from elman.decode.constraints.pattern import (
    LAST,
    Chars,
    Either,
    Join,
    Pattern,
    Ranges,
    Repeat,
    complement,
    union,
)
from elman.errors import ConfigError

_ESCAPED: Ranges = ((0, 31), (34, 34), (92, 92))  # what a string cannot hold as it is
_SHORT = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: "\\x22", 92: "\\x5c"}

CHARACTER = "([^#x22#x5C#x0-#x1F] | escape)"
VALUES = {
    "any": 'object | array | string | number | "true" | "false" | "null"',
    "string": f'"\\x22" {CHARACTER}* "\\x22"',
    "plain": "[^#x22#x5C#x0-#x1F]",
    "escape": '"\\x5c" ([#x22#x5C/bfnrt] | "u" (single | high "\\x5cu" low))',
    "single": "[0-9a-cA-Ce-fE-F] hex{3} | [dD] [0-7] hex{2}",
    "high": "[dD] [89abAB] hex{2}",
    "low": "[dD] [c-fC-F] hex{2}",
    "hex": "[0-9a-fA-F]",
    "integer": '"0" | "-"? [1-9] [0-9]*',
    "number": '"-"? unsigned',
    # Not so large that a double overflows, which would be no JSON when it is written again.
    "unsigned": '("0" | [1-9] [0-9]{0,99}) ("." [0-9]+)? ([eE] [+-]? [0-9]{1,2})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}
FORMATS = {
    "date": '[0-9]{4} "-" (("0" [13578] | "1" [02]) "-" (days | "30" | "31")'
    ' | ("0" [469] | "11") "-" (days | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))',
    "days": '"0" [1-9] | [12] [0-9]',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]+)?'
    ' ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
    "date-time": 'date "T" time',
    "uuid": 'hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}',
}


def literal(text: str) -> str:
    """A text in quotes."""
    return f'"{"".join(map(_quoted, text))}"'


def _quoted(character: str) -> str:
    if character.isprintable() and character not in '"\\':
        return character
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\U{ord(character):08x}"


def one_of(parts: Iterable[str]) -> str:
    """One of several parts, in parentheses."""
    return f"({' | '.join(parts)})"


def inside_a_string(pattern: Pattern) -> str:
    """A pattern of characters, as they stand in a JSON string."""
    if isinstance(pattern, Chars):
        return _characters(pattern.ranges)
    if isinstance(pattern, Join):
        return f"({' '.join(map(inside_a_string, pattern.parts))})" if pattern.parts else '""'
    if isinstance(pattern, Either):
        return one_of(map(inside_a_string, pattern.parts))
    assert isinstance(pattern, Repeat)  # expressions have no other parts
    most = "" if pattern.most is None else pattern.most
    return f"({inside_a_string(pattern.part)}){{{pattern.least},{most}}}"


def _characters(ranges: Ranges) -> str:
    outside = complement(union(ranges))
    plain = complement(union((*outside, *_ESCAPED)))
    escaped = complement(union((*outside, *complement(_ESCAPED))))
    parts = [f"[{''.join(f'#x{low:X}-#x{high:X}' for low, high in plain)}]"] if plain else []
    parts += [_escape(point) for low, high in escaped for point in range(low, high + 1)]
    return one_of(parts) if parts else f"[^#x0-#x{LAST:X}]"


def _escape(point: int) -> str:
    return f'"\\x5c{_SHORT[point]}"' if point in _SHORT else f'"\\x5cu{point:04x}"'


def integers(low: int | None, high: int | None) -> str:
    """Whole numbers in a range, its ends included. Raises ConfigError for a range without any."""
    if low is not None and high is not None and low > high:
        raise ConfigError(f"there is no whole number from {low} to {high}")
    parts = []
    if low is None or low < 0:
        least = 1 if high is None or high >= 0 else -high
        parts.append(f'"-" {one_of(_from_to(least, None if low is None else -low))}')
    if high is None or high >= 0:
        parts += _from_to(max(low or 0, 0), high)
    return one_of(parts)


def _from_to(low: int, high: int | None) -> Iterator[str]:
    """Decimal numbers from `low`, 0 or above, to `high`."""
    if low == 0:
        yield '"0"'
        low = 1
    digits = str(low)
    if high is None:
        yield from _same_length(digits, "9" * len(digits))
        yield f"[1-9] [0-9]{{{len(digits)},}}"
    elif low <= high and len(digits) == len(str(high)):
        yield from _same_length(digits, str(high))
    elif low <= high:
        last = str(high)
        yield from _same_length(digits, "9" * len(digits))
        if len(last) - len(digits) > 1:
            yield f"[1-9] [0-9]{{{len(digits)},{len(last) - 2}}}"
        yield from _same_length("1" + "0" * (len(last) - 1), last)


def _same_length(low: str, high: str) -> Iterator[str]:
    """Digits from `low` to `high`, which has as many and is not smaller."""
    same = next((k for k, (a, b) in enumerate(zip(low, high, strict=True)) if a != b), len(low))
    if same == len(low):
        yield literal(low)
        return
    begin, rest = low[:same], len(low) - same - 1
    yield from _digits(begin, chr(ord(low[same]) + 1), chr(ord(high[same]) - 1), rest)
    for place in range(same + 1, len(low)):
        yield from _digits(low[:place], chr(ord(low[place]) + 1), "9", len(low) - place - 1)
        yield from _digits(high[:place], "0", chr(ord(high[place]) - 1), len(low) - place - 1)
    yield literal(low)
    yield literal(high)


def _digits(begin: str, first: str, last: str, rest: int) -> Iterator[str]:
    """Numbers that begin with some digits, then one of a range, then any `rest` others."""
    if first <= last:
        parts = [literal(begin)] if begin else []
        parts.append(f"[{first}-{last}]")
        yield " ".join([*parts, f"[0-9]{{{rest}}}"] if rest else parts)
