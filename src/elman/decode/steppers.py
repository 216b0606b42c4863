"""Steppers: a table of transitions, a user's function, two models fused. A trained model is in `decode.model`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.decode.roles import Floats, Integers, Stepper, log_softmax
from elman.decode.spelling import Spelling
from elman.errors import ConfigError, DataError, ShapeError

_ABOVE_ONE = 1e-6  # float32 log-probabilities may round to a little above 0
_UNNORMALISED = 1e-3


@dataclass(frozen=True, eq=False)
class Arrays:
    """A state of named arrays with the batch as first axis, as a value."""

    arrays: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]

    def select(self, parents: Integers) -> Arrays:
        """Rows of every array."""
        return Arrays({name: array.take(parents, axis=0) for name, array in self.arrays.items()})

    def join(self, others: Sequence[Arrays]) -> Arrays:
        """These rows and others after them."""
        everything = (self, *others)
        return Arrays({name: np.concatenate([state[name] for state in everything]) for name in self.arrays})


class TableStepper:
    """A Markov chain: the next token depends on the last `order` tokens.

    Args:
        probabilities: [V, …, V], order + 1 axes; the last axis is the next token, the one before it the token read
            last. Rows sum to 1. A first axis of V + 1 has a row for the beginning, which an empty prompt stands for.
        spelling: what tokens write.

    Raises:
        ShapeError: other axes.
        DataError: rows that are no distributions.
    """

    def __init__(self, probabilities: ArrayLike, spelling: Spelling | None = None) -> None:
        table = np.asarray(probabilities, np.float64)
        self.size = int(table.shape[-1]) if table.ndim else 0
        self.order = table.ndim - 1
        rows = set(table.shape[:-1])
        if self.order < 1 or len(rows) != 1 or rows.pop() not in (self.size, self.size + 1):
            raise ShapeError(f"a table of transitions must be [V, V], or V + 1 rows by V; got {list(table.shape)}")
        if not (table >= 0).all() or not np.allclose(table.sum(axis=-1), 1.0, atol=1e-6):
            raise DataError("every row of a table of transitions must be probabilities that sum to 1")
        with np.errstate(divide="ignore"):
            self.log_probabilities: Floats = np.minimum(np.log(table), 0.0)
        self._inputs = table.shape[0]
        self.begin = self.size if self._inputs > self.size else None
        self.spelling = spelling

    is_checked = True

    def start(self, batch: int) -> Arrays:
        """Sequences that have read nothing: as if token 0 (or the beginning) had come before."""
        fill = 0 if self.begin is None else self.begin
        return Arrays({"past": np.full((batch, self.order - 1), fill, np.int64)})

    def step(self, tokens: Integers, state: Arrays) -> tuple[Floats, Arrays]:
        """Rows of the table."""
        if len(tokens) and (tokens.min() < 0 or tokens.max() >= self._inputs):
            raise ShapeError(f"tokens must be 0 … {self._inputs - 1}, got {tokens.min()} … {tokens.max()}")
        past = np.concatenate((state["past"], tokens[:, None]), axis=1)
        return self.log_probabilities[tuple(past.T)], Arrays({"past": past[:, 1:]})


class CallableStepper:
    """A user's function as a stepper, with what it gives checked at every step.

    Args:
        function: (tokens int64 [B], state) → (log-probabilities [B, V], state). A state is None, a mapping of arrays
            whose first axis is the batch, or an object with `select(parents)`.
        size: V.
        start: batch → the state of sequences that have read nothing; None for a function without a state.
        normalise: the function gives logits: a softmax is put upon them.
        spelling: what tokens write.
        begin: the token that an empty prompt stands for.
    """

    def __init__(
        self,
        function: Callable[[Integers, Any], tuple[ArrayLike, Any]],
        size: int,
        start: Callable[[int], Any] | None = None,
        *,
        normalise: bool = False,
        spelling: Spelling | None = None,
        begin: int | None = None,
    ) -> None:
        if size < 1:
            raise ConfigError(f"a stepper needs a vocabulary of at least 1 token, got {size}")
        if spelling is not None and len(spelling) != size:
            raise ConfigError(f"the spelling has {len(spelling)} tokens, the stepper {size}")
        self.size, self.spelling, self.begin = size, spelling, begin
        self._function, self._start, self._normalise = function, start, normalise

    is_checked = True

    def start(self, batch: int) -> Any:
        """What the user's start gives."""
        return _as_state(self._start(batch) if self._start else None, batch)

    def step(self, tokens: Integers, state: Any) -> tuple[Floats, Any]:
        """Call the function, and check what it gives (see `checked`)."""
        result = self._function(tokens, state.arrays if isinstance(state, Arrays) else state)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ConfigError(f"the function must give (log-probabilities, state), got {type(result).__name__}")
        given, after = result
        values = checked(given, len(tokens), self.size, normalised=not self._normalise)
        if self._normalise:
            values = log_softmax(values)
        return values, _as_state(after, len(tokens))


