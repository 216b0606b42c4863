"""Step by step through a sequence: one token or one frame in, one prediction out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, DtypeError, ShapeError
from elman.formats.model_file import ModelFile
from elman.runtime.reference import ReferenceLayer
from elman.state import State

Array = NDArray[Any]


class Stream:
    """Some sequences on their way, and the state that they have reached.

    Args:
        file: the model.
        batch: sequences side by side, B.
    """

    def __init__(self, file: ModelFile, batch: int = 1) -> None:
        if batch < 1:
            raise ConfigError(f"a stream needs a batch of at least 1, got {batch}")
        self.batch = batch
        self._layers = [_layer(file, index) for index in range(len(file.layers))]
        self._input_size = self._layers[0].size(self._layers[0].graph.inputs[0].size)
        self._head = None
        if file.head is not None:
            self._head = (np.ascontiguousarray(file.tensors["head.weight"].T), file.tensors["head.bias"])
        self._dtype = next(iter(file.tensors.values())).dtype
        self._states: list[dict[str, Array]] = []
        self.reset()

    def reset(self) -> None:
        """Begin every sequence anew."""
        self._states = [
            {p.name: np.full((self.batch, layer.size(p.size)), p.start, self._dtype) for p in layer.graph.states}
            for layer in self._layers
        ]

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
        for layer, states in zip(self._layers, self._states, strict=True):
            values, after = layer.step(values, states)
            states.update(after)
        if self._head is not None:
            weight, bias = self._head
            values = values @ weight + bias
        return values[0] if alone else values

    @property
    def state(self) -> State:
        """A copy of the state: [layers, B, size] by name; in a stack of unlike layers "h.0", "h.1", … [1, B, size]."""
        if self._alike():
            arrays = {name: np.stack([states[name] for states in self._states]) for name in self._states[0]}
        else:
            arrays = {f"{n}.{k}": a[None].copy() for k, states in enumerate(self._states) for n, a in states.items()}
        return State(arrays, axis=1, start=self._start())

    @state.setter
    def state(self, state: State) -> None:
        expected = self.state
        shapes = {name: array.shape for name, array in expected.items()}
        got = {name: tuple(array.shape) for name, array in state.items()}
        if shapes != got:
            raise ShapeError(f"this stream's state must be {shapes}, got {got}")
        for k, states in enumerate(self._states):
            for name in states:
                row = state[name][k] if self._alike() else state[f"{name}.{k}"][0]
                states[name] = np.array(row, self._dtype)

    def _alike(self) -> bool:
        shapes = [{name: array.shape for name, array in states.items()} for states in self._states]
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


def _layer(file: ModelFile, index: int) -> ReferenceLayer:
    directions = file.layers[index]
    graph = file.graphs[directions[0].cell]
    if len(directions) > 1 or directions[0].reverse:
        raise ConfigError(f"layer {index} reads a sequence from its end: it cannot be streamed")
    if len(graph.inputs) != 1:
        names = ", ".join(port.name for port in graph.inputs)
        raise ConfigError(f"layer {index}: {graph.name} takes the inputs {names}; a stream gives one")
    return ReferenceLayer(graph, directions[0].sizes, file.weights(index))
