"""The graph: a cell's equations for one step as a frozen value, with its JSON form and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from elman.errors import EquationError

FORMAT = 1
SCALAR = "1"

LEAVES = frozenset({"input", "state", "vector", "constant", "count"})
PRODUCTS = frozenset({"product", "product_t"})
UNARY = frozenset({"neg", "sigmoid", "tanh", "relu", "exp", "log", "softplus", "abs", "sqrt"})
BINARY = frozenset({"add", "sub", "mul", "div", "minimum", "maximum", "greater", "greater_equal"})
POINTWISE = UNARY | BINARY | {"where", "spread"}
REDUCTIONS = frozenset({"sum", "layer_norm"})
OPERATIONS = LEAVES | PRODUCTS | POINTWISE | REDUCTIONS

Value = str | float | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the step.

    `op` says how it is made from the nodes `args`; `size` is a size letter, or "1" for a scalar. `value` holds what is not a
    node: the name of a leaf or of a product's matrix, a constant's number, a count's size letters, a layer norm's (index, eps).
    `name` and `line` are where the cell's author bound it; they carry no meaning and are left out of the hash.
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
    """A weight of the cell: `shape` in size letters, (rows, columns) for a matrix, (size,) for a vector."""

    name: str
    group: str
    kind: Literal["matrix", "vector"]
    shape: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """A cell's equations for one step of one sequence.

    `nodes` stand in an order in which each comes after its arguments. `results` gives for each state the node of its next
    value, and `output` names the state, or else the extra result, that the layer shows to the world.
    """

    name: str
    inputs: tuple[Port, ...]
    states: tuple[Port, ...]
    output: str
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    results: Mapping[str, int]

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
        found |= {port.size for port in self.inputs + self.states} | {self.output_size}
        return tuple(sorted(found - {SCALAR}, key=lambda letter: ("DH".find(letter) % 3, letter)))

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
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """Read a graph back. Raises EquationError where `data` is no valid graph of a known format."""
        try:
            if data["format"] != FORMAT:
                raise EquationError(f"graph: format {data['format']} is unknown, this version reads format {FORMAT}")
            graph = cls(
                name=str(data["name"]),
                inputs=tuple(Port(str(name), str(size)) for name, size in data["inputs"]),
                states=tuple(Port(str(name), str(size), float(start)) for name, size, start in data["states"]),
                output=str(data["output"]),
                parameters=tuple(Parameter(n, g, kind, tuple(shape)) for n, g, kind, shape in data["parameters"]),
                nodes=tuple(_node_from_json(node) for node in data["nodes"]),
                results={str(k): int(v) for k, v in data["results"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EquationError(f"graph: not a valid graph ({type(error).__name__}: {error})") from error
        check(graph)
        return graph


def check(graph: Graph) -> None:
    """Raise EquationError unless every node and result of `graph` is well formed (a file may bring anything)."""
    known = {p.name for p in graph.inputs + graph.states} | {p.name for p in graph.parameters}
    for index, node in enumerate(graph.nodes):
        if node.op not in OPERATIONS:
            raise EquationError(f"graph: node {index} has the unknown operation {node.op!r}")
        if any(not 0 <= arg < index for arg in node.args) or len(node.args) not in _arities(node.op):
            raise EquationError(f"graph: node {index} ({node.op}) has bad arguments {node.args}")
        if node.op in {"input", "state", "vector"} | PRODUCTS and node.value not in known:
            raise EquationError(f"graph: node {index} ({node.op}) refers to the unknown {node.value!r}")
    needed = {p.name for p in graph.states} | {graph.output}
    if set(graph.results) != needed or any(not 0 <= n < len(graph.nodes) for n in graph.results.values()):
        raise EquationError(f"graph: results must be {sorted(needed)}, got {sorted(graph.results)}")
    kinds = {p.kind: len(p.shape) for p in graph.parameters}
    if not set(kinds.items()) <= {("matrix", 2), ("vector", 1)}:
        raise EquationError(f"graph: parameters must be matrices with two sizes or vectors with one, got {kinds}")


def _arities(op: str) -> Iterable[int]:
    if op in LEAVES:
        return (0,)
    if op in PRODUCTS or op in UNARY:
        return (1,)
    if op in REDUCTIONS:
        return range(1, 65)
    return (3,) if op == "where" else (2,)


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


def _node_from_json(data: Mapping[str, Any]) -> Node:
    value = data.get("value")
    return Node(
        op=str(data["op"]),
        args=tuple(int(arg) for arg in data.get("args", ())),
        value=tuple(value) if isinstance(value, list) else value,
        size=str(data["size"]),
        name=data.get("name"),
        line=data.get("line"),
    )
