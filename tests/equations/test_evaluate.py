"""The reference itself: functions far out and at their edges, NaN, element types, shapes, and derived parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.equations.evaluate import derive, run, run_nodes
from elman.equations.graph.operations import OPERATIONS
from elman.equations.passes.lower import lower
from tests.equations.autograd import assert_near
from tests.equations.random_cells import SIZES, arrays
from tests.equations.random_cells import cells as random_cells
from tests.equations.sources import make

EXACT = {
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)) if v > -700 else math.exp(v),
    "softplus": lambda v: v + math.log1p(math.exp(-v)) if v > 0 else math.log1p(math.exp(v)),
    "tanh": math.tanh,
    "exp": math.exp,
}
FAR = [0.0, 1e-300, -1e-300, 1e-8, -1e-8, 0.5, -0.5, 20.0, -20.0, -40.0, 300.0, -300.0, -740.0]


@pytest.mark.parametrize("op", EXACT)
@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_functions_far_out(op, xp):
    """Good to their last bits relative to their own size, however small that is, without a warning."""
    with np.errstate(all="raise", under="ignore"):
        values = OPERATIONS[op].evaluate(xp, np.array(FAR) if xp is np else torch.tensor(FAR, dtype=torch.float64))
    for v, found in zip(FAR, values, strict=True):
        assert math.isclose(float(found), EXACT[op](v), rel_tol=1e-15, abs_tol=5e-324), v


UNARY = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "softplus": lambda v: torch.logaddexp(v, torch.zeros_like(v)),
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "neg": torch.neg,
}


@pytest.mark.parametrize("op", UNARY)
def test_derivatives_are_torchs(op):
    """First and second ones, at 0 and beside it."""
    points = [0.25, 1.0, 3.0] if op in ("log", "sqrt") else [0.0, -0.0, 1e-9, -1e-9, 0.5, -0.5, 4.0, -4.0]
    v = torch.tensor(points, dtype=torch.float64, requires_grad=True)

    def derivatives(function):
        (first,) = torch.autograd.grad(function(v).sum(), v, create_graph=True)
        if not first.requires_grad:
            return first.numpy(), np.zeros(len(points))
        (second,) = torch.autograd.grad(first.sum(), v, allow_unused=True)
        return first.detach().numpy(), np.zeros(len(points)) if second is None else second.numpy(force=True)

    found, expected = derivatives(lambda v: OPERATIONS[op].evaluate(torch, v)), derivatives(UNARY[op])
    assert_near(found[0], expected[0], "first derivative", 1e-14)
    assert_near(found[1], expected[1], "second derivative", 1e-14)


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_nan_goes_through(xp):
    """Where an operand is NaN the result is one; a comparison with one is false."""
    nan, one = (np.float64(v) if xp is np else torch.tensor(v) for v in (math.nan, 1.0))
    for op in UNARY:
        assert math.isnan(OPERATIONS[op].evaluate(xp, nan)), op
    for op in ("add", "sub", "mul", "div", "minimum", "maximum"):
        assert math.isnan(OPERATIONS[op].evaluate(xp, nan, one)), op
        assert math.isnan(OPERATIONS[op].evaluate(xp, one, nan)), op
    for op in ("greater", "greater_equal"):
        assert float(OPERATIONS[op].evaluate(xp, nan, one)) == float(OPERATIONS[op].evaluate(xp, one, nan)) == 0.0
    assert float(OPERATIONS["where"].evaluate(xp, one, one, nan)) == 1.0


COMPARED = """
    @cell(inputs="x dt:1", states="h", output="y", parameters="b:H")
    def step(x, dt, h, W, b):
        bits = (h > 0) * 2 + (dt >= h) * dt
        a, c = layer_norm(W @ x, b, eps=0.1)
        return bits + a, tanh(b) + relu(c)
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_element_types_stay(xp, dtype):
    def array(value):
        return np.asarray(value, dtype) if xp is np else torch.tensor(value, dtype=getattr(torch, dtype))

    given = [{name: array(value) for name, value in part.items()} for part in arrays(make(COMPARED).graph, 0)]
    output, states = run(make(COMPARED).graph, xp, *given)
    assert str(output.dtype).endswith(dtype)
    assert str(states["h"].dtype).endswith(dtype)


@pytest.mark.parametrize("rows", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_shapes(xp, rows):
    """Any axes stand before the last one; what comes from parameters alone is there for every row."""
    graph = make(COMPARED).graph
    sizes = SIZES | {"1": 1}
    ports = [{p.name: np.full((*rows, sizes[p.size]), 0.5) for p in part} for part in (graph.inputs, graph.states)]
    given = [*ports, arrays(graph, 0)[2]]
    if xp is torch:
        given = [{name: torch.tensor(v) for name, v in part.items()} for part in given]
    output, states = run(graph, xp, *given)
    assert tuple(output.shape) == tuple(states["h"].shape) == (*rows, SIZES["H"])


def test_rows_are_independent():
    """Each row by itself is the same as all together."""
    graph = make(COMPARED).graph
    inputs, states, weights = arrays(graph, 0, rows=3)
    output, after = run(graph, np, inputs, states, weights)
    for b in range(3):
        one, then = run(graph, np, {n: v[b] for n, v in inputs.items()}, {n: v[b] for n, v in states.items()}, weights)
        assert_near(one, output[b], "output", 1e-15)
        assert_near(then["h"], after["h"][b], "h", 1e-15)


@given(random_cells(), st.integers(0, 10))
def test_torch_and_numpy_agree(cell, seed):
    given = arrays(cell.graph, seed)
    output, states = run(cell.graph, np, *given)
    as_torch = [{name: torch.tensor(v) for name, v in part.items()} for part in given]
    other, then = run(cell.graph, torch, *as_torch)
    assert_near(other.numpy(), output, "output", 1e-12)
    for name, value in states.items():
        assert_near(then[name].numpy(), value, name, 1e-12)


@given(random_cells(), st.integers(0, 10))
def test_a_lowered_graph_means_the_same(cell, seed):
    graph, lowered = cell.graph, lower(cell.graph)
    inputs, states, weights = arrays(graph, seed)
    derived = derive(lowered, np, weights, SIZES)
    leaves = {("input", name): v for name, v in inputs.items()} | {("state", name): v for name, v in states.items()}
    leaves |= {(p.kind, p.name): weights[p.name] for p in graph.parameters}
    leaves |= {("matrix", m.name): derived[m.name] for m in lowered.matrices}
    leaves |= {("vector", v.name): derived[v.name] for v in lowered.vectors}
    values = run_nodes(lowered.nodes, np, leaves, SIZES)
    output, after = run(graph, np, inputs, states, weights)
    for name, value in {**after, graph.output: output}.items():
        found = values[lowered.results[name]]
        assert_near(np.broadcast_to(found, value.shape), value, name, 1e-11)


def test_counts_need_their_sizes():
    lowered = lower(make('@cell(states="h")\ndef step(x, h, W):\n    return layer_norm(W @ x)').graph)
    inputs, states, weights = arrays(lowered.graph, 0)
    leaves = {("input", "x"): inputs["x"], ("state", "h"): states["h"], ("matrix", "W"): weights["W"]}
    with pytest.raises(KeyError, match="H"):
        run_nodes(lowered.nodes, np, leaves)
