"""What every program must be: rules that the kernels rely on and do not check."""

from __future__ import annotations

from collections.abc import Set

from elman.emit import Program, memory
from elman.equations.graph.operations import OPERANDS

READ_ONLY = {"input", "vector", "before", "after", "carry", "constant"}
RANK = {"input": 0, "before": 1, "carry": 1}


def check(program: Program, given: Set[str] = frozenset(), ordered: bool = True) -> None:
    """Assert the rules.

    Arrays of the roles `given` may be read without having been written: another program has. Chains are `ordered` in
    the programs of the step itself, where the bits of whole and split programs must be the same.
    """
    assert len(set(program.arrays)) == len(program.arrays)
    assert len(set(program.matrices)) == len(program.matrices)
    ready = {k for k, array in enumerate(program.arrays) if array.role in READ_ONLY | given}
    for phase in program.phases:
        _check_chains(program, phase, ready)
        ranks = [RANK.get(program.arrays[link.source].role, 2) for link in phase.links]
        assert not ordered or ranks == sorted(ranks), "inputs come first, then states, then what is computed"
        ready |= _check_code(program, phase, ready)


def _check_chains(program, phase, ready):
    assert len(phase.starts) <= phase.registers
    for start in phase.starts:
        assert start == -1 or start in ready
        assert start == -1 or program.arrays[start].size == phase.size, "a start fills every unit"
    for link in phase.links:
        assert link.source in ready
        assert link.products
        for chain, matrix in link.products:
            assert 0 <= chain < len(phase.starts)
            assert program.matrices[matrix].rows == phase.size
            assert program.matrices[matrix].columns == program.arrays[link.source].size
        chains = [chain for chain, _ in link.products]
        assert len(set(chains)) == len(chains), "a tile reads a chain once"


def _check_code(program, phase, ready):
    """The arrays that the phase writes: none of them is read by its chains, nor before it is written, nor as a sum."""
    full = set(range(len(phase.starts)))
    written, sums = set(), set()
    for op, target, args in ((i.op, i.target, i.args) for i in phase.code):
        assert len(args) == OPERANDS[op]
        accumulates = target < 0 and program.arrays[memory(target)].role == "summed"
        assert (target in args) <= (target >= 0 or accumulates)
        for arg in args:
            if arg >= 0:
                assert arg in full, "a register is read before it is written"
            elif arg != target:
                array = program.arrays[memory(arg)]
                assert array.size in (phase.size, "1")
                assert memory(arg) in ready | written, f"{array} is read before it is written"
                assert memory(arg) not in sums, f"{array} is read before it is complete"
        if target >= 0:
            assert op != "sum"
            assert target < phase.registers
            full.add(target)
            continue
        array = program.arrays[memory(target)]
        assert array.size == ("1" if op == "sum" else phase.size)
        assert memory(target) not in written | sums, f"{array} is written twice"
        assert array.role not in READ_ONLY
        assert accumulates <= (op in ("add", "fma") and args[-1 if op == "fma" else 0] == target)
        (sums if op == "sum" else written).add(memory(target))
    assert not written & ({link.source for link in phase.links} | set(phase.starts)), "a chain reads what is written"
    return {k for k in written | sums if program.arrays[k].role != "summed"}
