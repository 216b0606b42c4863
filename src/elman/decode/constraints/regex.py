"""Regular expressions, read into patterns. They match the whole text.

Literals, `.`, classes `[a-z^]`, `\\d \\w \\s` and their opposites (ASCII), groups, `|`, `* + ? {m} {m,} {m,n}`, and the
escapes of Python's `re`. Whatever is not regular, or would mean something else here, is refused.
"""

from __future__ import annotations

from typing import NoReturn

from elman.decode.constraints.pattern import Chars, Either, Join, Pattern, Ranges, Repeat, complement, union
from elman.errors import ConfigError

_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 13), (32, 32))
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CLASSES |= {name.upper(): complement(ranges) for name, ranges in _CLASSES.items()}
_ESCAPES = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7, "0": 0}
_HEX = {"x": 2, "u": 4, "U": 8}
_MOST_REPEATS = 1000
_DEEPEST = 50  # groups within groups


def parse(text: str) -> Pattern:
    """Read a regular expression.

    Raises:
        ConfigError: it cannot be read, with the position.
    """
    if not isinstance(text, str):
        raise ConfigError(f"a regular expression is text, got {text!r}")
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.place, self.depth = text, 0, 0

    def refuse(self, problem: str, place: int | None = None) -> NoReturn:
        at = self.place if place is None else place
        raise ConfigError(f"regular expression {self.text!r}, position {at}: {problem}")

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
        begin, end = self.place, self.text.find("}", self.place)
        low, comma, high = self.text[begin : max(end, begin)].partition(",")
        if end < 0 or not low.isdecimal() or not (high.isdecimal() or not high):
            self.refuse("a repetition {m}, {m,} or {m,n} expected; for the character write \\{", begin - 1)
        self.place = end + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            self.refuse(f"{{{least},{most}}}: the second number is the smaller one", begin)
        if max(least, most or 0) > _MOST_REPEATS:
            self.refuse(f"at most {_MOST_REPEATS} repetitions", begin)
        return least, most

    def atom(self) -> Pattern:
        mark = self.take()
        if mark == "(":
            return self.group()
        if mark == "[":
            return Chars(self.set())
        if mark == ".":
            return Chars(complement(((10, 10),)))
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

    def escape(self, in_set: bool = False) -> Ranges:
        mark = self.take()
        if mark in _CLASSES:
            return _CLASSES[mark]
        if mark in _ESCAPES:
            return ((_ESCAPES[mark],) * 2,)
        if mark in _HEX:
            digits = self.text[self.place : self.place + _HEX[mark]]
            try:
                point = ord(chr(int(digits, 16)))
            except (ValueError, OverflowError):
                self.refuse(f"\\{mark} needs {_HEX[mark]} hexadecimal digits of a character")
            if len(digits) < _HEX[mark]:
                self.refuse(f"\\{mark} needs {_HEX[mark]} hexadecimal digits of a character")
            self.place += _HEX[mark]
            return ((point, point),)
        if in_set and mark == "b":
            return ((8, 8),)
        if mark.isalnum():
            self.refuse(f"\\{mark} is not known here (back-references and boundaries are not supported)")
        return ((ord(mark), ord(mark)),)

    def set(self) -> Ranges:
        begin, ranges = self.place - 1, list[tuple[int, int]]()
        negated = self.peek() == "^"
        if negated:
            self.take()
        first = True
        while self.peek() != "]" or first:
            if not self.peek():
                self.refuse("'[' without its ']'", begin)
            ranges += self.member()
            first = False
        self.take()
        return complement(tuple(ranges)) if negated else union(tuple(ranges))

    def member(self) -> Ranges:
        low = self.one()
        if self.peek() != "-" or self.text[self.place + 1 : self.place + 2] in ("]", ""):
            return low
        self.take()
        high = self.one()
        if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
            self.refuse("a range needs one character at each end")
        if high[0][0] < low[0][0]:
            self.refuse(f"the range {chr(low[0][0])}-{chr(high[0][0])} runs backwards")
        return ((low[0][0], high[0][0]),)

    def one(self) -> Ranges:
        mark = self.take()
        return self.escape(in_set=True) if mark == "\\" else ((ord(mark), ord(mark)),)
