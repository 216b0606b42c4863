"""Context-free grammars in EBNF, as the W3C writes it, read into patterns.

    sum    ::= term (("+" | "-") term)*  /* texts are derived from the first rule */
    term   ::= [0-9]{1,3} | "(" sum ")"  # a comment to the line's end

Literals in double or single quotes, classes `[a-z_]` and `[^"]`, characters by number `#x20`, `.` for any character
but a line's end, groups, `|`, `* + ? {m} {m,} {,n} {m,n}`, and differences `A - B`. Comments, constraints in words
`[VC: …]` and numbers of rules `[1]` are passed over. In quotes and classes a backslash begins an escape, as in Python's
`re`: `\\n`, `\\x41`, `\\u00e9`, `\\"`, `\\\\`. A grammar that cannot be read so is read as the W3C writes them, where a
backslash is a character like others: `'\\'`, `["\\/]`. One that can be read in two ways is refused.
Reference: W3C, Extensible Markup Language 1.0, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from elman.decode.constraints import escapes, regex
from elman.decode.constraints.pattern import (
    LAST,
    Chars,
    Either,
    Join,
    Minus,
    Name,
    Pattern,
    Repeat,
    text,
    with_differences,
)
from elman.errors import ConfigError

_SPACE = (
    r"\s+|/\*.*?\*/|\#(?!x)[^\n]*|\[\s*(?i:wfc|vc):\s[^\]]*\]"
    r"|(?:\A|(?<=\n))\[[0-9]+[a-z]?\](?=[ \t]+[A-Za-z_][\w-]*\s*::=)"  # the number of a rule
)
_QUOTED = {
    False: r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""",
    True: r""""[^"\n]*"|'[^'\n]*'""",
}
_SET = {False: r"\[\^?\]?(?:[^\]\\]|\\.)*\]", True: r"\[\^?\]?[^\]]*\]"}
_TOKEN = {
    is_plain: re.compile(
        rf"""(?P<space>{_SPACE})|(?P<rule>[A-Za-z_][\w-]*)(?=(?:{_SPACE})*::=)|(?P<name>[A-Za-z_][\w-]*)
        |(?P<is>::=)|(?P<literal>{_QUOTED[is_plain]})|(?P<set>{_SET[is_plain]})|(?P<number>\#x[0-9A-Fa-f]+)
        |(?P<times>[*+?]|\{{[0-9]*,?[0-9]*\}})|(?P<mark>[()|.-])|(?P<bad>.)""",
        re.VERBOSE | re.DOTALL,
    )
    for is_plain in (False, True)
}
_A_RULE = "a rule is written name ::= …, of letters, digits, - and _, and ends where the next one begins"
_HINTS = dict.fromkeys("=:<>;%", _A_RULE) | {  # of what other tools write
    "#": "a comment begins with # and a blank",
    "/": "a comment is /* … */, or # and a blank; regular expressions are written out",
    ",": "parts stand one behind another, without a mark",
    "{": "a repetition is {m}, {m,}, {,n} or {m,n} behind a part, without blanks; for any number write ( … )*",
    '"': "a text in quotes ends on its line",
    "'": "a text in quotes ends on its line",
    "[": "a class ends with ]",
    "\\": "a backslash begins an escape in quotes and classes alone",
}
_TIMES = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_LONGEST = 400_000  # characters of a grammar
_DIGITS = 9  # of a repetition
_DEEPEST = 50  # groups within groups
_MEMBER = {False: re.compile(r"\\.|#x[0-9A-Fa-f]+|.", re.DOTALL), True: re.compile(r"#x[0-9A-Fa-f]+|.", re.DOTALL)}
_ESCAPED_IN_SETS = "\\]['\"^-abfnrtvxuUNdwsDWS01234567"
_ESCAPED_IN_QUOTES = "\\\"'abfnrtvxuUN0"
# A quoted backslash, or an escaped quote? A backslash at the end of a class, or an escaped bracket?
_TWO_WAYS = re.compile(r"""(["'])\\\1(?=[\s)|*+?{.]|$)|\\\]""")
_ESCAPES = re.compile(r"""\\[A-Za-z0-9\\"'^\[-]""")