def checked(given: ArrayLike, batch: int, size: int, normalised: bool = True) -> Floats:
    """What a stepper gave, if it is log-probabilities [B, V] (or, unless `normalised`, logits).

    Raises:
        ShapeError, DataError: it is not.
    """
    values = np.asarray(given)
    if values.dtype.kind not in "fiub":
        raise DataError(f"the stepper must give numbers, got {values.dtype}")
    if values.shape != (batch, size):
        raise ShapeError(f"the stepper must give log-probabilities [{batch}, {size}], got {list(values.shape)}")
    values = values.astype(np.float64)
    if np.isnan(values).any() or (values == np.inf).any():
        row, token = np.argwhere(np.isnan(values) | (values == np.inf))[0]
        raise DataError(f"the stepper gave {values[row, token]} for token {token} of sequence {row}: not finite")
    best = values.max(axis=1)
    if (best == -np.inf).any():
        raise DataError(f"the stepper gave -inf for every token of sequence {int(best.argmin())}: nothing can come")
    if normalised:
        total = np.exp(np.minimum(values, 1.0)).sum(axis=1)
        if (best > _ABOVE_ONE).any() or (np.abs(total - 1) > _UNNORMALISED).any():
            row = int(np.abs(total - 1).argmax())
            raise DataError(
                f"the stepper's probabilities of sequence {row} sum to {np.exp(values[row]).sum():.4g}, expected 1; "
                "if it gives logits, say normalise=True"
            )
        np.minimum(values, 0.0, out=values)  # or else a longer sequence could score higher
    return values


class NoState:
    """The state of a function that has none."""

    def select(self, parents: Integers) -> NoState:
        """Itself."""
        return self

    def join(self, others: Sequence[NoState]) -> NoState:
        """Itself."""
        return self


def _as_state(state: Any, batch: int) -> Any:
    if state is None or isinstance(state, NoState):
        return NoState()
    if isinstance(state, Arrays) or hasattr(state, "select"):
        return state
    if isinstance(state, Mapping):
        arrays = {name: np.asarray(array) for name, array in state.items()}
        for name, array in arrays.items():
            if array.shape[:1] != (batch,):
                raise ShapeError(f"a state's first axis is the batch, {batch}; {name} has shape {list(array.shape)}")
        return Arrays(arrays)
    raise ConfigError(
        f"a stepper's state must be None, a mapping of arrays, or have select(parents); got {type(state).__name__}"
    )


class FusedStepper:
    """Shallow fusion: log p(token) + weight · log p of a second stepper over the same tokens.

    What it gives are scores, no distribution: sampling from them draws from the product of experts.
    Reference: Gulcehre et al. 2015, arXiv:1503.03535, section 4.1.

    Raises:
        ConfigError: the vocabularies differ, or the weight is negative (early stopping could not be proved then).
    """

    def __init__(self, main: Stepper, other: Stepper, weight: float) -> None:
        if main.size != other.size:
            raise ConfigError(f"fusion needs one vocabulary, the steppers have {main.size} and {other.size} tokens")
        if not 0 <= weight < np.inf:
            raise ConfigError(f"the weight of a fusion must be 0 or above and finite, got {weight}")
        self.main, self.other, self.weight, self.normalised = main, other, weight, False
        self.size = main.size
        self.spelling: Spelling | None = getattr(main, "spelling", None)
        self.begin: int | None = getattr(main, "begin", None)
        self.is_checked = getattr(main, "is_checked", False) and getattr(other, "is_checked", False)

    def start(self, batch: int) -> Pair:
        """Both states."""
        return Pair(self.main.start(batch), self.other.start(batch))

    def step(self, tokens: Integers, state: Pair) -> tuple[Floats, Pair]:
        """Both steps."""
        one, first = self.main.step(tokens, state.first)
        two, second = self.other.step(tokens, state.second)
        return one + self.weight * two if self.weight else one, Pair(first, second)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two states side by side."""

    first: Any
    second: Any

    def select(self, parents: Integers) -> Pair:
        """Rows of both."""
        return Pair(self.first.select(parents), self.second.select(parents))

    def join(self, others: Sequence[Pair]) -> Pair | None:
        """Batches one after another, of both; None where one of them cannot be joined."""
        if not hasattr(self.first, "join") or not hasattr(self.second, "join"):
            return None
        first, second = self.first.join([o.first for o in others]), self.second.join([o.second for o in others])
        return None if first is None or second is None else Pair(first, second)
