"""One direction of one layer, as the kernels and the reference see it: the cell, its sizes, and where its weights lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from elman.cells.layout import layout
from elman.emit import Recurrence, emit
from elman.equations import Graph, evaluate
from elman.kernels import Engine, Weight, engine
from elman.kernels.encode import size_of


@dataclass(frozen=True)
class Place:
    """A parameter in a list of tensors: rows (or elements) `first` to `first + rows` of tensor `index`."""

    index: int
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class LayerSpec:
    """A cell at given sizes. Its weights are a list of tensors: the slots of `elman.cells.layout`, then derived parameters."""

    graph: Graph
    sizes: Mapping[str, int]
    key: str
    recurrence: Recurrence = field(repr=False)
    places: Mapping[str, Place] = field(repr=False)
    slots: int

    @classmethod
    def of(cls, graph: Graph, sizes: Mapping[str, int]) -> LayerSpec:
        """The spec of a cell at these sizes (one for each)."""
        key = f"{graph.hash} " + " ".join(f"{letter}{size}" for letter, size in sorted(sizes.items()))
        if key not in _SPECS:
            _SPECS[key] = cls._new(graph, dict(sizes), key)
        return _SPECS[key]

    @classmethod
    def _new(cls, graph: Graph, sizes: dict[str, int], key: str) -> LayerSpec:
        recurrence = emit(graph)
        places: dict[str, Place] = {}
        slots = layout(graph, sizes)
        for index, slot in enumerate(slots):
            for member, name in enumerate(slot.members):
                places[name] = Place(index, member * slot.rows, slot.rows)
        derived: list[tuple[str, str]] = [(m.name, m.shape[0]) for m in recurrence.lowered.matrices]
        derived += [(v.name, v.size) for v in recurrence.lowered.vectors]
        for index, (name, letter) in enumerate(derived, len(slots)):
            places[name] = Place(index, 0, size_of(letter, sizes))
        return cls(graph, sizes, key, recurrence, places, len(slots))

    def size(self, letter: str) -> int:
        """The number behind a size letter."""
        return size_of(letter, self.sizes)

    @property
    def takes_tokens(self) -> bool:
        """Whether a token is a row of a table: the inputs are used in products only."""
        return self.engine(torch.float32).inference.takes_tokens

    def engine(self, dtype: torch.dtype) -> Engine:
        """The kernels for float32 or float64."""
        return engine(self.graph, self.sizes, dtype == torch.float64)

    def member(self, name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """A view of one parameter."""
        place = self.places[name]
        return tensors[place.index].narrow(0, place.first, place.rows)

    def parameters(self, tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The cell's own parameters by full name, as views."""
        return {p.name: self.member(p.name, tensors) for p in self.graph.parameters}

    def derive(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """The slots' tensors with the derived parameters behind them; autograd goes through."""
        lowered = self.recurrence.lowered
        if not (lowered.matrices or lowered.vectors):
            return tensors
        derived = evaluate.derive(lowered, torch, self.parameters(tensors), self.sizes)
        return tensors + [derived[name] for name, place in self.places.items() if place.index >= self.slots]

    def weights(self, tensors: Sequence[torch.Tensor | None]) -> dict[str, Weight]:
        """Where each parameter lies; those whose tensor is None are left out."""
        found = {}
        for name, place in self.places.items():
            tensor = tensors[place.index]
            if tensor is not None:
                strides = (tensor.stride(0), tensor.stride(1)) if tensor.dim() == 2 else (1, 1)
                address = tensor.data_ptr() + place.first * tensor.stride(0) * tensor.element_size()
                found[name] = Weight(address, *strides)
        return found


_SPECS: dict[str, LayerSpec] = {}


def spec_of(key: str) -> LayerSpec:
    """The spec that was made under this key."""
    return _SPECS[key]
