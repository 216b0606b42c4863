"""Step by step through a sequence: one token or one frame in, one prediction out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, DtypeError, ShapeError
from elman.formats.model_file import ModelFile
from elman.runtime.fused import FusedLayer
from elman.runtime.reference import ReferenceLayer
from elman.state import State

Array = NDArray[Any]


class Stream:
    """Some sequences on their way, and the state that they have reached.

    Args:
        file: the model.
        layers: its layers, on the kernels or as the reference.
        batch: sequences side by side, B.
    """

    def __init__(self, file: ModelFile, layers: Sequence[FusedLayer | ReferenceLayer], batch: int = 1) -> None:
        if batch < 1:
            raise ConfigError(f"a stream needs a batch of at least 1, got {batch}")
        self.batch = batch
        self._layers = layers
        self._steppers = [layer.stepper(batch) for layer in layers]
        self._input_size = layers[0].size(layers[0].graph.inputs[0].size)
        self._head = None
        if file.head is not None:
            self._head = (np.ascontiguousarray(file.tensors["head.weight"].T), file.tensors["head.bias"])
        self._dtype = layers[0].dtype

    def reset(self) -> None:
        """Begin every sequence anew."""
        for stepper in self._steppers:
            stepper.reset()

    def step(self, x: ArrayLike) -> Array:
        """Advance by one step.

        Args:
            x: integer tokens [B], or floats [B, D]; without the batch axis where B is 1.

        Returns:
            the logits [B, V] of what comes next, or the output [B, size] of a model without a head; without the batch
            axis where `x` has none.

        Raises:
            ShapeError, DtypeError: `x` is not that; ShapeError also for a token outside the vocabulary.
        """
        values, alone = self._checked(np.asarray(x))
        for stepper in self._steppers:
            values = stepper.step(values)
        if self._head is None:
            values = values.copy()  # the stepper will write there again
        else:
            weight, bias = self._head
            values = values @ weight + bias
        return values[0] if alone else values

    @property
    def state(self) -> State:
        """A copy of the state: [layers, B, size] by name; in a stack of unlike layers "h.0", "h.1", … [1, B, size]."""
        if self._alike():
            arrays = {name: np.stack([states[name] for states in self._states()]) for name in self._states()[0]}
        else:
            arrays = {f"{n}.{k}": a[None].copy() for k, states in enumerate(self._states()) for n, a in states.items()}
        return State(arrays, axis=1, start=self._start())

    @state.setter
    def state(self, state: State) -> None:
        expected = self.state
        shapes = {name: array.shape for name, array in expected.items()}
        got = {name: tuple(array.shape) for name, array in state.items()}
        if shapes != got:
            raise ShapeError(f"this stream's state must be {shapes}, got {got}")
        for k, states in enumerate(self._states()):
            for name, array in states.items():
                array[:] = state[name][k] if self._alike() else state[f"{name}.{k}"][0]

    def _states(self) -> list[dict[str, Array]]:
        return [stepper.states for stepper in self._steppers]

    def _alike(self) -> bool:
        shapes = [{name: array.shape for name, array in states.items()} for states in self._states()]
        return all(shape == shapes[0] for shape in shapes)

    def _start(self) -> dict[str, float]:
        if self._alike():
            return {p.name: p.start for p in self._layers[0].graph.states}
        return {f"{p.name}.{k}": p.start for k, layer in enumerate(self._layers) for p in layer.graph.states}

    def _checked(self, x: Array) -> tuple[Array, bool]:
        """`x` with its batch axis, and whether it came without."""
        size = self._input_size
        tokens = x.dtype.kind in "iu"
        if not tokens and x.dtype.kind != "f":
            raise DtypeError(f"step: integer tokens [B] or floats [B, D] expected, got {x.dtype}")
        alone = self.batch == 1 and x.ndim == (0 if tokens else 1)
        x = x[None] if alone else x
        expected = (self.batch,) if tokens else (self.batch, size)
        if x.shape != expected:
            raise ShapeError(f"step: {'tokens' if tokens else 'floats'} {list(expected)} expected, got {list(x.shape)}")
        if tokens and ((x < 0) | (x >= size)).any():
            raise ShapeError(f"step: tokens must be 0 … {size - 1}, got {x.min()} … {x.max()}")
        return (x if tokens else x.astype(self._dtype, copy=False)), alone
