"""A model as a function: tokens and a state in, logits and a new state out, for any batch at any time, in any thread.

A state is a value, yet in a plain loop nothing is copied: the newest state lives in the memory that the kernels write,
and moves out of it only if somebody still holds it when that memory is needed again. A place of such memory is stepped
by one thread at a time, and nothing in it is looked at by another; threads that step at once have a place each.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.arrays import as_tokens
from elman.checks import of_kind, shown, whole
from elman.errors import ConfigError, ShapeError
from elman.formats.heads import Softmax
from elman.runtime.model import Model
from elman.runtime.pipeline import Pipeline
from elman.runtime.room import MOST_ROWS
from elman.runtime.team import Team

Array = NDArray[Any]
Read = TypeVar("Read")

_PLACES = 8  # that a stepper keeps for states to come


class RowState:
    """What B sequences have reached: an array [B, size] for each state of each layer, in one order.

    Args:
        arrays: the states, or None while they live in a place.
        place: that place.
        batch: B.
    """

    def __init__(self, arrays: Sequence[Array] | None, place: _Place | None = None, batch: int = 0) -> None:
        self._arrays = arrays  # once they are there, they stay
        self.place = place
        self.batch = len(arrays[0]) if arrays is not None else batch

    def __reduce__(self) -> tuple[Any, ...]:
        return RowState, (self.arrays,)  # copies and pickles hold the values

    @property
    def arrays(self) -> Sequence[Array]:
        """The states; to be read, not written."""
        place = self.place
        if place is not None:
            with place.lock:
                self.leave()
        assert self._arrays is not None
        return self._arrays

    def select(self, parents: NDArray[np.int64]) -> RowState:
        """The states of some sequences, in the order asked for."""
        place = self.place
        if place is None:
            return RowState([array.take(parents, axis=0) for array in self.arrays])
        with place.lock:
            return RowState([array.take(parents, axis=0) for array in self._arrays or place.arrays_of(self)])

    def join(self, others: Sequence[RowState]) -> RowState:
        """These sequences and others after them."""
        columns = zip(*(state.arrays for state in (self, *others)), strict=True)
        return RowState([np.concatenate(column) for column in columns])

    def leave(self) -> None:
        """Move out of the place, whose lock the caller holds."""
        if self._arrays is None:
            assert self.place is not None
            self._arrays = [array.copy() for array in self.place.arrays_of(self)]
        self.place = None


class _Place:
    """Memory in which `batch` sequences step. Steppers write a new state beside the last one, so two may live here.

    Whoever touches anything in it holds its lock.
    """

    def __init__(self, pipeline: Pipeline, batch: int, team: Team) -> None:
        self.pipeline, self.batch, self.lock = pipeline, batch, Lock()
        self._stepper = pipeline.stepper(batch, team)
        self._newest: weakref.ref[RowState] | None = None
        self._older: weakref.ref[RowState] | None = None
        self._older_arrays: Sequence[Array] = ()
        self._arrays: dict[int, list[Array]] = {}  # of the steppers' two places, by whose turn it is
        self._turn = 0

    @property
    def is_idle(self) -> bool:
        """Whether no state goes on from here."""
        return self._newest is None or self._newest() is None

    def arrays_of(self, state: RowState) -> Sequence[Array]:
        """Of a state that lives here."""
        if self._newest is not None and self._newest() is state:
            return self._current()
        return self._older_arrays

    def run(self, tokens: NDArray[np.int64], state: RowState) -> tuple[Array, RowState]:
        """One step: the head's outputs, which the next one overwrites, and the state behind the tokens."""
        _leave(self._older)
        if self._newest is None or self._newest() is not state:
            _leave(self._newest)
            self._older = None
            _copy(state.arrays, self._current())
        else:
            self._older, self._older_arrays = self._newest, self._current()
        outputs = self._stepper.step(tokens)
        self._turn = 1 - self._turn
        after = RowState(None, self, self.batch)
        self._newest = weakref.ref(after)
        return outputs, after

    def _current(self) -> list[Array]:
        if self._turn not in self._arrays:
            self._arrays[self._turn] = [array for layer in self._stepper.layers for array in layer.states.values()]
        return self._arrays[self._turn]


