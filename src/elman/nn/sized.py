"""One direction of a layer, as the kernels and the reference see it: the cell, its sizes, and where its weights lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from elman.cells.layout import layout
from elman.emit import Array, Recurrence, Role, emit
from elman.equations import Graph, evaluate
from elman.errors import KernelError
from elman.kernels import Engine, Precision, Weight, engine_for, isa
from elman.kernels.encode import size_of


@dataclass(frozen=True)
class Place:
    """A parameter in a list of tensors: rows (or elements) `first` to `first + rows` of tensor `index`."""

    index: int
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class SizedCell:
    """A cell at given sizes. Its weights are a list: the slots of `elman.cells.layout`, then derived parameters.

    Attributes:
        graph, sizes: the cell, and the number behind each letter.
        key: names this value in a compiled graph, see `sized_cell`.
        recurrence: the cell's programs.
        places: where each parameter lies.
        slots: tensors before the derived ones.
        arrays: the rows that a call brings, by role and name.
        constants: the cell's constant arrays, float64.
        takes_tokens: whether a token is a row of a table: the inputs are used in products only.
        bfloat16: whether the factors of products are rounded to bfloat16.
    """

    graph: Graph
    sizes: Mapping[str, int]
    key: str
    recurrence: Recurrence = field(repr=False)
    places: Mapping[str, Place] = field(repr=False)
    slots: int
    arrays: Mapping[tuple[Role, str], Array] = field(repr=False)
    constants: Mapping[str, torch.Tensor] = field(repr=False)
    takes_tokens: bool
    bfloat16: bool
    _engines: dict[tuple[torch.dtype, str], Engine] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, graph: Graph, sizes: Mapping[str, int], bfloat16: bool = False) -> SizedCell:
        """The one of a cell at these sizes."""
        # The name is no part of the hash, and messages are of the caller's cell.
        key = f"{graph.name} {graph.hash} " + " ".join(f"{letter}{size}" for letter, size in sorted(sizes.items()))
        key = key_with(key, bfloat16)
        if key not in _SIZED:
            _SIZED[key] = cls._new(graph, dict(sizes), key, bfloat16)
        return _SIZED[key]

    @classmethod
    def _new(cls, graph: Graph, sizes: dict[str, int], key: str, bfloat16: bool) -> SizedCell:
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
        arrays = {(Role.OUTPUT, name): Array(name, Role.OUTPUT, graph.output_size) for name in (graph.output, "output")}
        for role, ports in ((Role.INPUT, graph.inputs), (Role.D_INPUT, graph.inputs), (Role.AFTER, graph.states)):
            arrays |= {(role, port.name): Array(port.name, role, port.size) for port in ports}
        takes_tokens = engine_for(graph, sizes).inference.takes_tokens
        constants = {c.name: torch.tensor(c.values, dtype=torch.float64, device="cpu") for c in graph.constants}
        return cls(graph, sizes, key, recurrence, places, len(slots), arrays, constants, takes_tokens, bfloat16)

    def __reduce__(self) -> tuple[Any, ...]:
        return SizedCell.of, (self.graph, dict(self.sizes), self.bfloat16)

    def size(self, letter: str) -> int:
        """The number behind a size letter."""
        return size_of(letter, self.sizes)

    def engine(self, dtype: torch.dtype) -> Engine:
        """The kernels for memory of float32 or float64, on the instruction set in use."""
        key = dtype, isa()
        if key not in self._engines:
            self._engines[key] = engine_for(self.graph, self.sizes, Precision.of(dtype == torch.float64, self.bfloat16))
        return self._engines[key]

    def member(self, name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """A view of one parameter."""
        place = self.places[name]
        return tensors[place.index].narrow(0, place.first, place.rows)

    def parameters(self, tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The cell's own parameters by full name, as views, and its constants."""
        found = {p.name: self.member(p.name, tensors) for p in self.graph.parameters}
        like = tensors[0]
        return found | {name: c.to(like.device, like.dtype) for name, c in self.constants.items()}

    def derive(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """The slots' tensors with the derived parameters behind them; autograd goes through."""
        lowered = self.recurrence.lowered
        if not (lowered.matrices or lowered.vectors):
            return tensors
        derived = evaluate.derive(lowered, torch, self.parameters(tensors), self.sizes)
        return tensors + [derived[name] for name, place in self.places.items() if place.index >= self.slots]

    def weights(self, tensors: Sequence[torch.Tensor | None]) -> dict[str, Weight]:
        """Where each parameter lies; those whose tensor is None are left out."""
        found: dict[str, Weight] = {}
        for index, t in enumerate(tensors):
            if t is not None:
                found |= _members(self, index, t.data_ptr(), t.element_size(), t.stride())
        return found


@lru_cache(maxsize=256)  # small layers call with the same memory again and again
def _members(sized: SizedCell, index: int, address: int, item: int, strides: tuple[int, ...]) -> Mapping[str, Weight]:
    """Where the parameters of one tensor lie."""
    step = strides[0] * item
    places = {name: place for name, place in sized.places.items() if place.index == index}
    columns = strides[1] if len(strides) == 2 else 1
    return {name: Weight(address + place.first * step, strides[0], columns) for name, place in places.items()}


_SIZED: dict[str, SizedCell] = {}
_BFLOAT16 = " bfloat16"


def key_with(key: str, bfloat16: bool) -> str:
    """The key of a cell at its sizes, or of the same with factors in bfloat16."""
    return key + _BFLOAT16 if bfloat16 else key


def sized_cell(key: str) -> SizedCell:
    """The one that was made under this key. Raises KernelError where none was."""
    if key not in _SIZED and key.removesuffix(_BFLOAT16) in _SIZED:
        plain = _SIZED[key.removesuffix(_BFLOAT16)]
        return SizedCell.of(plain.graph, plain.sizes, True)
    if key not in _SIZED:
        raise KernelError(
            f"cell {key.partition(' ')[0]} is unknown here: the graph was made in another process; make its layer first"
        )
    return _SIZED[key]
