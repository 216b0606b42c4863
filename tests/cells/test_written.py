"""Cells of papers, written in equations: outputs, states and gradients are those of independent torch code."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from elman.cells.layout import layout
from elman.equations import Graph
from elman.equations.evaluate import run
from elman.nn import Recurrent
from tests.cells.written import PAPERS
from tests.tolerances import assert_close

D, T, B = 5, 6, 3


@pytest.fixture(params=PAPERS)
def paper(request):
    return PAPERS[request.param]


def drawn(paper, dtype=torch.float64):
    """A layer with weights large enough to bend its functions, and inputs; a scalar input counts the steps."""
    torch.manual_seed(0)
    layer = Recurrent(paper.cell, D, paper.hidden, sizes=paper.sizes, dtype=dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2)
    xs = []
    for port in layer.graph.inputs:
        count = torch.arange(T, dtype=dtype)[:, None].repeat(1, B)
        xs.append(count if port.size == "1" else torch.randn(T, B, layer.sizes[port.size], dtype=dtype))
    return layer, [x.requires_grad_() for x in xs]


def members(layer):
    """The layer's parameters by full name."""
    found = {}
    for slot in layout(layer.graph, layer.sizes):
        found |= dict(zip(slot.members, getattr(layer, f"{slot.name}_l0").split(slot.rows), strict=True))
    return found


def loop(layer, xs, step):
    """All steps, one after the other: outputs [T, B, size] and the last states."""
    states = {
        p.name: torch.full((B, layer.sizes.get(p.size, 1)), p.start, dtype=xs[0].dtype) for p in layer.graph.states
    }
    outputs = []
    for t in range(T):
        inputs = {p.name: x[t].reshape(B, -1) for p, x in zip(layer.graph.inputs, xs, strict=True)}
        output, states = step(inputs, states)
        outputs.append(output)
    return torch.stack(outputs), states


def gradients(layer, xs, output, states):
    """Of a loss that weighs every output and last state."""
    generator = torch.Generator().manual_seed(1)
    loss = sum((v * torch.randn(v.shape, generator=generator, dtype=v.dtype)).sum() for v in (output, *states.values()))
    found = torch.autograd.grad(loss, [*xs, *layer.parameters()], allow_unused=True)
    return [torch.zeros(()) if g is None else g for g in found]


def assert_alike(found, expected, what):
    for name, a, b in zip(what, found, expected, strict=True):
        assert_close(a.detach().numpy(), b.detach().expand_as(a).numpy(), "layer", "float64", name)


@pytest.mark.parametrize("reference", ["independent", "evaluator"])
def test_values_and_gradients(paper, reference):
    layer, xs = drawn(paper)
    weights = members(layer)
    if reference == "independent":
        expected = loop(layer, xs, lambda inputs, states: paper.step(weights, *inputs.values(), *states.values()))
    else:
        expected = loop(layer, xs, lambda inputs, states: run(layer.graph, torch, inputs, states, weights))
    output, after = layer(tuple(xs) if len(xs) > 1 else xs[0])
    assert str(layer.path(tuple(xs) if len(xs) > 1 else xs[0])).startswith("fused")
    states = {name: value[0] for name, value in after.items()}
    assert_alike([output, *states.values()], [expected[0], *expected[1].values()], ["output", *states])
    names = [p.name for p in layer.graph.inputs] + [name for name, _ in layer.named_parameters()]
    assert_alike(gradients(layer, xs, output, states), gradients(layer, xs, *expected), names)


def test_chunks_steps_and_sequences_have_the_same_bits(paper):
    layer, xs = drawn(paper, torch.float32)
    give = lambda part: tuple(part) if len(part) > 1 else part[0]  # noqa: E731
    whole, last = layer(give(xs))
    state, parts = None, []
    for t in range(T):
        part, state = layer(give([x[t : t + 1] for x in xs]), state)
        parts.append(part)
    assert torch.equal(torch.cat(parts), whole)
    assert all(torch.equal(state[name], last[name]) for name in last)
    for b in range(B):
        assert torch.equal(layer(give([x[:, b] for x in xs]))[0], whole[:, b])


def test_graphs_come_back_from_json(paper):
    graph = Graph.from_json(json.loads(json.dumps(paper.cell.graph.to_json())))
    assert graph == paper.cell.graph
    assert graph.hash == paper.cell.graph.hash


def test_numpy_runs_them_too(paper):
    layer, xs = drawn(paper)
    weights = {name: value.detach().numpy() for name, value in members(layer).items()}
    states = {p.name: np.full((B, layer.sizes.get(p.size, 1)), p.start) for p in layer.graph.states}
    expected, _ = layer(tuple(xs) if len(xs) > 1 else xs[0])
    for t in range(T):
        inputs = {p.name: x[t].detach().numpy().reshape(B, -1) for p, x in zip(layer.graph.inputs, xs, strict=True)}
        output, states = run(layer.graph, np, inputs, states, weights)
        assert_close(output, expected[t].detach().numpy(), "layer", "float64", f"step {t}")
