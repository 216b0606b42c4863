"""Steppers: a table of transitions, and a user's function. A trained model is in `decode.model`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.arrays import as_array, as_tokens
from elman.checks import a_function, of_kind, shown, whole
from elman.decode.door import checked, pair
from elman.decode.roles import Floats, Integers, Stepper, log_softmax
from elman.decode.spelling import Spelling
from elman.errors import ConfigError, DataError, DtypeError, ShapeError
from elman.runtime.room import MOST_ROWS


@dataclass(frozen=True, eq=False)
class NamedArrays:
    """A state of named arrays with the batch as first axis, as a value."""

    arrays: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]

    def select(self, parents: Integers) -> NamedArrays:
        """Rows of every array."""
        return NamedArrays({name: array.take(parents, axis=0) for name, array in self.arrays.items()})

    def join(self, others: Sequence[NamedArrays]) -> NamedArrays:
        """These rows and others after them."""
        everything = (self, *others)
        return NamedArrays({name: np.concatenate([state[name] for state in everything]) for name in self.arrays})


class TableStepper(Stepper):
    """A Markov chain: the next token depends on the last `order` tokens.

    Args:
        probabilities: [V, …, V], order + 1 axes; the last axis is the next token, the one before it the token read
            last. Rows sum to 1. A first axis of V + 1 has a row for the beginning, which an empty prompt stands for.
        spelling: what tokens write.

    Raises:
        ShapeError: other axes.
        DtypeError, DataError: no numbers, or rows that are no distributions.
    """

    def __init__(self, probabilities: ArrayLike, spelling: Spelling | None = None) -> None:
        table = _table(probabilities)
        self.size = int(table.shape[-1]) if table.ndim else 0
        self.order = table.ndim - 1
        rows = set(table.shape[:-1])
        if self.order < 1 or len(rows) != 1 or rows.pop() not in (self.size, self.size + 1):
            raise ShapeError(f"a table of transitions must be [V, V], or V + 1 rows by V; got {list(table.shape)}")
        if not (table >= 0).all() or not np.allclose(table.sum(axis=-1), 1.0, atol=1e-6):
            raise DataError("every row of a table of transitions must be probabilities that sum to 1")
        with np.errstate(divide="ignore"):
            self.log_probabilities: Floats = np.minimum(np.log(table), 0.0)
        self.log_probabilities.flags.writeable = False  # threads may share it
        self._inputs = table.shape[0]
        self.begin = self.size if self._inputs > self.size else None
        self.spelling = _fitting(spelling, self.size)

    is_checked = True

    def start(self, batch: int) -> NamedArrays:
        """Sequences that have read nothing: as if token 0 (or the beginning) had come before."""
        batch, fill = whole("batch", batch, 0, MOST_ROWS), 0 if self.begin is None else self.begin
        return NamedArrays({"past": np.full((batch, self.order - 1), fill, np.int64)})

    def step(self, tokens: Integers, state: NamedArrays) -> tuple[Floats, NamedArrays]:
        """Rows of the table."""
        tokens = as_tokens(tokens)
        of_kind("state", state, NamedArrays, "what start or a step gave")
        if len(tokens) != len(state["past"]):
            raise ShapeError(f"{len(state['past'])} sequences need as many tokens; got {len(tokens)}")
        if len(tokens) and (tokens.min() < 0 or tokens.max() >= self._inputs):
            raise ShapeError(f"tokens must be 0 … {self._inputs - 1}, got {tokens.min()} … {tokens.max()}")
        past = np.concatenate((state["past"], tokens[:, None]), axis=1)
        return self.log_probabilities[tuple(past.T)], NamedArrays({"past": past[:, 1:]})


class CallableStepper(Stepper):
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
        a_function("function", function, "a function (tokens, state) → (log-probabilities, state)")
        if start is not None:
            a_function("start", start, "a function batch → state, or None")
        of_kind("normalise", normalise, bool, "True or False")
        self.size = whole("size", size, 1)
        self.spelling = _fitting(spelling, self.size)
        self.begin = None if begin is None else whole("begin", begin)
        self._function, self._start, self._normalise = function, start, normalise

    is_checked = True

    def start(self, batch: int) -> Any:
        """What the user's start gives."""
        return _as_state(self._start(batch) if self._start else None, batch)

    def step(self, tokens: Integers, state: Any) -> tuple[Floats, Any]:
        """Call the function, and check what it gives (see `checked`)."""
        tokens = as_tokens(tokens)
        result = self._function(tokens, state.arrays if isinstance(state, NamedArrays) else state)
        given, after = pair(result, "the function")
        values = checked(given, len(tokens), self.size, normalised=not self._normalise)
        if self._normalise:
            values = log_softmax(values)
        return values, _as_state(after, len(tokens))


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
    if isinstance(state, NamedArrays) or hasattr(state, "select"):
        return state
    if isinstance(state, Mapping):
        arrays = {name: _array(name, array) for name, array in state.items()}
        for name, array in arrays.items():
            if array.shape[:1] != (batch,):
                raise ShapeError(f"a state's first axis is the batch, {batch}; {name} has shape {list(array.shape)}")
        return NamedArrays(arrays)
    raise ConfigError(
        f"a stepper's state must be None, a mapping of arrays, or have select(parents); got {type(state).__name__}"
    )


def _array(name: str, given: ArrayLike) -> NDArray[Any]:
    array = as_array(given)
    if array is None:
        raise ConfigError(f"a stepper's state must be arrays, got {shown(given)} for {name}")
    return array


def _table(probabilities: ArrayLike) -> Floats:
    table = as_array(probabilities, np.float64)
    if table is None:
        raise DtypeError(f"a table of transitions must be numbers [V, V], got {shown(probabilities)}")
    return table


def _fitting(spelling: Spelling | None, size: int) -> Spelling | None:
    """The spelling, or ConfigError where it is none, or another vocabulary's."""
    if spelling is not None:
        of_kind("spelling", spelling, Spelling, "a Spelling or None")
        if len(spelling) != size:
            raise ConfigError(f"the spelling has {len(spelling)} tokens, the stepper {size}")
    return spelling
