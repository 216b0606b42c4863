"""Context-free grammars in EBNF, as the W3C writes it, read into patterns.

    sum    ::= term (("+" | "-") term)*
    term   ::= [0-9]+ | "(" sum ")"      /* a comment */

A rule is `name ::= …`; the first one is what texts are derived from. Literals in double or single quotes (escapes:
`\\n \\t \\r \\\\ \\"`), classes `[a-z_]` and `[^"]`, characters by number `#x20`, groups, `|`, `* + ?`.
Reference: W3C, Extensible Markup Language 1.0, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from elman.decode.constraints import regex
from elman.decode.constraints.pattern import Chars, Either, Join, Name, Pattern, Repeat, text
from elman.errors import ConfigError

_TOKEN = re.compile(
    r"""(?P<space>\s+|/\*.*?\*/)|(?P<rule>[A-Za-z_][\w-]*)(?=(?:\s|/\*.*?\*/)*::=)|(?P<name>[A-Za-z_][\w-]*)
    |(?P<is>::=)|(?P<literal>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<set>\[\^?\]?(?:[^\]\\]|\\.)*\])
    |(?P<number>\#x[0-9A-Fa-f]+)|(?P<mark>[()|*+?])|(?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_DEEPEST = 50  # groups within groups
_TIMES = {"*": (0, None), "+": (1, None), "?": (0, 1)}


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
    return _Reader(source).rules()


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = list(self._split())
        self.at = self.depth = 0

    def _split(self) -> Iterator[Token]:
        for match in _TOKEN.finditer(self.source):
            kind = match.lastgroup or "bad"
            token = Token(kind, match.group(), match.start())
            if kind == "bad":
                self.refuse(f"{token.text!r} cannot stand here", token)
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
        parts = []
        while self.peek().kind not in ("rule", "end") and self.peek().text not in ("|", ")"):
            parts.append(self.repeated())
        return parts[0] if len(parts) == 1 else Join(tuple(parts))

    def repeated(self) -> Pattern:
        part = self.atom()
        while self.peek().text in ("*", "+", "?"):
            least, most = _TIMES[self.take().text]
            part = Repeat(part, least, most)
        return part

    def atom(self) -> Pattern:
        token = self.take()
        if token.kind == "name":
            return Name(token.text)
        if token.kind == "literal":
            return text(re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), token.text[1:-1]))
        if token.kind == "number":
            point = int(token.text[2:], 16)
            if point > 0x10FFFF:
                self.refuse(f"{token.text} is no character", token)
            return Chars(((point, point),))
        if token.kind == "set":
            return regex.parse(re.sub(r"#x([0-9A-Fa-f]+)", lambda m: f"\\U{int(m.group(1), 16):08x}", token.text))
        if token.text == "(":
            self.depth += 1
            if self.depth > _DEEPEST:
                self.refuse(f"groups are nested more than {_DEEPEST} deep", token)
            inner = self.either()
            self.depth -= 1
            if self.peek().text != ")":
                self.refuse("'(' without its ')'", token)
            self.take()
            return inner
        return self.refuse(f"{token.text!r} has nothing before it" if token.text else "it ends too early", token)
