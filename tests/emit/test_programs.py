"""The programs of cells, on the interpreter: inference, forward, backward, and the parts without steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman import cells
from elman.emit import Recurrence, Role, emit, split_inputs
from elman.equations import Graph
from tests.emit.hard_cells import CELLS
from tests.emit.machine import Machine
from tests.equations.autograd import assert_near, problem, truth
from tests.equations.random_cells import MANY, SIZES
from tests.equations.random_cells import cells as random_cells
from tests.tolerances import assert_same_bits

ALL = {name: cells.get(name) for name in cells.names()} | {cell.name: cell for cell in CELLS}


def check_rules(graph: Graph) -> None:
    """Programs check themselves where they are made; here is what they are to each other."""
    recurrence = emit(graph)
    check_backward(recurrence)
    written = {a for a in recurrence.backward.arrays if a.role in (Role.KEPT, Role.SUMMED)}
    assert written == {*recurrence.kept, *recurrence.summed}
    assert {a for a in recurrence.forward.arrays if a.role is Role.SAVED} == set(recurrence.saved)


def check_backward(recurrence: Recurrence) -> None:
    """The derivative's step computes no product of the step again; inputs that are tokens leave no rows to read."""
    backward = recurrence.backward
    for phase in backward.phases:
        assert {backward.arrays[link.source].role for link in phase.links} <= {Role.KEPT, Role.CARRY, Role.OUTPUT}
    parts = split_inputs(recurrence.forward)
    if parts and not any(array.role is Role.INPUT for array in parts[1].arrays):
        assert not any(array.role is Role.INPUT for array in backward.arrays)


def check_values(graph: Graph, seed: int = 0, steps: int = 3) -> None:
    posed = problem(graph, SIZES, steps=steps, batch=2, seed=seed)
    expected = truth(posed)
    machine = Machine(posed, SIZES)
    outputs, states = machine.forward(machine.recurrence.inference)
    assert_near(outputs, expected.outputs, "output")
    for name, value in expected.states.items():
        assert_near(states[name], value, name)
    d_inputs, d_states, d_parameters = machine.backward()
    found = ((d_inputs, expected.d_inputs), (d_states, expected.d_states), (d_parameters, expected.d_parameters))
    for gradients, wanted in found:
        for name, d in wanted.items():
            assert_near(gradients[name], d, f"∂loss/∂{name}")
    check_bits(machine, outputs, states)


def check_bits(machine: Machine, outputs: np.ndarray, states: dict) -> None:
    """Forward, and either program split, give the same bits as inference: chains and sums have one order."""
    r = machine.recurrence
    runs = [machine.forward(r.forward, machine.empty(r.saved)), machine.split(r.inference)]
    for run in runs:
        if run is not None:
            assert_same_bits(run[0], outputs, "output")
            for name, value in states.items():
                assert_same_bits(run[1][name], value, name)


@pytest.mark.parametrize("name", ALL)
def test_rules(name):
    check_rules(ALL[name].graph)


@pytest.mark.parametrize("name", ALL)
def test_values(name):
    check_values(ALL[name].graph)


@MANY
@given(random_cells(), st.integers(0, 10))
def test_random_cells(cell, seed):
    check_rules(cell.graph)
    check_values(cell.graph, seed, steps=2)
