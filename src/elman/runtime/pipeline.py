"""A model's layers and head, ready to run: what all its streams share, and what each of them moves in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.equations import Graph
from elman.errors import ConfigError
from elman.formats.model_file import ModelFile
from elman.runtime.fused import FusedLayer
from elman.runtime.head import Head, head_of
from elman.runtime.reference import ReferenceLayer
from elman.runtime.room import check_room
from elman.runtime.team import Team

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Layers from the input up, and the head. Nothing in it changes, so that any number of threads may read it."""

    layers: tuple[FusedLayer | ReferenceLayer, ...]
    head: Head | None

    @classmethod
    def of(cls, file: ModelFile, reference: bool = False) -> Pipeline:
        """The pipeline of a model file, on the kernels or as the reference. Raises ConfigError if it cannot stream."""
        found = _layers(file)
        if reference:
            return cls(tuple(ReferenceLayer(*layer) for layer in found), head_of(file))
        return cls(tuple(FusedLayer(*layer) for layer in found), head_of(file))

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.layers[0].dtype

    @cached_property
    def inputs(self) -> int:
        """D of the first layer, or the number of tokens."""
        layer = self.layers[0]
        return layer.size(layer.graph.inputs[0].size)

    @cached_property
    def _bytes(self) -> int:
        """Memory that a sequence takes to step in."""
        elements = self.head.size if self.head is not None else 0
        for layer in self.layers:
            graph = layer.graph
            letters = [graph.inputs[0].size, graph.output_size, *2 * [port.size for port in graph.states]]
            elements += sum(map(layer.size, letters))
        return elements * self.dtype.itemsize + 32  # a token, and what the plan says of it

    def start(self, batch: int) -> list[Array]:
        """The states of sequences that have read nothing: an array [B, size] for each state of each layer."""
        check_room(batch, self._bytes)
        ports = [(layer, port) for layer in self.layers for port in layer.graph.states]
        return [np.full((batch, layer.size(port.size)), port.start, layer.dtype) for layer, port in ports]

    def stepper(self, batch: int, team: Team) -> PipelineStepper:
        """A place for `batch` sequences to move in. Raises ConfigError where memory does not suffice for it."""
        check_room(batch, self._bytes)
        return PipelineStepper(self, batch, team)


class PipelineStepper:
    """Sequences side by side on their way through a pipeline; one thread at a time may step it."""

    def __init__(self, pipeline: Pipeline, batch: int, team: Team) -> None:
        self.layers = [layer.stepper(batch, team) for layer in pipeline.layers]
        self._last, head = self.layers[-1], pipeline.head
        self._steps = 0
        self._head = None if head is None else head.stepper(self._last.output_rows, batch, team)

    def reset(self) -> None:
        """Every sequence begins anew."""
        for layer in self.layers:
            layer.reset()

    def step(self, x: Array) -> Array:
        """One step.

        Args:
            x: [B, D], or integer tokens [B].

        Returns:
            what the head puts out, [B, V], or without a head the last layer's output: memory that later steps write to.
        """
        try:
            for layer in self.layers:
                x = layer.step(x)
            outputs = x if self._head is None else self._head.step(self._last.turn)
        except BaseException:  # interrupted, or out of memory: no layer has stepped further than another
            for layer in self.layers:
                layer.stay(self._steps)
            raise
        self._steps += 1
        return outputs


def _layers(file: ModelFile) -> list[tuple[Graph, Mapping[str, int], dict[str, Array]]]:
    """Graph, sizes and weights of each layer, if they can be streamed."""
    found = []
    for index, directions in enumerate(file.layers):
        graph = file.graphs[directions[0].cell]
        if len(directions) > 1 or directions[0].reverse:
            raise ConfigError(f"layer {index} reads a sequence from its end: it cannot be streamed")
        if len(graph.inputs) != 1:
            names = ", ".join(port.name for port in graph.inputs)
            raise ConfigError(f"layer {index}: {graph.name} takes the inputs {names}; a stream gives one")
        found.append((graph, directions[0].sizes, file.weights(index)))
    return found