@dataclass(frozen=True)
class Token:
    """A piece of a grammar's text, and where it stands."""

    kind: str
    text: str
    place: int


def parse(source: str) -> dict[str, Pattern]:
    """Read a grammar: rules by name, the first one first.

    Raises:
        ConfigError: it cannot be read, with the line; or a name has no rule, or two.
    """
    if not isinstance(source, str):
        raise ConfigError(f"a grammar is text, got {source!r}")
    if len(source) > _LONGEST:
        raise ConfigError(f"a grammar has at most {_LONGEST:,} characters, got {len(source):,}")
    return dict(_parsed(source.removeprefix("\ufeff")))  # a byte-order mark is no part of it


@lru_cache(maxsize=16)
def _parsed(source: str) -> dict[str, Pattern]:
    try:
        rules = _Grammar(source, is_plain=False).rules()
    except ConfigError:
        if (plain := _plainly(source)) is None:
            raise
        rules = plain
    else:
        two_ways = _TWO_WAYS.search(source)
        if two_ways is not None and _plainly(source) not in (None, rules):
            line = source.count("\n", 0, two_ways.start()) + 1
            raise ConfigError(
                f"grammar, line {line}: {two_ways.group()} can be read in two ways; write #x5C for a backslash, "
                "#x22 or #x27 for a quote, #x5D for a bracket"
            )
    return with_differences(rules)


def _plainly(source: str) -> dict[str, Pattern] | None:
    """The grammar as the W3C writes them, if there is a backslash and it can be read so."""
    try:
        return _Grammar(source, is_plain=True).rules() if "\\" in source else None
    except ConfigError:
        return None


