"""Which nodes a program computes, which sums become chains of products, and in which phase each value can be made."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from elman.equations.graph import PRODUCTS, SCALAR, Node
from elman.equations.graph.operations import read_args, reduces
from elman.equations.passes.sums import Sums, Term, count_uses, source_rank

Key = tuple[int, str]  # level and size of a phase


@dataclass(frozen=True)
class Chain:
    """A sum with products: a vector that it starts from, the products in order, and terms that are added behind."""

    start: int | None
    products: tuple[int, ...]
    rest: tuple[Term, ...]


class Schedule:
    """The nodes that lead to `roots`, ordered. `leaves` are those that lie in memory, whatever they are made from."""

    def __init__(self, nodes: Sequence[Node], leaves: Container[int], roots: Iterable[int]) -> None:
        self.nodes = nodes
        self._leaves = leaves
        self._roots = list(roots)
        self.chains: dict[int, Chain] = {}
        self.order = self._reach()
        self._level: dict[int, int] = {}
        for index in self.order:
            self._level[index] = self._first_level(index)

    def is_leaf(self, index: int) -> bool:
        """Whether a value lies in memory, or is a number."""
        return index in self._leaves or self.nodes[index].op in ("constant", "count")

    def operands(self, index: int) -> tuple[int, ...]:
        """What a program reads to make a node."""
        return () if self.is_leaf(index) else read_args(self.nodes[index])

    def read(self, index: int) -> tuple[int, ...]:
        """The operands that the code of a node's phase reads, once the chains are made."""
        chain = self.chains.get(index)
        return self.operands(index) if chain is None else tuple(term for _, term in chain.rest)

    def sources(self, index: int) -> tuple[int, ...]:
        """What the products of a node's chain are made from, one for each product."""
        chain = self.chains.get(index)
        return () if chain is None else tuple(self.nodes[product].args[0] for product in chain.products)

    def key(self, index: int) -> Key:
        """The phase of a node; a reduction runs over the units that it takes."""
        return self._level[index], self._units(index)

    def phases(self) -> list[tuple[Key, list[int]]]:
        """All phases in order with their nodes: vectors before scalars, which may be made from none of their level."""
        found: dict[Key, list[int]] = {}
        for index in self.order:
            if not self.is_leaf(index):
                found.setdefault(self.key(index), []).append(index)
        return sorted(found.items(), key=lambda item: (item[0][0], item[0][1] == SCALAR, item[0][1]))

    def _units(self, index: int) -> str:
        node = self.nodes[index]
        return self.nodes[node.args[0]].size if reduces(node.op) else node.size

    def _reach(self) -> list[int]:
        """The nodes that are needed, chains recognised on the way: what lies inside one is not computed by itself."""
        found: set[int] = set()
        stack = list(self._roots)
        while stack:
            index = stack.pop()
            if index not in found:
                found.add(index)
                stack += self._parts(index)
        return sorted(found)

    @cached_property
    def _closed(self) -> list[Node]:
        """The nodes that lead to a root; leaves and all others are bare."""
        live = [False] * len(self.nodes)
        stack = list(self._roots)
        while stack:
            index = stack.pop()
            if not live[index]:
                live[index] = True
                stack += self.operands(index)
        bare = Node("input")
        return [node if live[i] and not self.is_leaf(i) else bare for i, node in enumerate(self.nodes)]

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self._closed, count_uses(self._closed, self._roots), negative=False)

    def _parts(self, index: int) -> tuple[int, ...]:
        """The nodes that `index` is made from."""
        node = self._closed[index]
        terms = found.terms if (found := self._sums.of(index)) else []
        products = [n for sign, n in terms if sign > 0 and self._sums.is_product(n, node.size)]
        if node.op in PRODUCTS:
            self.chains[index] = Chain(None, (index,), ())
        elif products:
            inside = set(products)
            rest = [term for term in terms if term[1] not in inside]
            starts = [term for term in rest if self._is_start(term, node.size)][:1]
            for term in starts:
                rest.remove(term)  # once: it may stand twice
            products.sort(key=lambda n: (source_rank(self.nodes, n), self.nodes[n].args[0]))
            start = starts[0][1] if starts else None
            self.chains[index] = Chain(start, tuple(products), tuple(rest))
            return (*self.sources(index), *self.read(index), *(n for _, n in starts))
        return self.sources(index) or self.operands(index)

    def _is_start(self, term: Term, size: str) -> bool:
        sign, index = term
        return sign > 0 and self.nodes[index].op == "vector" and self.nodes[index].size == size

    def _first_level(self, index: int) -> int:
        """The first phase in which a node can be made: behind its sources, reductions, shifted rows, other sizes."""
        levels = [0]
        levels += [self._level[source] + 1 for source in self.sources(index) if not self.is_leaf(source)]
        for arg in self.read(index):
            if not self.is_leaf(arg):
                apart = reduces(self.nodes[arg].op) or self.nodes[arg].size != self._units(index)
                levels.append(self._level[arg] + (apart or self.nodes[index].op == "shift"))
        return max(levels)
