"""Nodes become a program: memory for what outlives its phase, registers for the rest."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from elman.emit.phase import Array, Instruction, Link, Matrix, Phase, Role, memory
from elman.emit.program import Program
from elman.emit.schedule import Key, Schedule
from elman.equations.graph import SCALAR, Node
from elman.equations.graph.operations import OPERATIONS, reduces
from elman.equations.passes.sums import source_rank

Number = float | tuple[str, ...]

_CHEAP = frozenset(row.name for row in OPERATIONS.values() if row.cheap)


def compile_program(nodes: Sequence[Node], leaves: Mapping[int, Array], stores: Sequence[tuple[int, Array]]) -> Program:
    """The program that computes the nodes of `stores` into their arrays; `leaves` say which are read from memory."""
    return _Compiler(nodes, leaves, stores).run()


@dataclass
class _Draft:
    """A phase while it is written."""

    registers: dict[int, int] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    count: int = 0
    code: list[Instruction] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)  # where each value is read for the last time
    age: dict[int, int] = field(default_factory=dict)  # the order in which values came to registers
    held: int = 0
    fresh: list[int] = field(default_factory=list)  # those that came since registers were last given back

    def take(self) -> int:
        if self.free:
            return self.free.pop()
        self.count += 1
        return self.count - 1

    def hold(self, index: int, register: int) -> None:
        """Note that a value is in a register."""
        if index not in self.registers:
            self.age[index] = self.held = self.held + 1
            self.fresh.append(index)
        self.registers[index] = register

    def release(self, position: int, read: Iterable[int], waiting: Container[int]) -> None:
        """Give back the registers of values that no later position reads; `read` are those read here for the last time.

        Chains that are `waiting` for their turn keep theirs.
        """
        values = {v for v in (*read, *self.fresh) if v in self.registers and v not in waiting}
        for value in sorted(values, key=self.age.__getitem__):
            if self.last.get(value, position) <= position:
                self.free.append(self.registers.pop(value))
        self.fresh = []

    def write(self, op: str, *args: int) -> int:
        """Append an instruction that makes a value; its register."""
        target = self.take()
        self.code.append(Instruction(op, target, args))
        return target


class _Compiler:
    def __init__(self, nodes: Sequence[Node], leaves: Mapping[int, Array], stores: Sequence[tuple[int, Array]]) -> None:
        self.nodes = list(nodes)
        self.leaves = dict(leaves)
        self.stores: dict[int, list[Array]] = {}
        for index, array in stores:
            self.stores.setdefault(self._storable(index, array), []).append(array)
        self.schedule = Schedule(self.nodes, self.leaves, self.stores)
        self.arrays: dict[Array, int] = {}
        self.places: list[Array] = []
        self.matrices: dict[Matrix, int] = {}
        self.homes: dict[int, int] = {}

    def run(self) -> Program:
        self._give_homes()
        phases = tuple(self._phase(key, nodes) for key, nodes in self.schedule.phases())
        return Program(tuple(self.places), tuple(self.matrices), phases)

    def _storable(self, index: int, array: Array) -> int:
        """The node to store: a copy of what lies in memory, and of a reduction, which goes to one place only."""
        op = self.nodes[index].op
        taken = reduces(op) and (index in self.stores or array.role is Role.SUMMED)
        if taken or index in self.leaves or op in ("constant", "count"):
            self.nodes.append(Node("copy", (index,), size=array.size))
            return len(self.nodes) - 1
        return index

    def _array(self, array: Array) -> int:
        if array not in self.arrays:
            self.arrays[array] = len(self.places)
            self.places.append(array)
        return self.arrays[array]

    def _give_homes(self) -> None:
        """Choose the memory of every value that is stored, or that a later phase or a product reads."""
        for index in self.schedule.order:
            if index in self.leaves:
                self.homes[index] = self._array(self.leaves[index])
        for index, arrays in self.stores.items():
            for array in arrays:
                home = self._array(array)
                if array.role is not Role.SUMMED:
                    self.homes.setdefault(index, home)
        for index in self.schedule.order:
            for source in self.schedule.sources(index):
                self._give_home(source, again=False)
            for arg in self.schedule.read(index):
                if not self.schedule.is_leaf(arg) and self._is_apart(arg, index):
                    self._give_home(arg, again=self.nodes[index].op != "shift")  # which takes a row of memory

    def _is_apart(self, arg: int, index: int) -> bool:
        """Whether a node's operand comes from another phase."""
        return reduces(self.nodes[arg].op) or self.schedule.key(arg) != self.schedule.key(index)

    def _give_home(self, index: int, again: bool) -> None:
        """Keep a value for later phases; with `again`, what is made as cheaply as loaded is made again instead."""
        if index in self.homes or self.schedule.is_leaf(index):
            return
        if again and self._is_made_again(index):
            for arg in self.schedule.operands(index):
                self._give_home(arg, again=True)
        else:
            self.homes[index] = self._array(Array(f"s{index}", Role.SCRATCH, self.nodes[index].size))

    def _is_made_again(self, index: int) -> bool:
        """Whether a value comes from at most one row beside scalars and parameters, by one cheap operation."""
        node = self.nodes[index]
        if index in self.schedule.chains or node.op not in _CHEAP or node.size == SCALAR:
            return False
        operands = self.schedule.operands(index)
        rows = {n for n in operands if self.nodes[n].op != "vector" and self.nodes[n].size != SCALAR}
        return len(rows) <= 1 and all(n in self.homes or self.schedule.is_leaf(n) for n in rows)

    def _phase(self, key: Key, mine: Sequence[int]) -> Phase:
        schedule = self.schedule
        read = {n for i in mine for n in schedule.read(i)}
        mine = [i for i in mine if i in read or i in self.homes or i in self.stores]
        chained = [i for i in mine if i in schedule.chains]
        starts = [schedule.chains[i].start for i in chained]
        draft = _Draft()
        for index in chained:
            draft.hold(index, draft.take())
        self._write(draft, mine)
        return Phase(
            key[1],
            tuple(-1 if start is None else self.homes[start] for start in starts),
            self._links(chained),
            tuple(draft.code),
            draft.count,
        )

    def _links(self, chained: Sequence[int]) -> tuple[Link, ...]:
        """The products of a phase by source, in the order of every chain: the same in each program of a cell."""
        links: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
        for chain, index in enumerate(chained):
            seen: dict[int, int] = {}
            for product in self.schedule.chains[index].products:
                source = self.nodes[product].args[0]
                seen[source] = seen.get(source, -1) + 1
                place = (source_rank(self.nodes, product), source, seen[source])
                links.setdefault(place, []).append((chain, self._matrix(product)))
        return tuple(Link(self.homes[place[1]], tuple(products)) for place, products in sorted(links.items()))

    def _matrix(self, product: int) -> int:
        node = self.nodes[product]
        matrix = Matrix(str(node.value), node.op == "product_t", node.size, self.nodes[node.args[0]].size)
        return self.matrices.setdefault(matrix, len(self.matrices))

    def _write(self, draft: _Draft, mine: Sequence[int]) -> None:
        """Write a phase's code; a register is free again after the last use of its value."""
        draft.last = {arg: position for position, index in enumerate(mine) for arg in self.schedule.read(index)}
        over: dict[int, list[int]] = {}
        for value, position in draft.last.items():
            over.setdefault(position, []).append(value)
        waiting = set(draft.registers)  # chains are filled before the code, whether their turn has come or not
        for position, index in enumerate(mine):
            self._compute(draft, index)
            waiting.discard(index)
            draft.release(position, (index, *over.get(position, ())), waiting)

    def _operand(self, draft: _Draft, index: int) -> int:
        """Where a value is to be read: its register, its memory, or a register in which it is made again."""
        node = self.nodes[index]
        if index in draft.registers:
            return draft.registers[index]
        if index in self.homes:
            return memory(self.homes[index])
        if node.op in ("constant", "count"):
            return memory(self._array(Array(repr(node.value), Role.CONSTANT, SCALAR, cast(Number, node.value))))
        args = [self._operand(draft, arg) for arg in self.schedule.operands(index)]
        draft.hold(index, draft.write(OPERATIONS[node.op].code, *args))
        return draft.registers[index]

    def _compute(self, draft: _Draft, index: int) -> None:
        """Make a value, at once in the memory where it belongs."""
        node, chain = self.nodes[index], self.schedule.chains.get(index)
        args = tuple(self._operand(draft, arg) for arg in self.schedule.read(index))
        homes = self._stored(index)
        if reduces(node.op):
            draft.code.append(Instruction(node.op, memory(self.homes[index]), args))
        elif chain:
            for (sign, _), arg in zip(chain.rest, args, strict=True):
                register = draft.registers[index]
                draft.hold(index, draft.write("add" if sign > 0 else "sub", register, arg))
                draft.free.append(register)
        elif homes and node.op == "mul" and index not in draft.last and all(a.role is Role.SUMMED for a in homes):
            totals = [memory(self.arrays[array]) for array in homes]
            draft.code += [Instruction("fma", total, (*args, total)) for total in totals]
            return
        else:
            if homes and homes[0].role is not Role.SUMMED:
                draft.code.append(Instruction(OPERATIONS[node.op].code, memory(self.arrays[homes.pop(0)]), args))
            else:
                draft.hold(index, draft.write(OPERATIONS[node.op].code, *args))
        self._store(draft, index, homes)

    def _store(self, draft: _Draft, index: int, arrays: Sequence[Array]) -> None:
        """Copy a value to memory, or add it to what is summed."""
        for array in arrays:
            made, home = self._operand(draft, index), memory(self.arrays[array])
            if array.role is Role.SUMMED:
                draft.code.append(Instruction("add", home, (home, made)))
            else:
                draft.code.append(Instruction("copy", home, (made,)))

    def _stored(self, index: int) -> list[Array]:
        """Where a value is stored when it is made: its home, which may be scratch, and wherever it is asked for."""
        if reduces(self.nodes[index].op):
            return []
        homes = [self.places[self.homes[index]]] if index in self.homes else []
        return sorted(dict.fromkeys(homes + self.stores.get(index, [])), key=lambda array: array.role is Role.SUMMED)
