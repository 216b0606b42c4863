"""The graph: a cell's equations for one step as a frozen value, with its JSON form and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

SCALAR = "1"
FORMAT = 1

LEAVES = frozenset({"input", "state", "vector", "constant", "count"})
PRODUCTS = frozenset({"product", "product_t"})
RESERVED = ("T", "mT", "shape", "dtype")

Kind = Literal["matrix", "vector", "blocks"]
Value = str | float | tuple[Any, ...] | None


def is_name(text: object) -> bool:
    """Whether a value, parameter or cell may be called so: an identifier that does not read as an array's attribute."""
    return isinstance(text, str) and text.isidentifier() and text not in RESERVED


def is_size(text: object) -> bool:
    """Whether this is a size: one capital letter, or "1" for a scalar."""
    return isinstance(text, str) and len(text) == 1 and (text == SCALAR or "A" <= text <= "Z")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the step.

    `op` says how it is made from the nodes `args`; `size` is a size letter, or "1" for a scalar. `value` holds what is
    not a node: the name of a leaf or of a product's matrix, a constant's number, a count's size letters, a layer norm's
    (index, eps). `name` and `line` are where the cell's author bound it; they carry no meaning and are left out of the
    hash.
    """

    op: str
    args: tuple[int, ...] = ()
    value: Value = None
    size: str = SCALAR
    name: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """An input or a state: its name, its size letter and, for a state, the number that it starts from."""

    name: str
    size: str
    start: float = 0.0


@dataclass(frozen=True, slots=True)
class Parameter:
    """A weight of the cell: `shape` in size letters, (rows, columns) for a matrix, (size,) for a vector.

    "blocks" are a block-diagonal matrix of shape (rows, columns, columns of one block), of which only the blocks are
    stored, below one another.
    """

    name: str
    group: str
    kind: Kind
    shape: tuple[str, ...]

    @property
    def stored(self) -> tuple[str, ...]:
        """The shape of the tensor."""
        return (self.shape[0], self.shape[2]) if self.kind == "blocks" else self.shape


@dataclass(frozen=True, slots=True)
class Constant:
    """An array that is given with the equations and never learned: a vector's numbers, or a matrix's row by row."""

    name: str
    shape: tuple[str, ...]
    values: tuple[Any, ...] = field(repr=False)

    @property
    def kind(self) -> Kind:
        """What it is used as."""
        return "matrix" if len(self.shape) == 2 else "vector"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Its shape in numbers."""
        return (len(self.values), len(self.values[0])) if self.kind == "matrix" else (len(self.values),)


@dataclass(frozen=True)
class Graph:
    """A cell's equations for one step of one sequence.

    `nodes` stand in an order in which each comes after its arguments. `results` gives for each state the node of its
    next value, and `output` names the state, or else the extra result, that the layer shows to the world.
    """

    name: str
    inputs: tuple[Port, ...]
    states: tuple[Port, ...]
    output: str
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    results: Mapping[str, int]
    constants: tuple[Constant, ...] = ()

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def output_node(self) -> int:
        """The node that the layer shows."""
        return self.results[self.output]

    @property
    def output_size(self) -> str:
        """The size letter of the output."""
        return self.nodes[self.output_node].size

    @property
    def letters(self) -> tuple[str, ...]:
        """Every size letter that the cell uses, D and H first."""
        found = {letter for p in self.parameters for letter in p.shape}
        found |= {letter for c in self.constants for letter in c.shape}
        found |= {port.size for port in self.inputs + self.states} | {self.output_size}
        return tuple(sorted(found - {SCALAR}, key=lambda letter: ("DH".find(letter) % 3, letter)))

    @property
    def fixed(self) -> dict[str, int]:
        """The numbers of the size letters that constants settle."""
        pairs = [pair for c in self.constants for pair in zip(c.shape, c.lengths, strict=True)]
        return {letter: length for letter, length in pairs if letter != SCALAR}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what the equations mean: names of locals, lines and the cell's own name do not count."""
        meaning = self.to_json()
        del meaning["name"]
        meaning["nodes"] = [{k: v for k, v in node.items() if k not in ("name", "line")} for node in meaning["nodes"]]
        return hashlib.sha256(json.dumps(meaning, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The graph as plain JSON values."""
        return {
            "format": FORMAT,
            "name": self.name,
            "inputs": [[p.name, p.size] for p in self.inputs],
            "states": [[p.name, p.size, p.start] for p in self.states],
            "output": self.output,
            "parameters": [[p.name, p.group, p.kind, list(p.shape)] for p in self.parameters],
            "nodes": [_node_to_json(node) for node in self.nodes],
            "results": dict(self.results),
        } | ({"constants": [[c.name, list(c.shape), list(c.values)] for c in self.constants]} if self.constants else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """Read a graph back. Raises EquationError where `data` is no valid graph of a known format."""
        from elman.equations.graph.reading import read  # reading makes graphs, so it stands above this module

        return read(data)


def live(nodes: Sequence[Node], roots: Iterable[int]) -> list[bool]:
    """For each node whether one of `roots` is made from it, or is it."""
    found = [False] * len(nodes)
    for root in roots:
        found[root] = True
    for index in range(len(nodes) - 1, -1, -1):
        if found[index]:
            for arg in nodes[index].args:
                found[arg] = True
    return found


def only(nodes: Sequence[Node], kept: Sequence[bool]) -> tuple[tuple[Node, ...], dict[int, int]]:
    """The nodes that are `kept`, with all that they are made from, and where each of them stands now."""
    places: dict[int, int] = {}
    found: list[Node] = []
    for index, node in enumerate(nodes):
        if kept[index]:
            places[index] = len(found)
            found.append(replace(node, args=tuple(places[arg] for arg in node.args)))
    return tuple(found), places


def _node_to_json(node: Node) -> dict[str, Any]:
    data: dict[str, Any] = {"op": node.op, "size": node.size}
    if node.args:
        data["args"] = list(node.args)
    if node.value is not None:
        data["value"] = list(node.value) if isinstance(node.value, tuple) else node.value
    if node.name is not None:
        data["name"] = node.name
    if node.line is not None:
        data["line"] = node.line
    return data
