"""Sequences in named columns: what a reader makes of files, and a task takes its inputs and targets from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from elman.data.vocabulary import Vocabulary
from elman.sequences import Ragged


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences as a reader found them.

    Attributes:
        name: what messages call it.
        columns: by name, a value for every step of every sequence; all have the same lengths.
        vocabularies: for columns of tokens, what these mean.
        digest: SHA-256 of what was read, hexadecimal.
    """

    name: str
    columns: Mapping[str, Ragged]
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    digest: str = ""

    @property
    def steps(self) -> int:
        """Steps of all sequences together, N."""
        return len(next(iter(self.columns.values())).values)