class _Grammar:
    def __init__(self, source: str, is_plain: bool) -> None:
        self.source, self.is_plain = source, is_plain
        self.tokens = list(self._split())
        self.at = self.depth = 0

    def _split(self) -> Iterator[Token]:
        for match in _TOKEN[self.is_plain].finditer(self.source):
            kind = match.lastgroup or "bad"
            token = Token(kind, match.group(), match.start())
            if kind == "bad":
                hint = _HINTS.get(token.text)
                self.refuse(f"{token.text!r} cannot stand here" + (f": {hint}" if hint else ""), token)
            if kind != "space":
                yield token
        yield Token("end", "", len(self.source))

    def refuse(self, problem: str, token: Token) -> NoReturn:
        line = self.source.count("\n", 0, token.place) + 1
        raise ConfigError(f"grammar, line {line}: {problem}")

    def peek(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def rules(self) -> dict[str, Pattern]:
        found: dict[str, Pattern] = {}
        used: dict[str, Token] = {}
        while self.peek().kind != "end":
            head = self.take()
            if head.kind != "rule":
                self.refuse(f"a rule `name ::= …` expected, got {head.text!r}", head)
            if head.text in found:
                self.refuse(f"{head.text} has a rule already", head)
            self.take()
            begin = self.at
            found[head.text] = self.either()
            used |= {t.text: t for t in self.tokens[begin : self.at] if t.kind == "name"}
        if not found:
            raise ConfigError("the grammar has no rules; write: name ::= …")
        for name, token in used.items():
            if name not in found:
                self.refuse(f"{name} has no rule; the rules are {', '.join(found)}", token)
        return found

    def either(self) -> Pattern:
        parts = [self.join()]
        while self.peek().text == "|":
            self.take()
            parts.append(self.join())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def join(self) -> Pattern:
        parts: list[Pattern] = []
        while not self.ends_here():
            if self.peek().text == "-" and len(parts) == 1:
                token = self.take()
                parts = [Minus(parts[0], self.repeated())]
                if not self.ends_here() and self.peek().text != "-":
                    self.refuse("put parentheses around a difference A - B that stands beside something else", token)
            else:
                parts.append(self.repeated())
        return parts[0] if len(parts) == 1 else Join(tuple(parts))

    def ends_here(self) -> bool:
        return self.peek().kind in ("rule", "end") or self.peek().text in ("|", ")")

    def repeated(self) -> Pattern:
        part = self.atom()
        if self.peek().kind == "times":
            part = Repeat(part, *self.times(self.take()))
            if self.peek().kind == "times":
                self.refuse("a repetition of a repetition: put parentheses around the first one", self.peek())
        return part

    def times(self, token: Token) -> tuple[int, int | None]:
        if token.text in _TIMES:
            return _TIMES[token.text]
        low, comma, high = token.text[1:-1].partition(",")
        if not (low or high) or max(len(low), len(high)) > _DIGITS:
            self.refuse(f"a repetition {{m}}, {{m,}}, {{,n}} or {{m,n}} of at most {_DIGITS} digits expected", token)
        least, most = int(low or 0), (int(high) if high else None)
        if comma and most is not None and most < least:
            self.refuse(f"{token.text}: the second number is the smaller one", token)
        return least, most if comma else least

    def atom(self) -> Pattern:
        token = self.take()
        if token.kind == "name":
            return Name(token.text)
        if token.kind == "literal":
            return text(self.literal(token))
        if token.kind == "number":
            point = self.number(token.text, token)
            return Chars(((point, point),))
        if token.kind == "set":
            return self.characters(token)
        if token.text == ".":
            return Chars(regex.ANY)
        if token.text == "(":
            return self.group(token)
        if token.text == "-":
            self.refuse("a difference A - B needs one part before it; put parentheses around several", token)
        return self.refuse(f"{token.text!r} has nothing before it" if token.text else "it ends too early", token)

    def group(self, token: Token) -> Pattern:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.refuse(f"groups are nested more than {_DEEPEST} deep", token)
        inner = self.either()
        self.depth -= 1
        if self.peek().text != ")":
            self.refuse("'(' without its ')'", token)
        self.take()
        return inner

    def number(self, digits: str, token: Token) -> int:
        point = int(digits[2:], 16)
        if point > LAST:
            self.refuse(f"{digits} is no character", token)
        return point

    def literal(self, token: Token) -> str:
        inside, found, place = token.text[1:-1], "", 0
        if self.is_plain:
            if "\\" in inside and inside != "\\":
                self.refuse("a backslash in quotes stands alone or begins an escape", token)
            return inside
        while place < len(inside):
            if inside[place] != "\\":
                found, place = found + inside[place], place + 1
                continue
            mark = inside[place + 1]
            if mark not in _ESCAPED_IN_QUOTES:
                self.refuse(f"\\{mark} is no escape in quotes; for a backslash write \\\\", token)
            try:
                point, place = escapes.character(inside, place + 1, in_set=True)
            except ValueError as error:
                self.refuse(str(error), token)
            found += chr(point)
        return found

    def characters(self, token: Token) -> Pattern:
        members = self.members(token)
        try:
            return regex.parse(members)
        except ConfigError as error:
            self.refuse(str(error), token)

    def members(self, token: Token) -> str:
        """A class as a regular expression writes it."""
        if self.is_plain and (escape := _ESCAPES.search(token.text)):
            self.refuse(f"{escape.group()} can be an escape or two characters; write #x5C for a backslash", token)
        parts = []
        for part in _MEMBER[self.is_plain].findall(token.text):
            if part.startswith("#x"):
                part = f"\\U{self.number(part, token):08x}"
            elif part == "\\":
                part = "\\\\"
            elif part[0] == "\\" and part[1] not in _ESCAPED_IN_SETS:
                self.refuse(f"{part} is no escape in a class; for a backslash write \\\\", token)
            parts.append(part)
        return "".join(parts)
