"""A text on its way into training: vocabulary, tokens, and the part that is held out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.data.demo_text import demo_text
from elman.data.text import read_text
from elman.data.vocabulary import Vocabulary
from elman.errors import DataError
from elman.train.config import TextConfig

# Lines that draw: borders and rows of tables, long rules, columns held apart by spaces. A model learns them in seconds,
# and then falls into them and draws forever.
_DRAWN = re.compile(r"^(?:[ \t]*(?:\||\+[-=+]|[-=]{20})|.* {12}).*\n", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class TextData:
    """A text in two parts.

    Attributes:
        vocabulary: of the whole text.
        training: int64 tokens [N], the beginning.
        validation: int64 tokens [M], the rest.
        digest: SHA-256 of the whole text, hexadecimal.
    """

    vocabulary: Vocabulary
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    digest: str


def load_text(config: TextConfig) -> TextData:
    """Read a run's text and hold its end out.

    Raises:
        DataError: the file cannot be used, or is too short to be split.
    """
    text = read_text(config.file, config.bytes) if config.file else demo_prose()
    vocabulary = Vocabulary.bytes() if config.bytes else Vocabulary.characters(str(text))
    tokens = vocabulary.encode(text)
    held_out = round(len(tokens) * config.validation)
    training, validation = tokens[: len(tokens) - held_out], tokens[len(tokens) - held_out :]
    name = config.file or "the demo text"
    if len(validation) < 2:
        raise DataError(
            f"{name}: {len(tokens)} tokens leave {len(validation)} to validate on, 2 at least are needed; "
            "a longer text, or a larger --validation"
        )
    if len(training) <= config.batch:
        raise DataError(
            f"{name}: {len(training)} tokens to train on are too few for {config.batch} streams side by side; "
            "a longer text, or a smaller --batch"
        )
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return TextData(vocabulary, training, validation, hashlib.sha256(raw).hexdigest())


def demo_prose() -> str:
    """The demo text without the tables drawn in it: every other line as it stands."""
    return _DRAWN.sub("", demo_text())
