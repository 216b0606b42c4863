"""The four roles of decoding: a stepper predicts, filters forbid, a searcher chooses, a ranker compares.

V is the vocabulary size, B the number of sequences side by side. Scores are natural logarithms in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError

if TYPE_CHECKING:
    from elman.decode.spelling import Spelling

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class StepperState(Protocol):
    """Where B sequences have got to. A value: stepping on from it, twice or never, does not change it."""

    def select(self, parents: Integers, /) -> Any:
        """The states of some sequences in the order asked for; repeats allowed."""
        ...


@runtime_checkable
class Joinable(StepperState, Protocol):
    """A state of sequences that others can be put behind: prompts of unequal length then run side by side."""

    def join(self, others: Sequence[Any], /) -> Any:
        """These sequences and others after them; None where they cannot be joined."""
        ...


class Stepper(ABC):
    """What is decoded from. Any number of threads may call it at once: what moves is in the states.

    Attributes:
        size: V.
        spelling: what its tokens write, where it is known.
        begin: the token that an empty prompt stands for; None where there is none.
        normalised: whether it gives log-probabilities, rather than scores.
        is_checked: whether it sees to it itself that it gives what it should; others are checked at every step.
    """

    size: int
    spelling: Spelling | None = None
    begin: int | None = None
    normalised: bool = True
    is_checked: bool = False

    @abstractmethod
    def start(self, batch: int, /) -> Any:
        """The state of sequences that have read nothing: a `StepperState`."""

    @abstractmethod
    def step(self, tokens: Integers, state: Any, /) -> tuple[Floats, Any]:
        """Read one token each, [B]; give the log-probabilities [B, V] of the next one, and the state."""

    def join(self, states: Sequence[Any], /) -> Any | None:
        """Batches one after another; None where they cannot be joined: they then run one after another.

        Raises:
            ConfigError: the states are of several steppers.
        """
        first, *others = states
        if len(kinds := dict.fromkeys(type(state).__name__ for state in states)) > 1:
            raise ConfigError(f"states of one stepper are needed, got {' and '.join(kinds)}: carried from another?")
        try:
            return first.join(others) if isinstance(first, Joinable) else None
        except (KeyError, RuntimeError, ValueError) as error:
            raise ConfigError(f"states of one stepper are needed: {error}; carried from another?") from error


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


class Ranker(ABC):
    """What finished hypotheses are compared by. With a `bound`, searches may prove that nothing better comes."""

    @property
    def needs_state(self) -> bool:
        """Whether a score looks at the stepper's state."""
        return True

    @property
    def has_bound(self) -> bool:
        """Whether `bound` says something."""
        return type(self).bound is not Ranker.bound

    @abstractmethod
    def score(self, hypotheses: Hypotheses, /) -> Floats:
        """[n], larger is better."""

    def bound(self, hypotheses: Hypotheses, limit: int, /) -> Floats | None:
        """[n], no continuation to at most `limit` tokens scores higher; None where that cannot be said."""
        return None


def is_token(value: object) -> bool:
    """Whether a value can be a token's number."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def log_softmax(logits: NDArray[Any]) -> Floats:
    """Log-probabilities [B, V] in float64. A row's bits do not depend on the others."""
    x = logits.astype(np.float64)
    x -= np.maximum.reduce(x, axis=1, keepdims=True)
    x -= np.log(np.add.reduce(np.exp(x), axis=1, keepdims=True))
    return x
