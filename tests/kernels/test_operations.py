"""Each operation on the kernels is what the table says, on every instruction set and at every kind of operand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from elman.emit import Array, Instruction, Phase, Program, Role, memory
from elman.equations.graph.operations import OPERANDS, OPERATIONS
from elman.errors import KernelError
from elman.kernels import Precision, Rows, available_isas, forced_isa
from elman.kernels.bound import BoundKernel
from elman.kernels.encode import check_table
from elman.kernels.instruction_sets import isa_in_use
from tests.tolerances import assert_close

ROWS, UNITS = 3, 67
POINTS = np.array([0.0, -0.0, 0.25, 1.0, 3.0, -0.5, -2.0, 20.0, -20.0])


def run(name: str, operands: list[np.ndarray], precision: Precision) -> np.ndarray:
    """One operation as a program of its own; an operand [ROWS, 1] is one number for all units."""
    size = "1" if OPERATIONS[name].reduces else "H"
    arrays = [Array(f"v{k}", Role.INPUT, "1" if v.shape[1] == 1 else "H") for k, v in enumerate(operands)]
    code = Instruction(name, memory(len(arrays)), tuple(memory(k) for k in range(len(arrays))))
    program = Program((*arrays, Array("y", Role.OUTPUT, size)), (), (Phase("H", (), (), (code,), 0),))
    kernel = BoundKernel(isa_in_use(), program, {"H": UNITS}, (), (), precision)
    result = np.full((ROWS, 1 if size == "1" else UNITS), np.nan, operands[0].dtype)
    places = {a: Rows(v.ctypes.data, v.shape[1]) for a, v in zip(program.arrays, [*operands, result], strict=True)}
    kernel.run(kernel.pack({}), places, None, ROWS, 1)
    return result


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in OPERANDS if name != "shift"])
def test_meaning(name, dtype, isa):
    precision = Precision.FLOAT64 if dtype == "float64" else Precision.FLOAT32
    random = np.random.default_rng(0)
    for wide in itertools.product((True, False), repeat=OPERANDS[name]):
        if not any(wide) and OPERATIONS[name].reduces:
            continue  # a sum runs over units
        operands = [random.choice(POINTS, (ROWS, UNITS if w else 1)).astype(dtype) for w in wide]
        with np.errstate(all="ignore"):
            exact = OPERATIONS[name].evaluate(np, *(v.astype(np.float64) for v in operands))
        width = 1 if OPERATIONS[name].reduces else UNITS
        with forced_isa(isa):
            found = run(name, operands, precision)
        assert_close(found, np.broadcast_to(exact, (ROWS, width)), "function", dtype, f"{name} {wide}")


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("by", [0, 1, -1, 3, UNITS - 1, UNITS, -1000, 2**24])
def test_shift(by, isa):
    """Whole vectors, their ends, and more than once round."""
    arrays = (Array("v", Role.INPUT, "H"), Array("by", Role.CONSTANT, "1", float(by)), Array("y", Role.OUTPUT, "H"))
    code = Instruction("shift", memory(2), (memory(0), memory(1)))
    v = np.arange(ROWS * UNITS, dtype=np.float32).reshape(ROWS, UNITS)
    found = np.full_like(v, np.nan)
    with forced_isa(isa):
        kernel = BoundKernel(
            isa_in_use(),
            Program(arrays, (), (Phase("H", (), (), (code,), 0),)),
            {"H": UNITS},
            (),
            (),
            Precision.FLOAT32,
        )
        places = {arrays[0]: Rows(v.ctypes.data, UNITS), arrays[2]: Rows(found.ctypes.data, UNITS)}
        kernel.run(kernel.pack({}), places, None, ROWS, 1)
    np.testing.assert_array_equal(found, np.roll(v, by, -1))


def test_another_table_is_refused():
    check_table([*OPERANDS.items()])
    with pytest.raises(KernelError, match=r"other operations than elman.equations \(gelu, tanh\); run `make install`"):
        check_table([("gelu", 1), *((name, n) for name, n in OPERANDS.items() if name != "tanh")])
    with pytest.raises(KernelError, match=r"\(where\)"):
        check_table([(name, 2 if name == "where" else n) for name, n in OPERANDS.items()])
