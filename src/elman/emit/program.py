"""The pointwise program: nodes become phases of matrix-product chains and short lists of vector operations.

A phase runs over the units of one size. It first fills registers by chains (start vector, then one matrix product after
another, each a run of fused multiply-adds), then executes its code on the registers, a block of units at a time, and at its end
completes sums over all units. What a later phase needs is stored in a row of scratch memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from elman.equations.graph import PRODUCTS, SCALAR, Node
from elman.equations.lower import count_uses, source_rank, terms_of


# What costs no more than a load.
AGAIN = frozenset({"add", "sub", "mul", "neg", "spread"})


def _instruction_name(op: str) -> str:
    return "copy" if op == "spread" else op


@dataclass(frozen=True, slots=True)
class Array:
    """Memory that a program reads or writes: one row of `size` elements for each sequence and step, or one for all (vectors).

    Roles: input, vector, before (a state before the step), after (a state after it), carry and next (what runs from step to
    step), output, saved, kept, scratch; summed (one row a lane, to which every step adds).
    """

    name: str
    role: str
    size: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix as a product uses it: [rows, columns], the parameter read transposed or not."""

    name: str
    transposed: bool
    rows: str
    columns: str


@dataclass(frozen=True, slots=True)
class Link:
    """One source vector and the chains that a product of it is added to: pairs of (chain, matrix), both indices."""

    source: int
    products: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One vector operation on registers. `array` is the memory of a load or store, `value` a constant or a count's sizes."""

    op: str
    target: int = -1
    args: tuple[int, ...] = ()
    array: int = -1
    value: float = 0.0
    sizes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """One sweep over the units of a size. Chain k fills register k, starting from the vector `starts[k]` (-1: from zero)."""

    size: str
    starts: tuple[int, ...]
    links: tuple[Link, ...]
    code: tuple[Instruction, ...]
    registers: int


@dataclass(frozen=True)
class Program:
    """What the kernels run at each step."""

    arrays: tuple[Array, ...]
    matrices: tuple[Matrix, ...]
    phases: tuple[Phase, ...]

    def index(self, role: str, name: str) -> int:
        """The array of this role and name, or -1."""
        for i, array in enumerate(self.arrays):
            if array.role == role and array.name == name:
                return i
        return -1


def compile_program(nodes: Sequence[Node], leaves: Mapping[int, Array], stores: Sequence[tuple[int, Array]]) -> Program:
    """The program that computes the nodes of `stores` into their arrays, the nodes of `leaves` being read from theirs."""
    return _Compiler(nodes, leaves, stores).run()


@dataclass
class _Chain:
    start: int | None
    products: list[int]


@dataclass
class _Draft:
    """A phase while it is written."""

    registers: dict[int, int] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    count: int = 0
    code: list[Instruction] = field(default_factory=list)

    def take(self) -> int:
        if self.free:
            return self.free.pop()
        self.count += 1
        return self.count - 1


Key = tuple[int, str]


