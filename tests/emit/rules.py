"""What every program must be: rules that the kernels rely on and do not check."""

from __future__ import annotations

from collections.abc import Set

from elman.emit import Program
from elman.equations.graph import BINARY, UNARY

READ_ONLY = {"input", "vector", "before", "after", "carry"}
WRITTEN = {"store", "accumulate", "sum"}
LOADS = {"load", "load_scalar"}
ARITY = dict.fromkeys(LOADS | {"constant", "count"}, 0) | dict.fromkeys(WRITTEN | UNARY | {"copy"}, 1)
ARITY |= dict.fromkeys(BINARY, 2) | {"where": 3}
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
    """The arrays that the phase writes: none of them is read in it, by code, chain or start."""
    full = set(range(len(phase.starts)))
    written, read = set(), {link.source for link in phase.links} | set(phase.starts)
    for instruction in phase.code:
        op = instruction.op
        assert len(instruction.args) == ARITY[op]
        assert all(arg in full for arg in instruction.args), "a register is read before it is written"
        if op in LOADS | WRITTEN:
            array = program.arrays[instruction.array]
            scalar = op in ("load_scalar", "sum")
            assert array.size == ("1" if scalar else phase.size)
        if op in LOADS:
            assert instruction.array in ready, f"{array} is read before it is written"
            read.add(instruction.array)
        if op in WRITTEN:
            assert instruction.array not in written, f"{array} is written twice"
            assert array.role not in READ_ONLY
            assert (array.role == "summed") == (op == "accumulate")
            written.add(instruction.array)
        else:
            assert 0 <= instruction.target < phase.registers
            full.add(instruction.target)
    assert not written & read, "an array is read and written in one phase"
    return {k for k in written if program.arrays[k].role != "summed"}
