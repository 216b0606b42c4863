"""Readers by the kind of file: each is a function from a source to a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from elman.data.dataset import Dataset
from elman.data.demo_text import demo_prose
from elman.data.text import read_text
from elman.data.vocabulary import Vocabulary
from elman.errors import ConfigError
from elman.sequences import Ragged

Reader = Callable[..., Dataset]


def text(source: str | None, bytes: bool = False) -> Dataset:
    """One text as one sequence of tokens, in the column "text".

    Args:
        source: a file; None is the text that ships with CPython.
        bytes: tokens are bytes, and any file will do; otherwise they are the characters that occur.

    Raises:
        DataError: the file cannot be used.
    """
    found = demo_prose() if source is None else read_text(source, bytes)
    raw = found.encode("utf-8", "surrogatepass") if isinstance(found, str) else found
    vocabulary = Vocabulary.bytes() if bytes else Vocabulary.characters(str(found))
    tokens = vocabulary.encode(found).astype(np.int64, copy=False)
    return Dataset(
        name="the demo text" if source is None else source,
        columns={"text": Ragged.from_lengths(tokens, [len(tokens)])},
        vocabularies={"text": vocabulary},
        digest=hashlib.sha256(raw).hexdigest(),
    )


REGISTRY: dict[str, Reader] = {"text": text}


def read(source: str | None, format: str = "text", **options: Any) -> Dataset:
    """Read a source.

    Args:
        source: a file; None is what ships with Python for this format.
        format: the name of a reader.
        options: of the reader.

    Raises:
        ConfigError: there is no such reader.
        DataError: the source cannot be used.
    """
    if format not in REGISTRY:
        raise ConfigError(f"unknown format {format!r}; there is a reader for {', '.join(REGISTRY)}")
    return REGISTRY[format](source, **options)
