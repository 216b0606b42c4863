"""What a text must be. Constraints are values; a search compiles those that it is given, and they hold all at once.

Each speaks of the decoded text alone, without the prompt, the stop token and the stop string.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from elman.checks import shown
from elman.decode.constraints import automaton as automata
from elman.decode.constraints import regex
from elman.decode.constraints.automaton import Automaton
from elman.decode.constraints.constraint import Alphabet, Constraint
from elman.decode.constraints.pattern import LAST, Chars, Repeat
from elman.decode.roles import is_token
from elman.errors import ConfigError

_EXAMPLES = 3  # of what is missing


@dataclass(frozen=True)
class Regex(Constraint):
    """The text matches a regular expression, as a whole."""

    expression: str

    def __post_init__(self) -> None:
        regex.parse(self.expression)

    def over_text(self, alphabet: Alphabet) -> Automaton:
        """By Thompson's construction."""
        return alphabet.automaton(regex.parse(self.expression))


@dataclass(frozen=True)
class Utf8(Constraint):
    """The bytes are whole characters of UTF-8. Of characters it asks nothing."""

    def over_text(self, alphabet: Alphabet) -> Automaton:
        """Every character, again and again."""
        return alphabet.automaton(Repeat(Chars(((0, LAST),)), 0, None))


@dataclass(frozen=True)
class Lexicon(Constraint):
    """The text is one of the words; with a separator (one character), one or more of them with it between."""

    words: tuple[str, ...]
    separator: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.words, tuple | list | set | frozenset):
            raise ConfigError(f"a lexicon needs words, got {shown(self.words)}")
        if not self.words or not all(isinstance(word, str) and word for word in self.words):
            raise ConfigError("a lexicon needs words, none of them empty")
        object.__setattr__(self, "words", tuple(dict.fromkeys(self.words)))
        separator = self.separator
        if not isinstance(separator, str) or len(separator) > 1:
            raise ConfigError(f"a separator is one character that stands in no word, got {shown(separator)}")
        if separator and (word := next((word for word in self.words if separator in word), None)):
            raise ConfigError(f"a separator is one character that stands in no word; {separator!r} stands in {word!r}")

    def over_text(self, alphabet: Alphabet) -> Automaton:
        """A prefix tree of the words that can be written; a warning counts those that cannot."""
        missing: list[str] = []
        written = _each_written(alphabet, self.words, missing)
        separator = _written(alphabet, self.separator, "the separator")
        found = automata.words(written, separator, alphabet.size, alphabet.budget)
        if missing:
            examples = ", ".join(map(repr, missing[:_EXAMPLES])) + (", …" if len(missing) > _EXAMPLES else "")
            told = f"{len(missing):,} of the lexicon's {len(self.words):,} words have characters that no token writes"
            if len(missing) == len(self.words):
                raise ConfigError(f"{told}: {examples}; no word is left")
            warnings.warn(f"{told}, and are left out: {examples}", stacklevel=2)
        return found


def _each_written(alphabet: Alphabet, words: Sequence[str], missing: list[str]) -> Iterator[list[int]]:
    for word in words:
        symbols = alphabet.symbols(word)
        if symbols is None:
            missing.append(word)
        else:
            yield symbols


@dataclass(frozen=True)
class Prefix(Constraint):
    """The text begins so; given as text, or as tokens."""

    start: str | tuple[int, ...]

    @property
    def is_over_tokens(self) -> bool:
        """Whether it was given as tokens."""
        return not isinstance(self.start, str)

    def over_text(self, alphabet: Alphabet) -> Automaton:
        """A chain."""
        return automata.beginning(_written(alphabet, self.start, "the prefix"), alphabet.size)

    def over_tokens(self, size: int) -> Automaton:
        """A chain of tokens."""
        return automata.beginning(_in_range(self.start, size, "the prefix"), size)


@dataclass(frozen=True)
class Infix(Constraint):
    """This stands somewhere in the text; given as text, or as tokens."""

    part: str | tuple[int, ...]

    @property
    def is_over_tokens(self) -> bool:
        """Whether it was given as tokens."""
        return not isinstance(self.part, str)

    def over_text(self, alphabet: Alphabet) -> Automaton:
        """A search for it."""
        return automata.containing(_written(alphabet, self.part, "the infix"), alphabet.size)

    def over_tokens(self, size: int) -> Automaton:
        """A search among tokens."""
        return automata.containing(_in_range(self.part, size, "the infix"), size)


@dataclass(frozen=True)
class Allowed(Constraint):
    """Only these characters, or tokens, are used."""

    symbols: str | tuple[int, ...]

    @property
    def is_over_tokens(self) -> bool:
        """Whether it was given as tokens."""
        return not isinstance(self.symbols, str)

    def over_text(self, alphabet: Alphabet) -> Automaton:
        """One state. Of bytes: whole characters among these."""
        assert isinstance(self.symbols, str)
        if self.symbols and all(alphabet.symbols(character) is None for character in self.symbols):
            raise ConfigError(f"no token writes any of the allowed characters {shown(self.symbols)}")
        points = tuple((ord(character),) * 2 for character in sorted(set(self.symbols)))
        return alphabet.automaton(Repeat(Chars(points), 0, None))

    def over_tokens(self, size: int) -> Automaton:
        """One state."""
        allowed = np.zeros(size, bool)
        allowed[_in_range(self.symbols, size, "the allowed tokens")] = True
        return automata.only(allowed)


def _written(alphabet: Alphabet, text: str | Sequence[int], what: str) -> list[int]:
    assert isinstance(text, str)
    symbols = alphabet.symbols(text)
    if symbols is None:
        raise ConfigError(f"{what} {shown(text)} has characters that no token writes")
    return symbols


def _in_range(tokens: str | Sequence[int], size: int, what: str) -> list[int]:
    if not isinstance(tokens, tuple | list) or not all(is_token(t) and int(t) < size for t in tokens):
        raise ConfigError(f"{what} must be text, or tokens 0 … {size - 1}, got {shown(tokens)}")
    return [int(token) for token in tokens]
