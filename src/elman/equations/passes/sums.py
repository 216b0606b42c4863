"""Sums of products: their terms, their canonical order, and products of one source made one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from elman.equations.graph import PRODUCTS, Node, Value, live
from elman.equations.graph.builder import Builder

Term = tuple[int, int]  # sign, node


@dataclass(frozen=True)
class DerivedMatrix:
    """A matrix that is a signed sum of parameters: terms of (sign, parameter, transposed)."""

    name: str
    shape: tuple[str, str]
    terms: tuple[tuple[int, str, bool], ...]


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


def count_live_uses(nodes: Sequence[Node], results: Sequence[int]) -> list[int]:
    """How often each node is used by what leads to a result, or as one."""
    used = live(nodes, results)
    return count_uses([node if used[i] else Node("constant") for i, node in enumerate(nodes)], results)


def sums_of_products(nodes: Sequence[Node]) -> list[bool]:
    """Whether each node is a matrix product, or a sum with one: what is made as a chain, not by itself."""
    found: list[bool] = []
    for node in nodes:
        summed = node.op in ("add", "sub", "neg") and any(found[arg] for arg in node.args)
        found.append(node.op in PRODUCTS or summed)
    return found


def source_rank(nodes: Sequence[Node], product: int) -> int:
    """Where a product stands in its sum: inputs first, then states, then what is computed."""
    return {"input": 0, "state": 1}.get(nodes[nodes[product].args[0]].op, 2)


class Merger:
    """Rebuilds the nodes with every sum in its canonical order and products of one source made one.

    Matrices `made` elsewhere, constants and those of blocks, are never multiplied by as they are: derived ones stand
    for them.
    """

    def __init__(self, nodes: Sequence[Node], results: Sequence[int], made: Container[str] = ()) -> None:
        self.nodes = nodes
        self.made = made
        self.uses = count_live_uses(nodes, results)
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
                op, value = self._factor(index) if node.op in PRODUCTS else (node.op, node.value)
                places.append(self.builder.add(op, *args, value=value, size=node.size))
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
        first = self.nodes[group[0][1]]
        op, value = self._factor(*(n for _, n in group), signs=tuple(sign for sign, _ in group))
        return self.builder.add(op, places[source], value=value, size=first.size)

    def _factor(self, *products: int, signs: tuple[int, ...] = (1,)) -> tuple[str, Value]:
        """One product for several of one source: its operation and its matrix, derived where it is no parameter."""
        nodes = [self.nodes[n] for n in products]
        first = nodes[0]
        terms = tuple((s, str(n.value), n.op == "product_t") for s, n in zip(signs, nodes, strict=True))
        if signs == (1,) and first.value not in self.made:
            return first.op, first.value
        if terms not in self.matrices:
            shape = (first.size, self.nodes[first.args[0]].size)
            self.matrices[terms] = DerivedMatrix(f"%M{len(self.matrices)}", shape, terms)
        return "product", self.matrices[terms].name
