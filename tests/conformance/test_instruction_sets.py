"""Every instruction set against float64 and against the others: not the same bits, but the same numbers to rounding."""

from __future__ import annotations

import copy

import pytest
import torch

from elman.kernels import available_isas, forced_isa, isa
from tests.conformance.cases import SHAPES, by_reference, draw_inputs, draw_state, layer, run
from tests.tolerances import assert_close


@pytest.mark.parametrize("name", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_forward_agrees(cell, name):
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, getattr(torch, name))
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        exact = copy.deepcopy(recurrent).double()
        with by_reference():
            truth = run(exact, [x.double() for x in inputs], {n: v.double() for n, v in state.items()})
        best = run(recurrent, inputs, state)
        for other in available_isas():
            with forced_isa(other):
                found = run(recurrent, inputs, state)
            where = f"{other}, {(d, h, steps, batch)}"
            for key, value in {"": truth[0], **truth[1]}.items():
                a, b = (found[1][key], best[1][key]) if key else (found[0], best[0])
                assert_close(a, value, "layer", name, f"{where}: {key or 'output'} against float64")
                assert_close(a, b, "instruction_sets", name, f"{where}: {key or 'output'} against {isa()}")


def test_the_best_is_used():
    assert isa() == available_isas()[-1]
