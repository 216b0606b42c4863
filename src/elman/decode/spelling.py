"""What tokens write: the bridge between token numbers and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from elman.arrays import as_array, as_tokens
from elman.checks import of_kind, shown
from elman.data.vocabulary import Vocabulary
from elman.decode.roles import Integers
from elman.errors import ConfigError, DataError

_LONGEST = 4  # bytes of a character

Unknown = Literal["error", "skip", "replace"]


@dataclass(frozen=True)
class Spelling:
    """The text of every token.

    Attributes:
        texts: [V], str each, or bytes each; an empty one writes nothing (a stop token).
        vocabulary: the vocabulary that they come from, if there is one.
    """

    texts: tuple[str, ...] | tuple[bytes, ...]
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        of_kind("texts", self.texts, tuple, "a tuple with a text for each token")
        if self.vocabulary is not None:
            of_kind("vocabulary", self.vocabulary, Vocabulary, "a Vocabulary or None")
        kinds = {type(text) for text in self.texts}
        if kinds not in ({str}, {bytes}):
            found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
            raise DataError(f"a spelling needs a str for each token, or bytes for each, got {found}")

    @classmethod
    def of(cls, source: Vocabulary | Sequence[str] | Sequence[bytes]) -> Spelling:
        """The spelling of a vocabulary, or of texts given token by token."""
        if not isinstance(source, Vocabulary):
            of_kind("source", source, Sequence, "a Vocabulary, or a text for each token")
            return cls(tuple(source))  # type: ignore[arg-type]
        if source.kind == "bytes":
            return cls(tuple(bytes([value]) for value in range(256)), source)
        return cls(tuple(source.symbols), source)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def is_bytes(self) -> bool:
        """Whether tokens are pieces of UTF-8 rather than of text."""
        return isinstance(self.texts[0], bytes)

    @cached_property
    def units(self) -> tuple[tuple[int, ...], ...]:
        """Each token's code points, or bytes."""
        return tuple(tuple(text) if isinstance(text, bytes) else tuple(map(ord, text)) for text in self.texts)

    def units_of(self, text: str) -> tuple[int, ...]:
        """A text's code points, or its bytes in UTF-8."""
        of_kind("text", text, str, "text")
        return tuple(text.encode("utf-8", "surrogateescape")) if self.is_bytes else tuple(map(ord, text))

    def text(self, tokens: ArrayLike) -> str:
        """The text of tokens [N]; bytes that are no UTF-8 become U+FFFD."""
        return self.decoder()(tokens, True)

    def decoder(self, before: ArrayLike = ()) -> Callable[..., str]:
        """A function `(tokens, final=False) -> str` for a stream of tokens; incomplete characters are held back.

        Args:
            before: tokens in front of the stream, of which a last character may be incomplete.
        """
        if not self.is_bytes:
            return lambda tokens, final=False: "".join(str(self.texts[t]) for t in self.known(tokens))
        bytewise = Vocabulary.bytes().decoder()
        known = as_tokens(before)[-_LONGEST:]
        bytewise([unit for token in known if token < len(self) for unit in self.units[int(token)]])

        def decode(tokens: ArrayLike, final: bool = False) -> str:
            units = [unit for token in self.known(tokens) for unit in self.units[token]]
            return bytewise(np.array(units, np.int64), final)

        return decode

    def encode(self, text: str, unknown: Unknown = "error", replacement: str = "?") -> Integers:
        """The tokens of a text; where several spellings are possible, the longest token first.

        Args:
            text: what to spell.
            unknown: what happens to a character that no token spells: an error, or it is left out, or replaced.
            replacement: by this text.

        Raises:
            DataError: such a character, or a replacement that cannot be spelled either.
            ConfigError: an argument of the wrong kind.
        """
        if not isinstance(unknown, str) or unknown not in ("error", "skip", "replace"):
            raise ConfigError(f"unknown must be one of error, skip, replace, got {shown(unknown)}")
        of_kind("text", text, str, "text")
        if self.vocabulary is not None and self.vocabulary.kind == "bytes":
            return self.vocabulary.encode(text)
        tokens, units, place = [], self.units_of(text), 0
        while place < len(units):
            found = self._longest_at(units, place)
            if found is not None:
                tokens.append(found)
                place += len(self.units[found])
            elif unknown == "error":
                raise DataError(self._unknown(text, place))
            else:
                if unknown == "replace":
                    tokens += self._replacement(replacement)
                place += 1
        return np.array(tokens, np.int64)

    def known(self, tokens: ArrayLike) -> list[int]:
        """Tokens as a list. DataError where one is none of ours."""
        if isinstance(tokens, list) and len(tokens) == 1 and type(tokens[0]) is int and 0 <= tokens[0] < len(self):
            return tokens  # the commonest case, made quick
        values = as_array(tokens)
        values = np.zeros((0, 0)) if values is None else np.atleast_1d(values)
        if values.ndim != 1 or (
            values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= len(self))
        ):
            raise DataError(f"tokens must be whole numbers 0 … {len(self) - 1}, [N]; got {shown(tokens)}")
        return [int(token) for token in values]

    def _replacement(self, replacement: str) -> list[int]:
        try:
            tokens: list[int] = self.encode(replacement).tolist()
        except DataError as error:
            raise DataError(f"the replacement {replacement!r} cannot be written either: {error}") from None
        return tokens

    def _longest_at(self, units: tuple[int, ...], place: int) -> int | None:
        for length in self._lengths:
            token = self._token_of.get(units[place : place + length])
            if token is not None and place + length <= len(units):
                return token
        return None

    def _unknown(self, text: str, place: int) -> str:
        if self.is_bytes:
            return f"byte {place} of the text is written by none of the {len(self)} tokens"
        return (
            f"character {text[place]!r} (U+{ord(text[place]):04X}) at position {place} is not among the "
            f"{len(self)} characters of the vocabulary; skip or replace unknown characters, or write something else"
        )

    @cached_property
    def _token_of(self) -> dict[tuple[int, ...], int]:
        return {units: token for token, units in reversed(list(enumerate(self.units))) if units}

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(units) for units in self.units if units}, reverse=True)


def needs_spelling(spelling: Spelling | None, what: str) -> Spelling:
    """The spelling, or ConfigError: `what` speaks of text."""
    if spelling is None:
        raise ConfigError(f"{what} speaks of text, and this stepper does not say what its tokens write; give spelling=")
    return spelling
