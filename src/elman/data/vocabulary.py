"""Text and tokens: a vocabulary of characters or of bytes."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, FormatError

Tokens = NDArray[np.int64]
Raw = bytes  # inside the class, `bytes` is the method


@dataclass(frozen=True)
class Vocabulary:
    """A one-to-one map between symbols and the tokens 0 ... V - 1.

    Attributes:
        kind: "characters" (a symbol is a Unicode code point) or "bytes" (token i is the byte i).
        symbols: the characters by rising code point, token i is symbols[i]; empty for bytes.

    Raises:
        DataError: characters that do not rise, or symbols beside bytes.
    """

    kind: Literal["characters", "bytes"]
    symbols: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("characters", "bytes"):
            raise DataError(f"vocabulary: kind must be 'characters' or 'bytes', got {self.kind!r}")
        if self.kind == "bytes" and self.symbols:
            raise DataError("vocabulary: bytes have no symbols of their own")
        if self.kind == "characters" and (not self.symbols or "".join(sorted(set(self.symbols))) != self.symbols):
            raise DataError("vocabulary: at least one character expected, each once, by rising code point")

    @classmethod
    def characters(cls, text: str) -> Vocabulary:
        """The characters that occur in `text`."""
        if not text:
            raise DataError("a vocabulary of characters needs a text with at least one")
        return cls("characters", "".join(sorted(set(text))))

    @classmethod
    def bytes(cls) -> Vocabulary:
        """All 256 bytes."""
        return cls("bytes")

    def __len__(self) -> int:
        return 256 if self.kind == "bytes" else len(self.symbols)

    def encode(self, text: str | Raw) -> Tokens:
        """Give the tokens of a text, [N].

        Args:
            text: for bytes, a str is taken as UTF-8.

        Raises:
            DataError: a character that is not in the vocabulary, or that no bytes stand for, with its position.
        """
        if self.kind == "bytes":
            return np.frombuffer(_raw(text), np.uint8).astype(np.int64)
        if not isinstance(text, str):
            raise DataError(
                "a vocabulary of characters encodes text, got bytes; decode them, or use Vocabulary.bytes()"
            )
        points = _points(text)
        tokens = self._token_of[np.minimum(points, len(self._token_of) - 1)]
        unknown = tokens < 0
        if unknown.any():
            position = int(unknown.argmax())
            raise DataError(
                f"character {text[position]!r} (U+{ord(text[position]):04X}) at position {position} is not among the "
                f"{len(self)} characters of the vocabulary; a vocabulary of bytes takes any text"
            )
        return tokens

    def decode(self, tokens: ArrayLike) -> str:
        """Give the text of tokens [N]; bytes that are not UTF-8 become U+FFFD.

        Raises:
            DataError: a token outside 0 ... V - 1.
        """
        return self.decoder()(tokens, True)

    def decoder(self) -> Callable[..., str]:
        """Give a function `(tokens, final=False) -> str` for a stream of tokens.

        Of a character whose bytes come in several calls it gives nothing until it is complete, or until `final`.
        """
        if self.kind == "characters":
            return lambda tokens, final=False: "".join(map(self.symbols.__getitem__, self._checked(tokens)))
        pending = codecs.getincrementaldecoder("utf-8")("replace")
        return lambda tokens, final=False: pending.decode(Raw(self._checked(tokens)), final)

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as plain JSON values."""
        return {"kind": self.kind, "symbols": self.symbols}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Vocabulary:
        """Read a vocabulary back. Raises FormatError where `data` is none."""
        if not isinstance(data, Mapping) or not all(isinstance(data.get(key), str) for key in ("kind", "symbols")):
            raise FormatError(f"vocabulary: kind and symbols expected, got {data!r}")
        try:
            return cls(data["kind"], data["symbols"])
        except DataError as error:
            raise FormatError(str(error)) from None

    @cached_property
    def _token_of(self) -> Tokens:
        """The token of each code point up to one past the last symbol; -1 where there is none."""
        table = np.full(ord(self.symbols[-1]) + 2, -1, np.int64)
        table[_points(self.symbols)] = np.arange(len(self.symbols))
        return table

    def _checked(self, tokens: ArrayLike) -> list[int]:
        array = np.asarray(tokens)
        if array.size == 0:
            return []
        if array.dtype.kind not in "iu":
            raise DataError(f"tokens must be integers, got {array.dtype}")
        if array.min() < 0 or array.max() >= len(self):
            raise DataError(f"tokens must lie in 0 ... {len(self) - 1}, got {array.min()} ... {array.max()}")
        values: list[int] = array.reshape(-1).tolist()
        return values


def _raw(text: str | bytes) -> bytes:
    if not isinstance(text, str):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")  # command lines carry stray bytes as surrogates
    except UnicodeEncodeError as error:
        raise DataError(f"character {text[error.start]!r} at position {error.start} has no UTF-8 form") from None


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
