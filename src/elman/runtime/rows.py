"""A model as a function: tokens and a state in, logits and a new state out, for any batch at any time.

A state is a value, yet in a plain loop nothing is copied: the newest state lives in the memory that the kernels write,
and moves out of it only if somebody still holds it when that memory is needed again.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ShapeError
from elman.kernels import Precision, Rows, Weight, default_threads, linear_for
from elman.runtime.fused import FusedLayer, FusedStepper
from elman.runtime.model import Model

Array = NDArray[Any]
_PLACES = 4  # batch sizes that keep memory to step in


class RowState:
    """What B sequences have reached: an array [B, size] for each state of each layer, in one order."""

    def __init__(self, arrays: Sequence[Array] | None, place: _Place | None = None, batch: int = 0) -> None:
        self._arrays = arrays
        self._place = place
        self.batch = len(arrays[0]) if arrays is not None else batch

    @property
    def arrays(self) -> Sequence[Array]:
        """The states; to be read, not written."""
        if self._arrays is None:
            assert self._place is not None
            return self._place.arrays_of(self)
        return self._arrays

    def select(self, parents: NDArray[np.int64]) -> RowState:
        """The states of some sequences, in the order asked for."""
        return RowState([array.take(parents, axis=0) for array in self.arrays])

    def join(self, others: Sequence[RowState]) -> RowState:
        """These sequences and others after them."""
        columns = zip(*(state.arrays for state in (self, *others)), strict=True)
        return RowState([np.concatenate(column) for column in columns])

    def leave(self) -> None:
        """Move out of the kernels' memory."""
        if self._arrays is None:
            self._arrays, self._place = [array.copy() for array in self.arrays], None


class _Head:
    """The linear layer behind the last one. On the kernels, rows do not depend on one another as those of a BLAS do.

    Args:
        weight: [V, H].
        bias: [V].
    """

    def __init__(self, weight: Array, bias: Array) -> None:
        self.size, self.dtype = len(weight), weight.dtype
        self._kept = weight, bias
        self._linear = linear_for(weight.shape[1], self.size, True, Precision.of(self.dtype == np.float64))
        row, column = (stride // weight.itemsize for stride in weight.strides)
        place = Weight(weight.ctypes.data, row, column)
        self._packed = self._linear.pack(place, bias.ctypes.data, default_threads())

    def run(self, x: Rows, logits: Rows, count: int) -> None:
        """Write the logits of `count` rows."""
        self._linear.forward(self._packed, x, logits, count, default_threads())


class _Place:
    """Memory in which `batch` sequences step. Steppers write a new state beside the last one, so two may live here."""

    def __init__(self, layers: Sequence[FusedLayer], head: _Head, batch: int) -> None:
        self.steppers: list[FusedStepper] = [layer.stepper(batch) for layer in layers]
        self._head = head
        self._logits = np.zeros((batch, head.size), head.dtype)
        self._rows = _rows(self._logits)
        self._newest: weakref.ref[RowState] | None = None
        self._older: weakref.ref[RowState] | None = None
        self._older_arrays: Sequence[Array] = ()
        self._arrays: dict[int, list[Array]] = {}  # of the steppers' two places, by whose turn it is
        self._outputs: dict[int, Rows] = {}  # where the last layer's output lies, by the same
        self._turn = 0

    def arrays_of(self, state: RowState) -> Sequence[Array]:
        if self._newest is not None and self._newest() is state:
            return self._current()
        return self._older_arrays

    def _current(self) -> list[Array]:
        if self._turn not in self._arrays:
            self._arrays[self._turn] = [array for stepper in self.steppers for array in stepper.states.values()]
        return self._arrays[self._turn]

    def release(self) -> None:
        """Let no state live here any more."""
        _leave(self._older)
        _leave(self._newest)

    def run(self, tokens: NDArray[np.int64], state: RowState) -> tuple[Array, RowState]:
        _leave(self._older)
        if self._newest is None or self._newest() is not state:
            _leave(self._newest)
            _copy(state.arrays, self._current())
            self._older = None
        else:
            self._older, self._older_arrays = self._newest, self._current()
        values: Array = tokens
        for stepper in self.steppers:
            values = stepper.step(values)
        if self._turn not in self._outputs:
            self._outputs[self._turn] = _rows(values)
        self._head.run(self._outputs[self._turn], self._rows, len(tokens))
        self._turn = 1 - self._turn
        after = RowState(None, self, len(tokens))
        self._newest = weakref.ref(after)
        return self._logits, after


def _rows(array: Array) -> Rows:
    return Rows(array.ctypes.data, array.shape[1])


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
    """A language model on the kernels as a pure function of rows.

    Args:
        model: with tokens as input and a softmax head.

    Raises:
        ConfigError: it has no such head.
    """

    def __init__(self, model: Model) -> None:
        file = model.file
        if file.head is None:
            raise ConfigError("decoding needs a model that predicts tokens; this one has no head")
        self._layers, self._head = model._fused, _Head(file.tensors["head.weight"], file.tensors["head.bias"])
        self.size = self._head.size
        self._inputs = self._layers[0].size(self._layers[0].graph.inputs[0].size)
        self._places: dict[int, _Place] = {}

    def start(self, batch: int) -> RowState:
        """The state of sequences that have read nothing."""
        ports = [(layer, port) for layer in self._layers for port in layer.graph.states]
        return RowState([np.full((batch, layer.size(p.size)), p.start, layer.dtype) for layer, p in ports])

    def step(self, tokens: NDArray[np.int64], state: RowState) -> tuple[Array, RowState]:
        """One step.

        Args:
            tokens: int64 [B].
            state: of B sequences; it stays what it is.

        Returns:
            the logits [B, V], which the next step of as many sequences overwrites, and the state behind the tokens.

        Raises:
            ShapeError: tokens outside 0 … V - 1, or not as many as the state has sequences.
        """
        batch = len(tokens)
        if batch == 0 or state.batch != batch:
            raise ShapeError(f"step: {state.batch} sequences, at least 1, need as many tokens; got {batch}")
        if batch == 1:
            known = 0 <= tokens.item(0) < self._inputs
        else:  # as numbers without a sign, negative tokens are enormous
            known = np.maximum.reduce(tokens.view(np.uint64)) < self._inputs
        if not known:
            raise ShapeError(f"step: tokens must be 0 … {self._inputs - 1}, got {tokens.min()} … {tokens.max()}")
        place = self._places.get(batch)
        if place is None:
            if len(self._places) >= _PLACES:
                self._places.pop(next(iter(self._places))).release()
            place = self._places[batch] = _Place(self._layers, self._head, batch)
        return place.run(tokens, state)
