"""Programs without steps: the products of the input, before the recurrence, and those of its gradient, after it."""

from __future__ import annotations

from dataclasses import replace

from elman.emit.phase import Array, Instruction, Link, Matrix, Phase, Role, memory
from elman.emit.program import Program
from elman.emit.recurrence import InputGradient


def split_inputs(program: Program) -> tuple[Program, Program] | None:
    """The projection of the inputs over all steps at once, and the recurrence that begins its chains with it.

    Each chain goes on from where the projection left it, so that the bits are those of the whole program. None where no
    product takes an input.
    """
    arrays = list(program.arrays)
    projections: list[Phase] = []
    phases: list[Phase] = []
    for number, phase in enumerate(program.phases):
        early = [link for link in phase.links if arrays[link.source].role is Role.INPUT]
        late = tuple(link for link in phase.links if arrays[link.source].role is not Role.INPUT)
        chains = sorted({chain for link in early for chain, _ in link.products})
        starts = list(phase.starts)
        stores = []
        for place, chain in enumerate(chains):
            arrays.append(Array(f"p{number}.{chain}", Role.PROJECTED, phase.size))
            starts[chain] = len(arrays) - 1
            stores.append(Instruction("copy", memory(len(arrays) - 1), (place,)))
        if chains:
            renamed = {chain: place for place, chain in enumerate(chains)}
            links = tuple(Link(k.source, tuple((renamed[c], m) for c, m in k.products)) for k in early)
            begin = tuple(phase.starts[chain] for chain in chains)
            projections.append(Phase(phase.size, begin, links, tuple(stores), len(chains)))
        phases.append(replace(phase, starts=tuple(starts), links=late))
    if not projections:
        return None
    before, after = (Program(tuple(arrays), program.matrices, tuple(part)) for part in (projections, phases))
    return _pruned(before), _pruned(after)


def _pruned(program: Program) -> Program:
    """The program without the arrays that none of its phases touches."""
    used: set[int] = set()
    for phase in program.phases:
        operands = [operand for i in phase.code for operand in (i.target, *i.args)]
        used.update(phase.starts, (k.source for k in phase.links), (memory(o) for o in operands if o < 0))
    kept = sorted(used - {-1})
    place = {-1: -1} | {array: k for k, array in enumerate(kept)}

    def moved(operand: int) -> int:
        return operand if operand >= 0 else memory(place[memory(operand)])

    phases = [
        replace(
            phase,
            starts=tuple(place[start] for start in phase.starts),
            links=tuple(replace(k, source=place[k.source]) for k in phase.links),
            code=tuple(Instruction(i.op, moved(i.target), tuple(moved(arg) for arg in i.args)) for i in phase.code),
        )
        for phase in program.phases
    ]
    return Program(tuple(program.arrays[k] for k in kept), program.matrices, tuple(phases))


def input_gradient(gradient: InputGradient, size: str) -> Program:
    """∂loss/∂input of every step: its element-wise part, then the products of the kept rows."""
    arrays = [Array(gradient.name, Role.D_INPUT, size)]
    if gradient.pointwise:
        arrays.append(gradient.pointwise)
    matrices: list[Matrix] = []
    links = []
    for matrix, d in gradient.products:
        matrices.append(matrix)
        if d not in arrays:
            arrays.append(d)
        links.append(Link(arrays.index(d), ((0, len(matrices) - 1),)))
    store = Instruction("copy", memory(0), (0,))
    phase = Phase(size, (1 if gradient.pointwise else -1,), tuple(links), (store,), 1)
    return Program(tuple(arrays), tuple(matrices), (phase,))
