"""Rewrites a graph into what runs at every step, and what is made of the parameters alone, once a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from elman.equations.builder import Builder
from elman.equations.graph import PRODUCTS, SCALAR, Graph, Node, live

Term = tuple[int, int]  # sign, node


@dataclass(frozen=True)
class DerivedMatrix:
    """A matrix that is a signed sum of parameters: terms of (sign, parameter, transposed)."""

    name: str
    shape: tuple[str, str]
    terms: tuple[tuple[int, str, bool], ...]


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
    roots = {name: places[node] for name, node in graph.results.items()}
    prologue, step, vectors = _hoist_parameters(primitive, roots.values())
    used = live(step, roots.values())
    norms = [norm for norm in norms if used[norm.scale]]
    merger = _Merger(step, [*roots.values(), *(out for norm in norms for out in norm.outs)])
    merged = merger.run()
    norms = [norm.moved(merged) for norm in norms]
    results = {name: merged[node] for name, node in roots.items()}
    nodes, kept = _prune(merger.builder.finish(), [*results.values(), *(out for norm in norms for out in norm.outs)])
    return Lowered(
        graph,
        nodes,
        {name: kept[node] for name, node in results.items()},
        prologue,
        vectors,
        _used(merger.matrices.values(), nodes),
        tuple(norm.moved(kept) for norm in norms),
    )


def _used(matrices: Iterable[DerivedMatrix], nodes: Sequence[Node]) -> tuple[DerivedMatrix, ...]:
    """Without the matrices of sums that a larger sum has taken in."""
    names = {node.value for node in nodes if node.op in PRODUCTS}
    return tuple(matrix for matrix in matrices if matrix.name in names)


def terms_of(nodes: Sequence[Node], uses: Sequence[int], root: int) -> list[Term]:
    """The terms of the maximal sum at `root`: additions inside it that nothing else uses are opened."""
    found: list[Term] = []
    stack: list[tuple[int, int, bool]] = [(1, root, True)]
    while stack:
        sign, index, top = stack.pop()
        node = nodes[index]
        opened = top or uses[index] == 1
        if opened and node.op in ("add", "sub"):
            stack.append((-sign if node.op == "sub" else sign, node.args[1], False))
            stack.append((sign, node.args[0], False))
        elif opened and node.op == "neg":
            stack.append((-sign, node.args[0], False))
        else:
            found.append((sign, index))
    return found


def count_uses(nodes: Sequence[Node], results: Iterable[int]) -> list[int]:
    """How often each node is used, by others or as a result."""
    uses = [0] * len(nodes)
    for node in nodes:
        for arg in node.args:
            uses[arg] += 1
    for index in results:
        uses[index] += 1
    return uses


def source_rank(nodes: Sequence[Node], product: int) -> int:
    """Where a product stands in its sum: inputs first, then states, then what is computed."""
    return {"input": 0, "state": 1}.get(nodes[nodes[product].args[0]].op, 2)


def _prune(nodes: Sequence[Node], roots: Iterable[int]) -> tuple[tuple[Node, ...], dict[int, int]]:
    """The nodes that lead to `roots`, and where each of them stands now."""
    used = live(nodes, roots)
    places: dict[int, int] = {}
    kept: list[Node] = []
    for index, node in enumerate(nodes):
        if used[index]:
            places[index] = len(kept)
            kept.append(replace(node, args=tuple(places[arg] for arg in node.args)))
    return tuple(kept), places


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


def total_of(builder: Builder, vectors: Sequence[int]) -> int:
    """The sum over all units of all vectors; vectors of one size are added first, so that one reduction is left."""
    sums: list[int] = []
    for letter in dict.fromkeys(builder.size(vector) for vector in vectors):
        alike = [vector for vector in vectors if builder.size(vector) == letter]
        joined = alike[0]
        for vector in alike[1:]:
            joined = builder.add("add", joined, vector)
        sums.append(builder.add("sum", joined, size=SCALAR))
    total = sums[0]
    for part in sums[1:]:
        total = builder.add("add", total, part)
    return total


def _hoist_parameters(
    nodes: Sequence[Node], results: Iterable[int]
) -> tuple[tuple[Node, ...], tuple[Node, ...], tuple[DerivedVector, ...]]:
    """Split off what depends on parameters only: (prologue, step, derived vectors that join them)."""
    moves: list[bool] = []  # computed, from parameters alone
    still: list[bool] = []  # the same at every step
    for node in nodes:
        still.append(node.op not in ("input", "state") and all(still[arg] for arg in node.args))
        computed = bool(node.args) and any(moves[arg] or nodes[arg].op == "vector" for arg in node.args)
        moves.append(still[-1] and computed)
    read = {arg for index, node in enumerate(nodes) if not still[index] for arg in node.args} | set(results)
    frontier = [index for index in sorted(read) if moves[index]]
    prologue, places = _prune(nodes, frontier)
    step = list(nodes)
    vectors: list[DerivedVector] = []
    for index in frontier:
        vectors.append(DerivedVector(f"%{len(vectors)}", nodes[index].size, places[index]))
        step[index] = Node("vector", (), vectors[-1].name, nodes[index].size)
    return prologue, tuple(step), tuple(vectors)


class _Merger:
    """Rebuilds the nodes with every sum in its canonical order and products of one source made one."""

    def __init__(self, nodes: Sequence[Node], results: Sequence[int]) -> None:
        self.nodes = nodes
        used = live(nodes, results)
        self.uses = count_uses([node if used[i] else Node("constant") for i, node in enumerate(nodes)], results)
        self.builder = Builder()
        self.matrices: dict[tuple[tuple[int, str, bool], ...], DerivedMatrix] = {}

    def run(self) -> list[int]:
        """Where each of the given nodes stands in the builder's."""
        places: list[int] = []
        for index, node in enumerate(self.nodes):
            terms = terms_of(self.nodes, self.uses, index) if node.op in ("add", "sub") else []
            products = [t for t in terms if self._is_merged(t[1], node.size)]
            if products:
                places.append(self._sum(node.size, terms, products, places))
            else:
                args = tuple(places[arg] for arg in node.args)
                places.append(self.builder.add(node.op, *args, value=node.value, size=node.size))
        return places

    def _is_merged(self, index: int, size: str) -> bool:
        """Whether a term is a product that nothing else uses, so that it can be made inside its sum."""
        node = self.nodes[index]
        return node.op in PRODUCTS and self.uses[index] == 1 and node.size == size

    def _sum(self, size: str, terms: list[Term], products: list[Term], places: list[int]) -> int:
        rest = [t for t in terms if t not in products]
        chain: list[int] = []
        for term in rest:
            sign, index = term
            if sign > 0 and self.nodes[index].op == "vector" and self.nodes[index].size == size:
                rest.remove(term)
                chain.append(places[index])
                break
        by_source: dict[int, list[Term]] = {}
        for sign, index in sorted(products, key=lambda term: source_rank(self.nodes, term[1])):
            by_source.setdefault(self.nodes[index].args[0], []).append((sign, index))
        chain += [self._product(source, group, places) for source, group in by_source.items()]
        total = chain[0]
        for index in chain[1:]:
            total = self.builder.add("add", total, index)
        for sign, index in rest:
            total = self.builder.add("add" if sign > 0 else "sub", total, places[index])
        return total

    def _product(self, source: int, group: list[Term], places: list[int]) -> int:
        terms = tuple((sign, str(self.nodes[n].value), self.nodes[n].op == "product_t") for sign, n in group)
        first = self.nodes[group[0][1]]
        op, value = first.op, str(first.value)
        if terms != ((1, value, op == "product_t"),):
            if terms not in self.matrices:
                shape = (first.size, self.nodes[source].size)
                self.matrices[terms] = DerivedMatrix(f"%M{len(self.matrices)}", shape, terms)
            op, value = "product", self.matrices[terms].name
        return self.builder.add(op, places[source], value=value, size=first.size)
