"""Rewrites a graph into what runs at every step, and what is made of the parameters alone, once a call."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from elman.equations.graph import PRODUCTS, SCALAR, Graph, Node, live, only
from elman.equations.graph.builder import Builder
from elman.equations.passes.contract import contract
from elman.equations.passes.sums import DerivedMatrix, Merger


@dataclass(frozen=True)
class DerivedVector:
    """A vector (or scalar) computed from parameters alone: a node of `Lowered.prologue`."""

    name: str
    size: str
    node: int


@dataclass(frozen=True)
class Norm:
    """One layer norm in primitive nodes: outs[i] = (args[i] - mean) * scale, with mean and scale of all args joined."""

    args: tuple[int, ...]
    outs: tuple[int, ...]
    scale: int
    count: int

    def moved(self, places: Sequence[int] | Mapping[int, int]) -> Norm:
        """The same norm after its nodes have moved."""
        args, outs = (tuple(places[n] for n in nodes) for nodes in (self.args, self.outs))
        return Norm(args, outs, places[self.scale], places[self.count])


@dataclass(frozen=True)
class Lowered:
    """The step in primitive operations, every sum in the order bias, products of x, products of h, rest.

    `prologue` computes the derived `vectors` from parameters; `norms` says which of the `nodes` are layer norms. Names
    beginning with "%" are derived parameters: products and vectors of `nodes` use them like any other.
    """

    graph: Graph
    nodes: tuple[Node, ...]
    results: dict[str, int]
    prologue: tuple[Node, ...]
    vectors: tuple[DerivedVector, ...]
    matrices: tuple[DerivedMatrix, ...]
    norms: tuple[Norm, ...]


def lower(graph: Graph) -> Lowered:
    """The primitive form of a cell's graph."""
    primitive, places, norms = _expand(graph.nodes)
    ends = {name: places[node] for name, node in graph.results.items()}
    constants = {c.name for c in graph.constants}
    prologue, step, vectors = _hoist_parameters(primitive, ends.values(), constants)
    used = live(step, ends.values())
    norms = [norm for norm in norms if used[norm.scale]]
    made = constants | {p.name for p in graph.parameters if p.kind == "blocks"}
    merger = Merger(step, [*ends.values(), *(out for norm in norms for out in norm.outs)], made)
    merged = merger.run()
    norms = [norm.moved(merged) for norm in norms]
    results = {name: merged[node] for name, node in ends.items()}
    roots = [*results.values(), *(out for norm in norms for out in norm.outs)]
    whole = merger.builder.finish()
    nodes, kept = only(whole, live(whole, roots))
    return Lowered(
        graph,
        contract(nodes, [kept[root] for root in roots]),
        {name: kept[node] for name, node in results.items()},
        prologue,
        vectors,
        _used(merger.matrices.values(), nodes),
        tuple(norm.moved(kept) for norm in norms),
    )


def _used(matrices: Iterable[DerivedMatrix], nodes: Sequence[Node]) -> tuple[DerivedMatrix, ...]:
    """Without the matrices of products that a sum has taken in."""
    names = {node.value for node in nodes if node.op in PRODUCTS}
    return tuple(matrix for matrix in matrices if matrix.name in names)


def _expand(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], list[int], list[Norm]]:
    """The nodes in primitive operations, where each of the given ones stands among them, and the layer norms."""
    builder = Builder()
    places: list[int] = []
    norms: dict[int, Norm] = {}
    for node in nodes:
        args = tuple(places[arg] for arg in node.args)
        if node.op == "layer_norm":
            index, eps = cast(tuple[int, float], node.value)
            norm = _layer_norm(builder, args, eps)
            norms[norm.scale] = norm
            places.append(norm.outs[index])
        elif node.op in _WRITTEN_BY_OTHERS:
            places.append(_WRITTEN_BY_OTHERS[node.op](builder, *args))
        else:
            places.append(builder.add(node.op, *args, value=node.value, size=node.size))
    return builder.finish(), places, list(norms.values())


def _layer_norm(builder: Builder, vectors: tuple[int, ...], eps: float) -> Norm:
    letters = tuple(builder.size(vector) for vector in vectors)
    total = builder.add("count", value=letters, size=SCALAR)
    mean = builder.add("div", total_of(builder, vectors), total)
    centred = tuple(builder.add("sub", vector, mean) for vector in vectors)
    squares = tuple(builder.add("mul", v, v) for v in centred)
    variance = builder.add("div", total_of(builder, squares), total)
    deviation = builder.add("sqrt", builder.add("add", variance, builder.constant(eps)))
    scale = builder.add("div", builder.constant(1.0), deviation)
    return Norm(vectors, tuple(builder.add("mul", v, scale) for v in centred), scale, total)


def _mean(builder: Builder, vector: int) -> int:
    count = builder.add("count", value=(builder.size(vector),), size=SCALAR)
    return builder.add("div", builder.add("sum", vector), count)


def _softmax(builder: Builder, vector: int) -> int:
    e = builder.add("exp", builder.add("sub", vector, builder.add("largest", vector)))
    return builder.add("div", e, builder.add("sum", e))


_WRITTEN_BY_OTHERS: dict[str, Callable[..., int]] = {"mean": _mean, "softmax": _softmax}


def total_of(builder: Builder, vectors: Sequence[int]) -> int:
    """The sum over all units of all vectors; vectors of one size are added first, so that one reduction is left."""
    sums: list[int] = []
    for letter in dict.fromkeys(builder.size(vector) for vector in vectors):
        alike = [vector for vector in vectors if builder.size(vector) == letter]
        joined = alike[0]
        for vector in alike[1:]:
            joined = builder.add("add", joined, vector)
        sums.append(builder.add("sum", joined))
    total = sums[0]
    for part in sums[1:]:
        total = builder.add("add", total, part)
    return total


def _hoist_parameters(
    nodes: Sequence[Node], results: Iterable[int], constants: Container[str]
) -> tuple[tuple[Node, ...], tuple[Node, ...], tuple[DerivedVector, ...]]:
    """Split off what depends on parameters only, and constants: (prologue, step, derived vectors that join them)."""
    moves: list[bool] = []  # computed from parameters alone, or constant
    still: list[bool] = []  # the same at every step
    for node in nodes:
        still.append(node.op not in ("input", "state") and all(still[arg] for arg in node.args))
        computed = bool(node.args) and any(moves[arg] or nodes[arg].op == "vector" for arg in node.args)
        moves.append(still[-1] and (computed or (node.op == "vector" and node.value in constants)))
    read = {arg for index, node in enumerate(nodes) if not still[index] for arg in node.args} | set(results)
    frontier = [index for index in sorted(read) if moves[index]]
    prologue, places = only(nodes, live(nodes, frontier))
    step = list(nodes)
    vectors: list[DerivedVector] = []
    for index in frontier:
        vectors.append(DerivedVector(f"%{len(vectors)}", nodes[index].size, places[index]))
        step[index] = Node("vector", (), vectors[-1].name, nodes[index].size)
    return prologue, tuple(step), tuple(vectors)
