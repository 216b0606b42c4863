"""The facts of random cells hold of their numbers."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elman.equations import Graph
from elman.equations.evaluate import run, run_nodes
from elman.equations.passes.analysis import analyse, depends
from tests.equations.autograd import assert_near
from tests.equations.random_cells import arrays, source
from tests.equations.random_cells import cells as random_cells
from tests.equations.sources import make


@cache
def some_graphs() -> list[Graph]:
    return [make(source(seed)).graph for seed in range(150)]


def test_affine_recurrences_are_affine():
    """f(a + t (b - a)) = f(a) + t (f(b) - f(a)) for states a and b, whatever the input."""
    affine = [graph for graph in some_graphs() if analyse(graph).affine]
    assert len(affine) > 5
    for graph in affine:
        inputs, a, weights = arrays(graph, 0)
        b = arrays(graph, 1)[1]
        between = {name: a[name] + 0.375 * (b[name] - a[name]) for name in a}
        at_a, at_b, at_between = (run(graph, np, inputs, states, weights)[1] for states in (a, b, between))
        for name in a:
            assert_near(at_between[name], at_a[name] + 0.375 * (at_b[name] - at_a[name]), name)


def test_element_wise_recurrences_keep_units_apart():
    """A change of one unit of the states changes that unit of the next states alone."""
    apart = [graph for graph in some_graphs() if analyse(graph).element_wise and not analyse(graph).normalised]
    assert len(apart) > 5
    for graph in apart:
        inputs, states, weights = arrays(graph, 0)
        vectors = {p.name for p in graph.states if p.size != "1"}
        for unit in range(2):
            changed = {n: v + (np.arange(v.shape[-1]) == unit) * (n in vectors) for n, v in states.items()}
            before, after = (run(graph, np, inputs, s, weights)[1] for s in (states, changed))
            for name in vectors:
                others = np.arange(before[name].shape[-1]) != unit
                np.testing.assert_array_equal(before[name][:, others], after[name][:, others])


def test_stages_count_what_waits_for_a_state():
    for graph in some_graphs():
        waits = [
            node.op.startswith("product") and "state" in kinds
            for node, kinds in zip(graph.nodes, depends(graph), strict=True)
        ]
        assert (analyse(graph).stages > 0) == any(waits)
        assert analyse(graph).stages <= sum(waits)


@given(random_cells(), st.integers(0, 10))
def test_dependence_is_seen(cell, seed):
    """What is said not to depend on inputs, states or parameters does not change with them."""
    graph = cell.graph
    kinds = {"input": 0, "state": 1, "parameter": 2}
    given_arrays, others = arrays(graph, seed), arrays(graph, seed + 100)

    def values(part):
        inputs, states, weights = (others[k] if k == part else given_arrays[k] for k in range(3))
        leaves = {("input", name): v for name, v in inputs.items()} | {("state", name): v for name, v in states.items()}
        return run_nodes(graph.nodes, np, leaves | {(p.kind, p.name): weights[p.name] for p in graph.parameters})

    usual = values(None)
    for kind, part in kinds.items():
        for found, value, other in zip(depends(graph), usual, values(part), strict=True):
            if kind not in found:
                np.testing.assert_array_equal(value, other)
