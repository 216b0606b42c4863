"""The four roles of decoding: a stepper predicts, filters forbid, a searcher chooses, a ranker compares.

V is the vocabulary size, B the number of sequences side by side. Scores are natural logarithms in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class State(Protocol):
    """Where B sequences have got to. A value: stepping on from it, twice or never, does not change it."""

    def select(self, parents: Integers, /) -> Any:
        """The states of some sequences in the order asked for; repeats allowed."""
        ...


class Stepper(Protocol):
    """What is decoded from.

    A stepper may also have `spelling` (a Spelling: what its tokens write), `begin` (the token that an empty prompt
    stands for), `normalised` (False where it gives scores rather than log-probabilities), `is_checked` (True where it
    sees to it itself that it gives numbers; a search checks the others at every step), and states with
    `join(others)`, which puts batches one after another (or gives None): prompts of unequal length then run side by
    side, and one length after another without.
    """

    @property
    def size(self) -> int:
        """V."""
        ...

    def start(self, batch: int, /) -> Any:
        """The state of sequences that have read nothing."""
        ...

    def step(self, tokens: Integers, state: Any, /) -> tuple[Floats, Any]:
        """Read one token each, [B]; give the log-probabilities [B, V] of the next one, and the state."""
        ...


Filter = Callable[[Floats], Floats]  # log-probabilities [B, V], not necessarily normalised → the same, some at -inf


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Candidates of equal length, for a ranker.

    Attributes:
        total: [n], sums of the scores of their tokens.
        tokens: [n, length], what was written, a stop token included.
        state: the stepper's state that predicted the last token, if there is one.
    """

    total: Floats
    tokens: Integers
    state: Any = None

    @property
    def length(self) -> int:
        """Tokens of each."""
        return int(self.tokens.shape[1])


class Ranker(Protocol):
    """What finished hypotheses are compared by."""

    def score(self, hypotheses: Hypotheses, /) -> Floats:
        """[n], larger is better."""
        ...

    def bound(self, hypotheses: Hypotheses, limit: int, /) -> Floats | None:
        """[n], no continuation to at most `limit` tokens scores higher; None where that cannot be said."""
        ...


def log_softmax(logits: NDArray[Any]) -> Floats:
    """Log-probabilities [B, V] in float64. A row's bits do not depend on the others."""
    x = logits.astype(np.float64)
    x -= np.maximum.reduce(x, axis=1, keepdims=True)
    x -= np.log(np.add.reduce(np.exp(x), axis=1, keepdims=True))
    return x