class _Compiler:
    def __init__(self, nodes: Sequence[Node], leaves: Mapping[int, Array], stores: Sequence[tuple[int, Array]]) -> None:
        self.nodes = list(nodes)
        self.leaves = dict(leaves)
        self.stores = [(self._copied(index, array), array) for index, array in stores]
        self.arrays: list[Array] = []
        self.matrices: list[Matrix] = []
        self.homes: dict[int, int] = {}
        self.chains: dict[int, _Chain] = {}
        self.rests: dict[int, list[tuple[int, int]]] = {}
        self.level: dict[int, int] = {}

    def run(self) -> Program:
        self._reach()
        for index in self.order:
            self.level[index] = self._level(index)
        self._give_homes()
        keys = sorted({self._key(i) for i in self.order if not self._is_leaf(i)}, key=lambda k: (k[0], k[1] == SCALAR, k[1]))
        phases = tuple(self._phase(key) for key in keys)
        return Program(tuple(self.arrays), tuple(self.matrices), phases)

    def _copied(self, index: int, array: Array) -> int:
        """A leaf that is stored as it is goes through a register."""
        if not self._is_leaf(index):
            return index
        self.nodes.append(Node("copy", (index,), size=array.size))
        return len(self.nodes) - 1

    def _is_leaf(self, index: int) -> bool:
        return index in self.leaves or self.nodes[index].op in ("constant", "count")

    def _reach(self) -> None:
        """Find the nodes that are needed, recognising chains on the way."""
        roots = [node for node, _ in self.stores]
        live = self._closure(roots)
        pruned = [n if i in live and not self._is_leaf(i) else Node("constant") for i, n in enumerate(self.nodes)]
        uses = count_uses(pruned, roots)
        needed: set[int] = set()
        stack = list(roots)
        while stack:
            index = stack.pop()
            if index not in needed:
                needed.add(index)
                stack += self._parts(index, uses)
        self.order = sorted(needed)

    def _closure(self, roots: list[int]) -> set[int]:
        found: set[int] = set()
        stack = list(roots)
        while stack:
            index = stack.pop()
            if index not in found:
                found.add(index)
                stack += [] if self._is_leaf(index) else self._operands(index)
        return found

    def _parts(self, index: int, uses: Sequence[int]) -> list[int]:
        """The nodes that `index` is made from; a sum with products becomes a chain and the rest that is added to it."""
        node = self.nodes[index]
        if self._is_leaf(index):
            return []
        if node.op in PRODUCTS:
            self.chains[index] = _Chain(None, [index])
            return [node.args[0]]
        terms = self._terms(index, uses) if node.op in ("add", "sub") else []
        products = [n for sign, n in terms if sign > 0 and self.nodes[n].op in PRODUCTS and uses[n] == 1]
        if not products:
            return list(self._operands(index))
        start = next((n for sign, n in terms if sign > 0 and self.nodes[n].op == "vector"), None)
        rest = [(sign, n) for sign, n in terms if n not in products and n != start]
        products.sort(key=lambda n: (source_rank(self.nodes, n), self.nodes[n].args[0]))
        self.chains[index] = _Chain(start, products)
        self.rests[index] = rest
        return [self.nodes[n].args[0] for n in products] + [n for _, n in rest] + ([] if start is None else [start])

    def _terms(self, index: int, uses: Sequence[int]) -> list[tuple[int, int]]:
        closed = [n if i not in self.leaves else Node("input") for i, n in enumerate(self.nodes[: index + 1])]
        return terms_of(closed, uses, index)

    def _key(self, index: int) -> Key:
        node = self.nodes[index]
        return self.level[index], self.nodes[node.args[0]].size if node.op == "sum" else node.size

    def _level(self, index: int) -> int:
        """The first phase in which a node can be computed: behind its chain's sources, and behind sums and other sizes."""
        if self._is_leaf(index):
            return 0
        levels = [0]
        if index in self.chains:
            sources = [self.nodes[n].args[0] for n in self.chains[index].products]
            levels += [self.level[s] + 1 for s in sources if not self._is_leaf(s)]
        node = self.nodes[index]
        operands = [n for _, n in self.rests.get(index, [])] if index in self.chains else self._operands(index)
        size = self.nodes[node.args[0]].size if node.op == "sum" else node.size
        for arg in operands:
            if not self._is_leaf(arg):
                apart = self.nodes[arg].op == "sum" or self.nodes[arg].size != size
                levels.append(self.level[arg] + apart)
        return max(levels)

    def _operands(self, index: int) -> Sequence[int]:
        node = self.nodes[index]
        return node.args[:1] if node.op == "spread" else node.args

    def _add_array(self, array: Array) -> int:
        if array not in self.arrays:
            self.arrays.append(array)
        return self.arrays.index(array)

    def _give_homes(self) -> None:
        """Choose the memory of every value that is stored, or that a later phase or a product reads."""
        for index in self.order:
            if index in self.leaves:
                self.homes[index] = self._add_array(self.leaves[index])
        for index, array in self.stores:
            home = self._add_array(array)
            if not self._is_leaf(index) and array.role != "summed":
                self.homes.setdefault(index, home)
        for index in self.order:
            sources = self._sources(index)
            for arg in self._far(index):
                self._give_home(arg, again=arg not in sources)

    def _give_home(self, index: int, again: bool) -> None:
        """Keep a value for later phases; with `again`, what is computed from one row as cheaply as loaded is computed again."""
        if index in self.homes or self._is_leaf(index):
            return
        if again and self._remade(index):
            for arg in self._operands(index):
                self._give_home(arg, again=True)
        else:
            self.homes[index] = self._add_array(Array(f"s{index}", "scratch", self.nodes[index].size))

    def _remade(self, index: int) -> bool:
        """Whether a value is computed again from at most one row beside scalars and parameters, one operation deep."""
        node = self.nodes[index]
        if index in self.chains or node.op not in AGAIN or node.size == SCALAR:
            return False
        rows = [n for n in self._operands(index) if self.nodes[n].op != "vector" and self.nodes[n].size != SCALAR]
        return len(set(rows)) <= 1 and all(n in self.homes or self._is_leaf(n) for n in rows)

    def _sources(self, index: int) -> list[int]:
        """What the products of a chain read."""
        return [self.nodes[n].args[0] for n in self.chains[index].products] if index in self.chains else []

    def _far(self, index: int) -> list[int]:
        """Operands of a node that it reads from memory: sources of products, and what another phase made."""
        if self._is_leaf(index):
            return []
        operands = self._local(index)
        apart = [n for n in operands if self.nodes[n].op == "sum" or self._key(n) != self._key(index)]
        return self._sources(index) + [n for n in apart if not self._is_leaf(n)]

    def _matrix(self, product: int) -> int:
        node = self.nodes[product]
        matrix = Matrix(str(node.value), node.op == "product_t", node.size, self.nodes[node.args[0]].size)
        if matrix not in self.matrices:
            self.matrices.append(matrix)
        return self.matrices.index(matrix)

    def _phase(self, key: Key) -> Phase:
        mine = [i for i in self.order if not self._is_leaf(i) and self._key(i) == key]
        read = {n for i in mine for n in self._local(i)}
        mine = [i for i in mine if i in read or i in self.homes or self._stored(i)]
        chained = [i for i in mine if i in self.chains]
        draft = _Draft()
        starts = []
        links: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for chain, index in enumerate(chained):
            draft.take()
            start = self.chains[index].start
            starts.append(-1 if start is None else self.homes[start])
            for product in self.chains[index].products:
                source = self.nodes[product].args[0]
                order = (source_rank(self.nodes, product), self.homes[source])
                links.setdefault(order, []).append((chain, self._matrix(product)))
        chain_of = {index: chain for chain, index in enumerate(chained)}
        self._write(draft, mine, chain_of, key[1])
        ordered = tuple(Link(home, tuple(links[rank, home])) for rank, home in sorted(links))
        return Phase(key[1], tuple(starts), ordered, tuple(draft.code), draft.count)

    def _write(self, draft: _Draft, mine: list[int], chain_of: Mapping[int, int], size: str) -> None:
        """Write a phase's code; a register is free again after the last use of its value."""
        last: dict[int, int] = {}
        for position, index in enumerate(mine):
            for arg in self._local(index):
                last[arg] = position
        for position, index in enumerate(mine):
            args = [self._register(draft, arg, size) for arg in self._local(index)]
            self._compute(draft, index, args, chain_of)
            for home in dict.fromkeys(self._stored(index)):
                op = "accumulate" if self.arrays[home].role == "summed" else "store"
                draft.code.append(Instruction(op, args=(draft.registers[index],), array=home))
            for value in [v for v in draft.registers if last.get(v, position) <= position]:
                draft.free.append(draft.registers.pop(value))

    def _local(self, index: int) -> list[int]:
        """The operands of a node as its instructions read them."""
        if index in self.chains:
            return [n for _, n in self.rests.get(index, [])]
        return list(self._operands(index))

    def _stored(self, index: int) -> list[int]:
        if self.nodes[index].op == "sum":
            return []
        homes = [self.arrays.index(array) for node, array in self.stores if node == index]
        return ([self.homes[index]] if index in self.homes else []) + homes

    def _register(self, draft: _Draft, index: int, size: str) -> int:
        """The register that holds a value, loaded where this phase did not compute it."""
        if index not in draft.registers:
            node = self.nodes[index]
            if index not in self.homes and not self._is_leaf(index):
                return self._make_again(draft, index, size)
            register = draft.registers[index] = draft.take()
            if node.op == "constant" and index not in self.leaves:
                draft.code.append(Instruction("constant", register, value=float(node.value)))  # type: ignore[arg-type]
            elif node.op == "count" and index not in self.leaves:
                draft.code.append(Instruction("count", register, sizes=tuple(node.value or ())))  # type: ignore[arg-type]
            else:
                scalar = node.size == SCALAR and size != SCALAR
                op = "load_scalar" if scalar else "load"
                draft.code.append(Instruction(op, register, array=self.homes[index]))
        return draft.registers[index]

    def _make_again(self, draft: _Draft, index: int, size: str) -> int:
        """Compute a value of another phase from what that phase computed it from."""
        args = tuple(self._register(draft, arg, size) for arg in self._operands(index))
        register = draft.registers[index] = draft.take()
        draft.code.append(Instruction(_instruction_name(self.nodes[index].op), register, args))
        return register

    def _compute(self, draft: _Draft, index: int, args: list[int], chain_of: Mapping[int, int]) -> None:
        node = self.nodes[index]
        if index in chain_of:
            register = chain_of[index]
            for (sign, _), arg in zip(self.rests.get(index, []), args, strict=True):
                target = draft.take()
                draft.code.append(Instruction("add" if sign > 0 else "sub", target, (register, arg)))
                draft.free.append(register)
                register = target
            draft.registers[index] = register
        elif node.op == "sum":
            draft.code.append(Instruction("sum", args=tuple(args), array=self.homes[index]))
        else:
            register = draft.registers[index] = draft.take()
            draft.code.append(Instruction(_instruction_name(node.op), register, tuple(args)))
