"""Sequences on their way, side by side: one row of every array for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.decode.roles import Booleans, Floats, Integers


class Tape:
    """A matrix that grows by columns, [B, length]."""

    def __init__(self, start: Any, room: int) -> None:
        self.length = start.shape[1]
        self._whole = np.empty((start.shape[0], self.length + max(1, room)), start.dtype)
        self._whole[:, : self.length] = start

    @property
    def values(self) -> Any:
        """What stands there, a view."""
        return self._whole[:, : self.length]

    def append(self, column: Any) -> None:
        """One more column, [B]."""
        if self.length == self._whole.shape[1]:
            self._whole = np.concatenate((self._whole, np.empty_like(self._whole)), axis=1)
        self._whole[:, self.length] = column
        self.length += 1

    def select(self, rows: Integers) -> Tape:
        """Rows, copied."""
        chosen = Tape.__new__(Tape)
        chosen.length = self.length
        chosen._whole = np.empty((len(rows), self._whole.shape[1]), self._whole.dtype)
        chosen._whole[:, : self.length] = self.values[rows]
        return chosen


@dataclass
class Live:
    """Sequences on their way. Rows that end are taken out by `select`.

    Attributes:
        owner: [B], which prompt each belongs to.
        stream: [B], which of the prompt's sequences it is.
        last: [B], the token to be read next.
        state: the stepper's, before it reads `last`.
        tokens: [B, begin + t], what was decoded, behind what stood there before and may not be repeated.
        begin: columns of `tokens` from before this search.
        log_probabilities, scores: [B, t].
        total: [B], sums of the scores.
        constraint: [B], states of the constraints in force.
        counts: [B, V], how often a token stands in the text, where penalties ask for it.
        seen: [B, V], whether it stands in the prompt.
    """

    owner: Integers
    stream: Integers
    last: Integers
    state: Any
    tokens: Tape
    begin: int
    log_probabilities: Tape
    scores: Tape
    total: Floats
    constraint: Integers
    counts: Integers | None
    seen: Booleans | None

    def __len__(self) -> int:
        return len(self.last)

    @property
    def length(self) -> int:
        """Tokens decoded by this search, t."""
        return int(self.log_probabilities.length)

    @property
    def written(self) -> Integers:
        """What was decoded, [B, t]."""
        written: Integers = self.tokens.values[:, self.begin :]
        return written

    def append(self, tokens: Integers, log_probabilities: Floats, scores: Floats) -> None:
        """Each sequence gets its next token, [B]."""
        self.tokens.append(tokens)
        self.log_probabilities.append(log_probabilities)
        self.scores.append(scores)
        self.total = self.total + scores
        self.last = tokens
        if self.counts is not None:
            self.counts[np.arange(len(tokens)), tokens] += 1

    def without_rows(self) -> Live:
        """None of them; only `len` may be asked of it, and owners."""
        nothing = np.zeros(0, np.int64)
        return Live(**(vars(self) | {"last": nothing, "owner": nothing}))

    def select(self, rows: Integers) -> Live:
        """Some of them, repeats allowed; nothing is shared."""
        return Live(
            owner=self.owner[rows],
            stream=self.stream[rows],
            last=self.last[rows],
            state=self.state.select(rows),
            tokens=self.tokens.select(rows),
            begin=self.begin,
            log_probabilities=self.log_probabilities.select(rows),
            scores=self.scores.select(rows),
            total=self.total[rows],
            constraint=self.constraint[rows],
            counts=None if self.counts is None else self.counts[rows],
            seen=None if self.seen is None else self.seen[rows],
        )
