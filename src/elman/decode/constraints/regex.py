"""Regular expressions, read into patterns. They match the whole text, and mean what they mean to Python's `re`.

Literals, `.`, classes `[a-z^]`, `\\d \\w \\s` and their opposites, groups, `|`, `* + ? {m} {m,} {,n} {m,n}`, and the
escapes of characters. Whatever is not regular, or would mean something else here, is refused.
"""

from __future__ import annotations

import re
from typing import NoReturn

from elman.decode.constraints import escapes
from elman.decode.constraints.pattern import Chars, Either, Join, Pattern, Ranges, Repeat, complement, union
from elman.errors import ConfigError

ANY: Ranges = complement(((10, 10),))  # what a dot stands for: all but a line's end
_ANY_COMMON: Ranges = complement(((10, 10), (13, 13), (0x2028, 0x2029)))
_TIMES = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}")
_LONGEST = 200_000  # characters of an expression
_DIGITS = 9  # of a repetition
_DEEPEST = 50  # groups within groups
_SHOWN = 100  # characters of an expression in a message


def parse(text: str, is_common: bool = False) -> Pattern:
    """Read a regular expression.

    Args:
        text: the expression.
        is_common: classes such as `\\d`, their opposites and the dot hold only what they hold to ECMA-262 as well.

    Raises:
        ConfigError: it cannot be read, with the position.
    """
    if not isinstance(text, str):
        raise ConfigError(f"a regular expression is text, got {text!r}")
    if len(text) > _LONGEST:
        raise ConfigError(f"a regular expression has at most {_LONGEST:,} characters, got {len(text):,}")
    return _Expression(text, is_common).whole()


class _Expression:
    def __init__(self, text: str, is_common: bool) -> None:
        self.text, self.is_common, self.place, self.depth = text, is_common, 0, 0

    def refuse(self, problem: str, place: int | None = None) -> NoReturn:
        at = self.place if place is None else place
        shown = self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "…"
        raise ConfigError(f"regular expression {shown!r}, position {at}: {problem}")

    def whole(self) -> Pattern:
        pattern = self.either()
        if self.place < len(self.text):
            self.refuse("')' without its '('")
        return pattern

    def peek(self) -> str:
        return self.text[self.place] if self.place < len(self.text) else ""

    def take(self) -> str:
        if self.place >= len(self.text):
            self.refuse("it ends too early")
        self.place += 1
        return self.text[self.place - 1]

    def either(self) -> Pattern:
        parts = [self.join()]
        while self.peek() == "|":
            self.take()
            parts.append(self.join())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def join(self) -> Pattern:
        parts = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repeated())
        return parts[0] if len(parts) == 1 else Join(tuple(parts))

    def repeated(self) -> Pattern:
        part = self.atom()
        if self.peek() and self.peek() in "*+?{":
            part = Repeat(part, *self.times())
            if self.peek() and self.peek() in "*+?{":
                self.refuse("a repetition of a repetition (lazy or possessive?): put a group around it")
        return part

    def times(self) -> tuple[int, int | None]:
        mark = self.take()
        if mark != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark]
        begin = self.place - 1
        found = _TIMES.match(self.text, begin)
        if found is None or found.group() == "{}":
            self.refuse("a repetition {m}, {m,}, {,n} or {m,n} expected; for the character write \\{", begin)
        self.place = found.end()
        low, comma, high = found.groups()
        if max(len(low), len(high)) > _DIGITS:
            self.refuse(f"a repetition of at most {_DIGITS} digits expected", begin)
        least = int(low or 0)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            self.refuse(f"{{{least},{most}}}: the second number is the smaller one", begin)
        return least, most

    def atom(self) -> Pattern:
        mark = self.take()
        if mark == "(":
            return self.group()
        if mark == "[":
            return Chars(self.set())
        if mark == ".":
            return Chars(_ANY_COMMON if self.is_common else ANY)
        if mark == "\\":
            return Chars(self.escape())
        if mark in "*+?{":
            self.refuse(f"{mark!r} has nothing to repeat; for the character write \\{mark}", self.place - 1)
        if mark in "^$":
            self.refuse(
                f"{mark!r}: the whole text is matched anyway: leave it out; for the character write \\{mark}",
                self.place - 1,
            )
        return Chars(((ord(mark), ord(mark)),))

    def group(self) -> Pattern:
        begin = self.place - 1
        if self.peek() == "?":
            if self.text[self.place : self.place + 2] != "?:":
                self.refuse("groups are (…) or (?:…); look-around, flags and names are not regular, or not needed")
            self.place += 2
        self.depth += 1
        if self.depth > _DEEPEST:
            self.refuse(f"groups are nested more than {_DEEPEST} deep", begin)
        inner = self.either()
        self.depth -= 1
        if self.peek() != ")":
            self.refuse("'(' without its ')'", begin)
        self.take()
        return inner

    def escape(self, in_set: bool = False, negated: bool = False) -> Ranges:
        begin = self.place - 1
        common = escapes.EITHER if negated else escapes.BOTH
        reading = common if self.is_common else escapes.PYTHON
        known = escapes.class_of(self.text[self.place : self.place + 1], reading)
        if known is not None:
            self.place += 1
            return known
        try:
            point, self.place = escapes.character(self.text, self.place, in_set)
        except ValueError as error:
            self.refuse(str(error), begin)
        return ((point, point),)

    def set(self) -> Ranges:
        begin, ranges = self.place - 1, list[tuple[int, int]]()
        negated = self.peek() == "^"
        if negated:
            self.take()
        first = True
        while self.peek() != "]" or first:
            if not self.peek():
                self.refuse("'[' without its ']'", begin)
            ranges += self.member(negated)
            first = False
        self.take()
        return complement(tuple(ranges)) if negated else union(tuple(ranges))

    def member(self, negated: bool) -> Ranges:
        low = self.one(negated)
        if self.peek() != "-" or self.text[self.place + 1 : self.place + 2] in ("]", ""):
            return low
        self.take()
        high = self.one(negated)
        if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
            self.refuse("a range needs one character at each end")
        if high[0][0] < low[0][0]:
            self.refuse(f"the range {chr(low[0][0])}-{chr(high[0][0])} runs backwards")
        return ((low[0][0], high[0][0]),)

    def one(self, negated: bool) -> Ranges:
        mark = self.take()
        return self.escape(True, negated) if mark == "\\" else ((ord(mark), ord(mark)),)
