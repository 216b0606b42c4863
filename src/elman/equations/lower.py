"""Rewrites a graph into what runs at every step, and what is made of the parameters alone, once a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.equations.builder import Builder
from elman.equations.graph import PRODUCTS, SCALAR, Graph, Node

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
    """One layer norm as primitive nodes: outs[i] = (args[i] - mean) * scale, with the mean and the scale of all args joined."""

    args: tuple[int, ...]
    outs: tuple[int, ...]
    scale: int
    count: int

    def moved(self, places: Sequence[int]) -> Norm:
        """The same norm after its nodes have moved."""
        args, outs = (tuple(places[n] for n in nodes) for nodes in (self.args, self.outs))
        return Norm(args, outs, places[self.scale], places[self.count])


@dataclass(frozen=True)
class Lowered:
    """The step in primitive operations, every sum in the order bias, products of x, products of h, rest.

    Names beginning with "%" are derived parameters: products and vectors of `nodes` use them like any other.
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
    prologue, primitive, vectors = _hoist_parameters(primitive)
    builder, renamed, matrices = _Merger(graph, primitive).run()
    results = {name: renamed[places[node]] for name, node in graph.results.items()}
    live = tuple(n.moved(renamed) for n in norms if all(primitive[out].op == "mul" for out in n.outs))
    return Lowered(graph, builder.finish(), results, prologue, vectors, matrices, live)


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


def count_uses(nodes: Sequence[Node], results: Sequence[int]) -> list[int]:
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


def _expand(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], list[int], list[Norm]]:
    builder = Builder()
    places: list[int] = []
    norms: dict[int, Norm] = {}
    for node in nodes:
        args = tuple(places[arg] for arg in node.args)
        if node.op == "layer_norm":
            index, eps = node.value  # type: ignore[misc]
            norm = _layer_norm(builder, args, float(eps))
            norms[norm.scale] = norm
            places.append(norm.outs[int(index)])
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
    nodes: Sequence[Node],
) -> tuple[tuple[Node, ...], tuple[Node, ...], tuple[DerivedVector, ...]]:
    """Split off what depends on parameters only: (prologue, step, derived vectors that join them)."""
    only: list[bool] = []
    for node in nodes:
        leaf = node.op in ("vector", "constant", "count")
        only.append(leaf or (bool(node.args) and node.op not in PRODUCTS and all(only[a] for a in node.args)))
    moved = [only[i] and _has_vector(nodes, i) and nodes[i].op != "vector" for i in range(len(nodes))]
    vectors: list[DerivedVector] = []
    step: list[Node] = []
    for i, node in enumerate(nodes):
        frontier = moved[i] and any(i in other.args and not only[j] for j, other in enumerate(nodes))
        if frontier:
            vectors.append(DerivedVector(f"%{len(vectors)}", node.size, i))
            node = Node("vector", (), vectors[-1].name, node.size, node.name, node.line)
        step.append(node)
    return (tuple(nodes) if vectors else ()), tuple(step), tuple(vectors)


def _has_vector(nodes: Sequence[Node], index: int) -> bool:
    node = nodes[index]
    return node.op == "vector" or any(_has_vector(nodes, arg) for arg in node.args)


class _Merger:
    """Rebuilds the nodes with every sum in its canonical order and products of one source made one."""

    def __init__(self, graph: Graph, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.results = list(graph.results.values())
        self.shapes = {p.name: p.shape for p in graph.parameters}
        self.builder = Builder()
        self.matrices: dict[tuple[tuple[int, str, bool], ...], DerivedMatrix] = {}

    def run(self) -> tuple[Builder, list[int], tuple[DerivedMatrix, ...]]:
        uses = count_uses(self.nodes, self.results)
        places: list[int] = []
        for index, node in enumerate(self.nodes):
            terms = terms_of(self.nodes, uses, index) if node.op in ("add", "sub") else []
            products = [t for t in terms if self.nodes[t[1]].op in PRODUCTS and uses[t[1]] == 1]
            if products:
                places.append(self._sum(terms, products, places))
            else:
                args = tuple(places[arg] for arg in node.args)
                places.append(self.builder.add(node.op, *args, value=node.value, size=node.size))
        return self.builder, places, tuple(self.matrices.values())

    def _sum(self, terms: list[Term], products: list[Term], places: list[int]) -> int:
        rest = [t for t in terms if t not in products]
        biases = [t for t in rest if t[0] > 0 and self.nodes[t[1]].op == "vector"][:1]
        chain = [places[node] for _, node in biases]
        by_source: dict[int, list[Term]] = {}
        for sign, node in sorted(products, key=lambda term: source_rank(self.nodes, term[1])):
            by_source.setdefault(self.nodes[node].args[0], []).append((sign, node))
        chain += [self._product(source, group, places) for source, group in by_source.items()]
        total = chain[0]
        for node in chain[1:]:
            total = self.builder.add("add", total, node)
        for sign, node in (t for t in rest if t not in biases):
            total = self.builder.add("add" if sign > 0 else "sub", total, places[node])
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
