"""Step by step through a sequence: one token or one frame in, one prediction out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.arrays import as_array
from elman.checks import OneAtATime, of_kind, shown, whole
from elman.errors import DtypeError, ShapeError
from elman.runtime.pipeline import Pipeline
from elman.runtime.room import MOST_ROWS
from elman.runtime.team import Team
from elman.state import State, to_numpy

Array = NDArray[Any]


class Stream:
    """Some sequences on their way, and the state that they have reached. `Model.stream` begins one.

    A stream is of one thread at a time: while one steps it, another is refused. Threads take a stream each, which share
    the model's weights.

    Args:
        pipeline: the model's, on the kernels or as the reference.
        batch: sequences side by side, B.
        team: the threads that a step may take.
    """

    def __init__(self, pipeline: Pipeline, batch: int, team: Team) -> None:
        of_kind("pipeline", pipeline, Pipeline, "a model's (Model.stream begins a stream)")
        self.batch = whole("batch", batch, 1, MOST_ROWS)
        self._pipeline, self._stepper = pipeline, pipeline.stepper(batch, team)
        self._tokens = np.zeros(1, np.int64)
        self._one_at_a_time = OneAtATime("this stream", "give each thread a stream of its own")

    def reset(self) -> None:
        """Begin every sequence anew."""
        with self._one_at_a_time:
            self._stepper.reset()

    def step(self, x: ArrayLike) -> Array:
        """Advance by one step.

        Args:
            x: integer tokens [B], or floats [B, D]; without the batch axis where B is 1.

        Returns:
            the logits [B, V] of what comes next, or the output [B, size] of a model without a head; without the batch
            axis where `x` has none. A row has the same bits in every batch.

        Raises:
            ShapeError, DtypeError: `x` is not that; ShapeError also for a token outside the vocabulary.
            ConfigError: another thread steps this stream.
        """
        self._one_at_a_time.enter()
        try:
            values, alone = self._checked(x)
            outputs = self._stepper.step(values)
            return (outputs[0] if alone else outputs).copy()  # the stepper will write there again
        finally:
            self._one_at_a_time.leave()

    @property
    def state(self) -> State:
        """A copy of the state: [layers, B, size] by name; in a stack of unlike layers "h.0", "h.1", … [1, B, size]."""
        with self._one_at_a_time:
            return self._state()

    @state.setter
    def state(self, state: State) -> None:
        of_kind("state", state, State, "a State, as stream.state gives one")
        with self._one_at_a_time:
            values = self._values_of(state)
            for k, states in enumerate(self._states()):
                for name, array in states.items():
                    array[:] = values[name][k] if self._alike() else values[f"{name}.{k}"][0]

    def _state(self) -> State:
        if self._alike():
            arrays = {name: np.stack([states[name] for states in self._states()]) for name in self._states()[0]}
        else:
            arrays = {f"{n}.{k}": a[None].copy() for k, states in enumerate(self._states()) for n, a in states.items()}
        return State(arrays, axis=1, start=self._start())

    def _values_of(self, state: State) -> dict[str, Array]:
        """A state's arrays, if they are of this stream's kind."""
        shapes = {name: array.shape for name, array in self._state().items()}
        values = {name: to_numpy(array) for name, array in state.items()}
        got = {name: array.shape for name, array in values.items()}
        if shapes != got:
            raise ShapeError(f"this stream's state must be {shapes}, got {got}")
        if strange := sorted({str(array.dtype) for array in values.values() if array.dtype.kind not in "fiub"}):
            raise DtypeError(f"this stream's state must be {self._pipeline.dtype}, got {', '.join(strange)}")
        return values

    def _states(self) -> list[dict[str, Array]]:
        return [layer.states for layer in self._stepper.layers]

    def _alike(self) -> bool:
        shapes = [{name: array.shape for name, array in states.items()} for states in self._states()]
        return all(shape == shapes[0] for shape in shapes)

    def _start(self) -> dict[str, float]:
        layers = self._pipeline.layers
        if self._alike():
            return {p.name: p.start for p in layers[0].graph.states}
        return {f"{p.name}.{k}": p.start for k, layer in enumerate(layers) for p in layer.graph.states}

    def _checked(self, x: ArrayLike) -> tuple[Array, bool]:
        """`x` as an array with its batch axis, and whether it came without."""
        size = self._pipeline.inputs
        if type(x) is int and self.batch == 1 and 0 <= x < size:  # the commonest case, made quick
            self._tokens[0] = x
            return self._tokens, True
        values = x if type(x) is np.ndarray else as_array(x)
        if values is None or (kind := values.dtype.kind) not in "iuf":
            got = shown(x) if values is None else values.dtype
            raise DtypeError(f"step: integer tokens [B] or floats [B, D] expected, got {got}")
        tokens = kind != "f"
        alone = self.batch == 1 and values.ndim == (0 if tokens else 1)
        if alone:
            values = values[None]
        expected = (self.batch,) if tokens else (self.batch, size)
        if values.shape != expected:
            what = "tokens" if tokens else "floats"
            raise ShapeError(f"step: {what} {list(expected)} expected, got {list(values.shape)}")
        if tokens and ((values < 0) | (values >= size)).any():
            raise ShapeError(f"step: tokens must be 0 … {size - 1}, got {values.min()} … {values.max()}")
        return values, alone