def _copy(arrays: Sequence[Array], to: Sequence[Array]) -> None:
    if [array.shape for array in arrays] != [array.shape for array in to]:
        raise ShapeError("step: this state is another model's: its arrays have other shapes")
    for array, place in zip(arrays, to, strict=True):
        place[:] = array


def _leave(reference: weakref.ref[RowState] | None) -> None:
    state = reference() if reference is not None else None
    if state is not None:
        state.leave()


class RowStepper:
    """A language model on the kernels as a pure function of rows, which any number of threads may call at once.

    Args:
        model: with tokens as input and a softmax head.
        threads: that one step may take; 0: by the work, and at most ELMAN_NUM_THREADS or the cores there are.

    Raises:
        ConfigError: it has no such head.
    """

    def __init__(self, model: Model, threads: int = 0) -> None:
        of_kind("model", model, Model, "a Model (elman.load reads one)")
        if not isinstance(model.file.head, Softmax):
            raise ConfigError("decoding needs a model that predicts tokens; this one has no head that does")
        self._pipeline, self._team = model.pipeline, Team(threads)
        self.size: int = model.file.head.size
        self._places: list[_Place] = []  # never changed, only replaced: threads may look through it

    def start(self, batch: int) -> RowState:
        """The state of sequences that have read nothing. Raises ConfigError for more than memory holds."""
        return RowState(self._pipeline.start(whole("batch", batch, 0, MOST_ROWS)), batch=batch)

    def step(self, tokens: NDArray[np.int64], state: RowState, read: Callable[[Array], Read]) -> tuple[Read, RowState]:
        """One step.

        Args:
            tokens: int64 [B].
            state: of B sequences; it stays what it is.
            read: takes what is wanted from the logits [B, V], which later steps overwrite.

        Returns:
            what `read` gives, and the state behind the tokens.

        Raises:
            ShapeError: tokens outside 0 … V - 1, or not as many as the state has sequences.
            DtypeError, ConfigError: tokens or a state of another kind.
        """
        tokens = self._checked(tokens, state)
        place = self._held(state)
        try:
            logits, after = place.run(tokens, state)
            return read(logits), after
        finally:
            place.lock.release()

    def _held(self, state: RowState) -> _Place:
        """A place to step from the state, its lock held: where the state lives, unless another thread steps there."""
        place = state.place
        if place is not None:
            if place.pipeline is self._pipeline and place.lock.acquire(False):
                return place
            _ = state.arrays  # which then live there no more
        places = sorted((p for p in self._places if p.batch == state.batch), key=lambda p: not p.is_idle)
        if places and (places[0].is_idle or len(self._places) >= _PLACES):
            for place in places:
                if place.lock.acquire(False):
                    return place
        place = _Place(self._pipeline, state.batch, self._team)
        place.lock.acquire()
        self._places = [*self._places, place][-_PLACES:]
        return place

    def _checked(self, tokens: NDArray[np.int64], state: RowState) -> NDArray[np.int64]:
        if type(state) is not RowState:
            raise ConfigError(f"step: state must be what start or a step gave, got {shown(state)}")
        tokens = as_tokens(tokens)
        batch, size = len(tokens), self._pipeline.inputs
        if batch == 0 or state.batch != batch:
            raise ShapeError(f"step: {state.batch} sequences, at least 1, need as many tokens; got {batch}")
        if batch == 1:
            known = 0 <= tokens.item(0) < size
        else:  # as numbers without a sign, negative tokens are enormous
            known = np.maximum.reduce(tokens.view(np.uint64)) < size
        if not known:
            raise ShapeError(f"step: tokens must be 0 … {size - 1}, got {tokens.min()} … {tokens.max()}")
        return tokens
