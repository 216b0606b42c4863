"""Sums of products: their terms, their canonical order, and products of one source made one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
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


@dataclass(frozen=True)
class Sum:
    """A maximal sum: its terms, the signs of the additions inside it, and what each of both is an operand of."""

    terms: list[Term]
    inside: dict[int, int]
    parents: dict[int, int]

    def joined(self, nodes: Sequence[int]) -> int:
        """The innermost addition inside the sum that has all these terms, and the sum's own sign."""
        place = self.parents[nodes[0]]
        for node in nodes[1:]:
            other = self.parents[node]
            while place != other:  # an addition stands behind its operands
                place, other = max(place, other), self.parents[min(place, other)]
        while self.inside[place] < 0:
            place = self.parents[place]
        return place


def sum_at(nodes: Sequence[Node], uses: Sequence[int], root: int) -> Sum:
    """The maximal sum at `root`: additions inside it that nothing else uses are opened."""
    found = Sum([], {}, {})
    stack: list[Term] = [(1, root)]
    while stack:
        sign, index = stack.pop()
        node = nodes[index]
        if node.op not in ("add", "sub", "neg") or (index != root and uses[index] != 1):
            found.terms.append((sign, index))
            continue
        found.inside[index] = sign
        signs = {"add": (sign, sign), "sub": (sign, -sign), "neg": (-sign,)}[node.op]
        found.parents.update(dict.fromkeys(node.args, index))
        stack += reversed([*zip(signs, node.args, strict=True)])
    return found


class Sums:
    """The maximal sums of a list of nodes that have products inside; each addition is looked into a few times at most.

    With `negative`, products with a minus count too.
    """

    def __init__(self, nodes: Sequence[Node], uses: Sequence[int], negative: bool) -> None:
        self.nodes, self.uses, self.negative = nodes, uses, negative
        self._plain: set[int] = set()  # additions without products that are made inside them

    def of(self, index: int) -> Sum | None:
        """The sum at an addition, if some of its terms are products to be made inside it."""
        node = self.nodes[index]
        if node.op not in ("add", "sub") or index in self._plain:
            return None
        found = sum_at(self.nodes, self.uses, index)
        products = [sign for sign, n in found.terms if self.is_product(n, node.size)]
        if products and (self.negative or max(products) > 0):
            return found
        # As long as it is, what stands inside without a minus has none either; a scalar sum may have one of its own.
        alike = (n for n, sign in found.inside.items() if sign > 0 or not products)
        self._plain.update(n for n in alike if self.nodes[n].size == node.size)
        return None

    def is_product(self, index: int, size: str) -> bool:
        """Whether a term is a product that nothing else uses, so that it can be made inside its sum."""
        node = self.nodes[index]
        return node.op in PRODUCTS and self.uses[index] == 1 and node.size == size


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
        self.used = live(nodes, results)
        self.sums = Sums(nodes, count_live_uses(nodes, results), negative=True)
        self.builder = Builder()
        self.matrices: dict[tuple[tuple[int, str, bool], ...], DerivedMatrix] = {}

    def run(self) -> dict[int, int]:
        """Where the given nodes stand in the builder's; those inside a merged sum, or used by nothing, do not."""
        merged, inside, joined = self._merged()
        places: dict[int, int] = {}
        for index, node in enumerate(self.nodes):
            for group in joined.get(index, ()):
                self._product(group, places)
            if index in merged:
                places[index] = self._sum(node.size, merged[index].terms, places)
            elif self.used[index] and index not in inside:
                args = tuple(places[arg] for arg in node.args)
                op, value = self._factor(index) if node.op in PRODUCTS else (node.op, node.value)
                places[index] = self.builder.add(op, *args, value=value, size=node.size)
        return places

    def _merged(self) -> tuple[dict[int, Sum], set[int], dict[int, list[list[Term]]]]:
        """From the last sum to the first: those that are made anew, the additions that they take in, and where the
        products of one source that are made one come together.
        """
        merged: dict[int, Sum] = {}
        inside: set[int] = set()
        joined: dict[int, list[list[Term]]] = {}
        for index in range(len(self.nodes) - 1, -1, -1):
            if self.used[index] and index not in inside and (found := self.sums.of(index)):
                merged[index] = found
                inside.update(n for n in found.inside if n != index)
                for group in self._groups(self.nodes[index].size, found.terms):
                    joined.setdefault(found.joined([n for _, n in group]), []).append(group)
        return merged, inside, joined

    def _groups(self, size: str, terms: list[Term]) -> list[list[Term]]:
        """The products of a sum by source, in the order in which they are added."""
        products = [term for term in terms if self.sums.is_product(term[1], size)]
        groups: dict[int, list[Term]] = {}
        for sign, index in sorted(products, key=lambda term: source_rank(self.nodes, term[1])):
            groups.setdefault(self.nodes[index].args[0], []).append((sign, index))
        return list(groups.values())

    def _sum(self, size: str, terms: list[Term], places: Mapping[int, int]) -> int:
        rest = [term for term in terms if not self.sums.is_product(term[1], size)]
        chain: list[int] = []
        for term in rest:
            sign, index = term
            if sign > 0 and self.nodes[index].op == "vector" and self.nodes[index].size == size:
                rest.remove(term)
                chain.append(places[index])
                break
        chain += [self._product(group, places) for group in self._groups(size, terms)]
        total = chain[0]
        for index in chain[1:]:
            total = self.builder.add("add", total, index)
        for sign, index in rest:
            total = self.builder.add("add" if sign > 0 else "sub", total, places[index])
        return total

    def _product(self, group: list[Term], places: Mapping[int, int]) -> int:
        first = self.nodes[group[0][1]]
        op, value = self._factor(*(n for _, n in group), signs=tuple(sign for sign, _ in group))
        return self.builder.add(op, places[first.args[0]], value=value, size=first.size)

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
