"""Programs that break a rule: each is refused where it is made, with what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elman.emit import Array, Instruction, Link, Matrix, Phase, Program, Role, memory
from elman.errors import KernelError

X, H, NEXT, SCRATCH, TOTAL, SUMMED, NUMBER, SHORT = ARRAYS = (
    Array("x", Role.INPUT, "D"), Array("h", Role.CARRY, "H"), Array("h", Role.NEXT, "H"), Array("s", Role.SCRATCH, "H"),
    Array("t", Role.SCRATCH, "1"), Array("d", Role.SUMMED, "H"), Array("1.0", Role.CONSTANT, "1", 1.0),
    Array("p", Role.VECTOR, "P"),
)  # fmt: skip
MATRICES = (Matrix("W", False, "H", "D"), Matrix("U", False, "H", "H"))
x, h, after, scratch, total, summed, number, short = (memory(k) for k in range(len(ARRAYS)))


def op(name: str, target: int, *args: int) -> Instruction:
    return Instruction(name, target, args)


CODE = (
    op("tanh", 0, 0), op("copy", scratch, 0), op("sum", total, 0), op("add", summed, summed, 0),
    op("mul", after, scratch, number),
)  # fmt: skip
FIRST = Phase("H", (1,), (Link(0, ((0, 0),)), Link(1, ((0, 1),))), CODE, 1)
LAST = Phase("H", (), (), (op("mul", 0, scratch, total),), 1)
GOOD = Program(ARRAYS, MATRICES, (FIRST, LAST))


def coded(*code: Instruction, registers: int = 1) -> Program:
    return replace(GOOD, phases=(replace(FIRST, code=code, registers=registers),))


BROKEN = {
    "array twice": (lambda: replace(GOOD, arrays=(*ARRAYS, X)), "the same array stands twice"),
    "matrix twice": (lambda: replace(GOOD, matrices=(*MATRICES, MATRICES[0])), "the same matrix stands twice"),
    "too few registers": (lambda: coded(registers=0), "1 chains fill 0 registers"),
    "start of another size": (lambda: phases(starts=(7,)), "starts from .*'p'.* must be there and fill every unit"),
    "start not there": (lambda: phases(starts=(3,), code=()), "starts from .*'s'.* must be there"),
    "start nowhere": (lambda: phases(starts=(8,)), "there is no array 8"),
    "source not there": (lambda: phases(links=(Link(3, ((0, 1),)),), code=()), "takes .*'s'.* not written yet"),
    "source nowhere": (lambda: phases(links=(Link(9, ((0, 1),)),)), "there is no array 9"),
    "link without products": (lambda: phases(links=(Link(0, ()),)), r"adds to the chains \[\] of 1"),
    "chain twice": (lambda: phases(links=(Link(0, ((0, 0), (0, 0))),)), r"chains \[0, 0\] of 1: each once"),
    "chain nowhere": (lambda: phases(links=(Link(0, ((1, 0),)),)), r"chains \[1\] of 1"),
    "matrix of another shape": (lambda: phases(links=(Link(0, ((0, 1),)),)), r"matrix 1 must be \[H, D\], got"),
    "matrix nowhere": (lambda: phases(links=(Link(0, ((0, 2),)),)), r"matrix 2 must be \[H, D\], got None"),
    "too few operands": (lambda: coded(op("add", 0, 0)), "add takes 2 operands, got 1"),
    "unknown operation": (lambda: coded(op("gelu", 0, 0)), "gelu takes an unknown number of operands"),
    "empty register": (lambda: coded(op("add", 0, 0, 1), registers=2), "register 1 is read before it is written"),
    "operand of another size": (lambda: coded(op("add", 0, 0, short)), "'p'.* is read by units of another size"),
    "operand nowhere": (lambda: coded(op("copy", 0, memory(8))), "there is no array 8"),
    "scratch not written": (lambda: coded(op("copy", 0, scratch)), "'s'.* is read before it is written"),
    "next not written": (lambda: coded(op("copy", 0, after)), "'h'.* is read before it is written"),
    "sum not complete": (lambda: coded(op("sum", total, 0), op("copy", 0, total)), "'t'.* is read before it is compl"),
    "sum in a register": (lambda: coded(op("sum", 0, 0)), "register 0 of 1 is no place for a sum"),
    "register nowhere": (lambda: coded(op("copy", 1, 0)), "register 1 of 1 is no place for a copy"),
    "target of another size": (lambda: coded(op("copy", total, 0)), "'t'.* is too small or too large for a copy"),
    "sum over a row": (lambda: coded(op("sum", scratch, 0)), "'s'.* is too small or too large for a sum"),
    "target is read": (lambda: coded(op("copy", h, 0)), "'h'.* is only read, and written"),
    "target nowhere": (lambda: coded(op("copy", memory(8), 0)), "there is no array 8"),
    "written twice": (lambda: coded(op("copy", after, 0), op("copy", after, 0)), "'h'.* is written twice"),
    "overwritten": (lambda: coded(op("copy", summed, 0)), "'d'.* is overwritten, where it must be added to"),
    "read of a total": (lambda: coded(op("copy", 0, summed)), "'d'.* is read before it is written"),
    "written under a chain": (lambda: under_a_chain(), "'y'.* is written where chains read it"),
}  # fmt: skip


def phases(**changes) -> Program:
    return replace(GOOD, phases=(replace(FIRST, **changes),))


def under_a_chain() -> Program:
    """Scratch that the second phase's chain takes and its code writes again."""
    y = Array("y", Role.SCRATCH, "H")
    first = Phase("H", (), (), (op("copy", memory(8), h),), 0)
    second = Phase("H", (-1,), (Link(8, ((0, 1),)),), (op("copy", memory(8), 0),), 1)
    return Program((*ARRAYS, y), MATRICES, (first, second))


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_rules(make, message):
    with pytest.raises(KernelError, match=message):
        make()


def test_order_of_chains():
    GOOD.check_order()
    turned = phases(links=FIRST.links[::-1])
    with pytest.raises(KernelError, match="phase 0: its products take carry, input; inputs come first, then states"):
        turned.check_order()
