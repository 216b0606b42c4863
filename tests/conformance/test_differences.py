"""Gradients against differences of values, and gradients that are differentiated again."""

from __future__ import annotations

import pytest
import torch

from elman.sequences import Ragged
from tests.conformance.cases import (
    call,
    draw_inputs,
    draw_state,
    in_rows,
    layer,
)
from tests.conformance.derivatives import leaves, weighted_sum
from tests.tolerances import TOLERANCES, assert_close


def test_finite_differences(cell):
    skip_past_values(cell)
    recurrent = layer(cell, 2, 3, torch.float64)
    inputs, state = draw_inputs(recurrent, 3, 2), draw_state(recurrent, 2)
    assert_differences(recurrent, inputs, state, call)


@pytest.mark.slow
def test_finite_differences_of_ragged_and_reverse(cell):
    skip_past_values(cell)
    recurrent = layer(cell, 1, 2, torch.float64, bidirectional=True)
    inputs, state = draw_inputs(recurrent, 2, 3), draw_state(recurrent, 3)

    def compute(recurrent, xs, begin):
        output, after = call(recurrent, [Ragged.from_lengths(v, [2, 0, 1]) for v in in_rows(xs, [2, 0, 1])], begin)
        return output.values, after

    assert_differences(recurrent, inputs, state, compute)


def skip_past_values(cell):
    if any(node.op == "straight_through" for node in cell.graph.nodes):
        pytest.skip("its gradient goes past its values, so that no differences of values show it")


def assert_differences(recurrent, inputs, state, compute):
    """gradcheck, of everything at once, on what training runs."""
    names = [f"layer.{name}" for name, _ in recurrent.named_parameters()]

    def function(*tensors):
        xs, begin = tensors[: len(inputs)], tensors[len(inputs) : len(inputs) + len(state)]
        weights = dict(zip(names, tensors[-len(names) :], strict=True))
        arguments = xs, dict(zip(state, begin, strict=True))
        output, after = torch.func.functional_call(Computing(recurrent, compute), weights, arguments)
        return output, *after.values()

    limit = TOLERANCES["finite_differences"]["float64"]
    tensors = leaves([*inputs, *state.values(), *recurrent.parameters()])
    assert torch.autograd.gradcheck(function, tensors, eps=6e-6, atol=limit, rtol=limit)


class Computing(torch.nn.Module):
    """A layer and what is computed with it, so that torch can put other tensors in place of its parameters."""

    def __init__(self, layer, compute):
        super().__init__()
        self.layer, self.compute = layer, compute

    def forward(self, xs, state):
        return self.compute(self.layer, xs, state)


def test_differentiable_again(cell):
    """A gradient that is to be differentiated comes from the reference; it is the same gradient."""
    recurrent = layer(cell, 3, 4, torch.float64)
    inputs, state = leaves(draw_inputs(recurrent, 3, 2)), draw_state(recurrent, 2)
    sources = [*inputs, *recurrent.parameters()]
    loss = weighted_sum(*call(recurrent, inputs, state))
    first = torch.autograd.grad(loss, sources, retain_graph=True, allow_unused=True)
    again = torch.autograd.grad(loss, sources, create_graph=True, allow_unused=True)
    for a, b in zip(first, again, strict=True):
        assert_close(a, b.detach(), "layer", "float64")
    assert all(g.requires_grad for g in again[: len(inputs)]) or cell.name in ("smoothing", "delay")
