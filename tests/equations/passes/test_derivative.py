"""The derivative of a step, as a graph, is torch's autograd through the evaluator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman import cells
from elman.equations.evaluate import derive, run_nodes
from elman.equations.passes.derivative import differentiate
from elman.equations.passes.lower import lower
from tests.equations.autograd import Problem, assert_near, chain_derived, problem, truth
from tests.equations.random_cells import MANY, SIZES
from tests.equations.random_cells import cells as random_cells
from tests.equations.sources import make


def by_graph(given: Problem) -> tuple[dict, dict, dict]:
    """Gradients of inputs, states and parameters by the derivative's nodes."""
    graph = given.graph
    lowered = lower(graph)
    derivative = differentiate(lowered)
    derived = derive(lowered, np, given.parameters, SIZES)
    leaves = {("input", name): value[0] for name, value in given.inputs.items()}
    leaves |= {("state", name): value for name, value in given.states.items()}
    leaves |= {(p.kind, p.name): given.parameters[p.name] for p in graph.parameters}
    leaves |= {("matrix", m.name): derived[m.name] for m in lowered.matrices}
    leaves |= {("vector", v.name): derived[v.name] for v in lowered.vectors}
    leaves |= {("adjoint", name): value for name, value in given.d_states.items()}
    leaves["d_output", graph.output] = given.d_output[0]
    values = run_nodes(derivative.nodes, np, leaves, SIZES)
    rows = len(given.d_output[0])

    def value(index):
        return np.broadcast_to(values[index], (rows, values[index].shape[-1]))

    d_weights = {name: np.zeros_like(w) for name, w in (given.parameters | derived).items()}
    for name, d in derivative.vectors.items():
        d_weights[name] += value(d).sum(0)
    for outer in derivative.outers:
        d, source = value(outer.d), value(outer.source)
        d_weights[outer.matrix] += source.T @ d if outer.transposed else d.T @ source
    through = chain_derived(
        given,
        lambda xp, parameters: derive(lowered, xp, parameters, SIZES),
        {name: d for name, d in d_weights.items() if name.startswith("%")},
    )
    d_inputs = {
        n: value(derivative.inputs[n]) if n in derivative.inputs else np.zeros_like(x[0])
        for n, x in given.inputs.items()
    }
    d_states = {
        n: value(derivative.states[n]) if n in derivative.states else np.zeros_like(h) for n, h in given.states.items()
    }
    return d_inputs, d_states, {name: d_weights[name] + through[name] for name in given.parameters}


def check(given: Problem) -> None:
    expected = truth(given)
    d_inputs, d_states, d_parameters = by_graph(given)
    for name, d in expected.d_inputs.items():
        assert_near(d_inputs[name], d[0], f"∂loss/∂{name}")
    for found, wanted in ((d_states, expected.d_states), (d_parameters, expected.d_parameters)):
        for name, d in wanted.items():
            assert_near(found[name], d, f"∂loss/∂{name}")


@MANY
@given(random_cells(), st.integers(0, 10))
def test_random_cells(cell, seed):
    check(problem(cell.graph, SIZES, seed=seed))


@pytest.mark.parametrize("name", cells.names())
def test_built_in_cells(name):
    check(problem(cells.get(name).graph, SIZES, batch=3))


@pytest.mark.parametrize(
    "step",
    [
        "maximum(h, c)", "minimum(h, c)", "maximum(c, h) - 2 * minimum(h, c)", "maximum(h, h)", "minimum(dt, c) * h",
        "maximum(h, 0) * minimum(c, 0)", "maximum(relu(h), abs(c))", "relu(h) * c", "abs(h) + c", "relu(-abs(h))",
        "where(h > c, h * h, c)", "where(h >= c, h * h, c)", "where(h > 0, h, relu(c))", "(h > c) * h + (c <= h) * c",
        "softplus(h - c)", "sigmoid(h - c)", "layer_norm(h, h, eps=0.5)[0] * c", "layer_norm(h, c, h, eps=0.5)[2]",
    ],
)  # fmt: skip
def test_ties_and_zeros(step):
    """Small whole numbers, so that operands are equal, and zero, again and again: torch's subgradients."""
    text = f"""
        @cell(inputs="x dt:1", states="h c", output="y")
        def step(x, dt, h, c, W):
            return W @ x, c, {step}
    """
    posed = problem(make(text).graph, SIZES, batch=40)
    states = {name: np.round(value) for name, value in posed.states.items()}
    assert np.mean(states["h"] == states["c"]) > 0.1
    check(replace(posed, states=states, inputs={name: np.round(value) for name, value in posed.inputs.items()}))
