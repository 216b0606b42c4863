"""Gradients of inputs, initial states and every parameter: against autograd through the evaluator, and differences."""

from __future__ import annotations

import copy
import hashlib
from contextlib import nullcontext

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman.sequences import Ragged
from tests.conformance.cases import (
    CELLS,
    LENGTHS,
    SHAPES,
    by_reference,
    call,
    choose,
    draw_inputs,
    draw_state,
    in_rows,
    layer,
    part,
    poisoned_memory,
    rounded_products,
    spans,
)
from tests.conformance.derivatives import leaves, weighted_sum
from tests.tolerances import TOLERANCES, distance

NORMALISED = [name for name, cell in CELLS.items() if any(node.op == "layer_norm" for node in cell.graph.nodes)]
NAMES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}


def gradients(recurrent, inputs, state, compute=call):
    """Gradients by name: x0, x1 … of the inputs, of the states, of the parameters."""
    xs, begin = leaves(inputs), dict(zip(state, leaves(state.values()), strict=True))
    recurrent.zero_grad()
    weighted_sum(*compute(recurrent, xs, begin)).backward()
    found = {f"x{k}": x.grad for k, x in enumerate(xs)}
    found |= {name: value.grad for name, value in begin.items()}
    found |= {name: p.grad.clone() for name, p in recurrent.named_parameters() if p.grad is not None}
    return found


TRUTHS: dict[tuple, dict] = {}  # all instruction sets are compared with the same


def truth(recurrent, inputs, state, compute=call, dtype=torch.float64):
    """Gradients by autograd through the evaluator, which rounds what the layer rounds."""
    digest = hashlib.sha256()
    for tensor in (*inputs, *state.values(), *recurrent.parameters()):
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    key = (digest.digest(), recurrent.graph.hash, str(recurrent), compute, dtype)
    if key not in TRUTHS:
        exact = copy.deepcopy(recurrent).to(dtype)
        xs, begin = [x.to(dtype) for x in inputs], {name: value.to(dtype) for name, value in state.items()}
        with by_reference(), rounded_products() if recurrent.precision else nullcontext():
            TRUTHS[key] = gradients(exact, xs, begin, compute)
    return TRUTHS[key]


def assert_gradients(found, expected, dtype, what):
    limit = TOLERANCES["layer"][NAMES[dtype]]
    for name, value in expected.items():
        if value is None:  # autograd found no way; ours may say zero
            assert found.get(name) is None or not found[name].any(), f"{what}: {name}"
        else:
            off = distance(found[name], value)
            assert off <= limit, f"{what}: gradient of {name} off by {off:.1e}, allowed {limit:.0e}"


def test_against_the_evaluator(cell, dtype):
    for d, h, steps, batch in (*SHAPES, (7, 9, 0, 3)):
        if 1 in (d, h) and cell.name in NORMALISED:
            continue  # see below
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        found = gradients(recurrent, inputs, state)
        assert_gradients(found, truth(recurrent, inputs, state), dtype, (d, h, steps, batch))


@pytest.mark.parametrize(("d", "h"), [(7, 1), (1, 7)])
@pytest.mark.parametrize("name", NORMALISED)
def test_normalised_single_units(name, d, h, dtype):
    """One unit less its mean is 0, and multiples of one number hide its size: gradients cancel to almost nothing.

    What is left is rounding in any arithmetic; here it may be four times that of eager torch.
    """
    recurrent = layer(CELLS[name], d, h, dtype)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    found, expected = gradients(recurrent, inputs, state), truth(recurrent, inputs, state)
    eager = truth(recurrent, inputs, state, dtype=next(recurrent.parameters()).dtype)
    for key, value in expected.items():
        allowed = max(TOLERANCES["layer"][NAMES[dtype]], 4 * distance(eager[key], value))
        assert distance(found[key], value) <= allowed, f"gradient of {key}, eager torch {allowed:.1e}"


def test_ties(cell, dtype):
    """All zeros: what is not smooth there has torch's subgradients."""
    recurrent = layer(cell, 7, 9, dtype)
    with torch.no_grad():
        for parameter in recurrent.parameters():
            parameter.zero_()
    inputs = [torch.zeros_like(x) for x in draw_inputs(recurrent, 3, 5)]
    state = {name: torch.zeros_like(value) for name, value in draw_state(recurrent, 5).items()}
    found, expected = gradients(recurrent, inputs, state), truth(recurrent, inputs, state)
    assert_gradients(found, expected, dtype, "zeros")


def test_without_initial_states(cell, dtype):
    """The cell's own start values, which the gradient of a recurrent matrix sees."""
    recurrent = layer(cell, 7, 9, dtype)
    inputs = draw_inputs(recurrent, 3, 5)

    def compute(recurrent, xs, _):
        return call(recurrent, xs)

    found, expected = (make(recurrent, inputs, {}, compute) for make in (gradients, truth))
    assert_gradients(found, expected, dtype, "no state")


def in_pieces(recurrent, inputs, state):
    outputs = []
    for span in spans([1, 0, 3, 5]):
        output, state = call(recurrent, part(inputs, span), state)
        outputs.append(output)
    return torch.cat(outputs), state


def one_by_one(recurrent, inputs, state):
    results = [call(recurrent, part(inputs, slice(n), [b]), choose(state, [b])) for b, n in enumerate(LENGTHS)]
    return torch.cat([r[0].squeeze(1) for r in results]), {n: torch.cat([r[1][n] for r in results], 1) for n in state}


def as_ragged(recurrent, inputs, state):
    return call(recurrent, [Ragged.from_lengths(values, LENGTHS) for values in in_rows(inputs, LENGTHS)], state)


def as_packed(recurrent, inputs, state):
    some = [b for b, n in enumerate(LENGTHS) if n]
    packed = [pack_sequence([x[: LENGTHS[b], b] for b in some], enforce_sorted=False) for x in inputs]
    output, after = call(recurrent, packed, choose(state, some))
    idle = choose(state, [b for b, n in enumerate(LENGTHS) if not n])
    return output, {name: torch.cat([after[name], idle[name]], 1) for name in state}


def test_chunks_with_carried_state(cell, dtype):
    """Backpropagation through states that go from piece to piece."""
    recurrent = layer(cell, 7, 65, dtype)
    inputs, state = draw_inputs(recurrent, 9, 3), draw_state(recurrent, 3)
    expected = truth(recurrent, inputs, state)
    assert_gradients(gradients(recurrent, inputs, state), expected, dtype, "whole")
    assert_gradients(gradients(recurrent, inputs, state, in_pieces), expected, dtype, "in pieces")


def test_ragged_and_packed(cell, dtype):
    recurrent = layer(cell, 65, 7, dtype)
    inputs, state = draw_inputs(recurrent, max(LENGTHS), len(LENGTHS)), draw_state(recurrent, len(LENGTHS))
    expected = truth(recurrent, inputs, state, one_by_one)
    for compute in (as_ragged, as_packed):
        assert_gradients(gradients(recurrent, inputs, state, compute), expected, dtype, compute.__name__)


def test_stacked_and_bidirectional(cell, dtype):
    layers = 2 if [p.size for p in cell.graph.inputs] == ["D"] else 1
    recurrent = layer(cell, 7, 9, dtype, num_layers=layers, bidirectional=True)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    found, expected = gradients(recurrent, inputs, state), truth(recurrent, inputs, state)
    assert_gradients(found, expected, dtype, "both directions")


def with_resets(recurrent, inputs, state):
    resets = torch.zeros(9, 3, dtype=torch.bool)
    resets[[0, 4], 0] = resets[[3, 8, 7], 2] = True
    return call(recurrent, inputs, state, resets)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_resets_cut_the_gradient(cell, dtype, bidirectional):
    recurrent = layer(cell, 7, 9, dtype, bidirectional=bidirectional)
    inputs, state = draw_inputs(recurrent, 9, 3), draw_state(recurrent, 3)
    expected = truth(recurrent, inputs, state, with_resets)
    assert_gradients(gradients(recurrent, inputs, state, with_resets), expected, dtype, "resets")


def test_tokens(cell, dtype):
    recurrent = layer(cell, 9, 9, dtype)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    tokens = torch.randint(9, (5, 3), generator=torch.Generator().manual_seed(3))

    def compute(recurrent, others, state):
        return call(recurrent, [tokens, *others[1:]], state)

    found, expected = gradients(recurrent, inputs, state, compute), truth(recurrent, inputs, state, compute)
    assert_gradients(found, expected, dtype, "tokens")


def test_threads_and_repetition_change_no_bit(cell, dtype):
    """Weight gradients are split over threads by outputs, never by steps."""
    for d, h, steps, batch in ((65, 63, 3, 17), (7, 9, 5, 1)):
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        expected = gradients(recurrent, inputs, state)
        for count in (2, 1):
            torch.set_num_threads(count)
            assert_same_gradients(gradients(recurrent, inputs, state), expected, (d, h, count))


def assert_same_gradients(found, expected, what):
    for name, value in expected.items():
        if value is None:
            assert found[name] is None
        else:
            assert torch.equal(found[name], value), f"{what}: gradient of {name}"


def test_poisoned_memory_changes_nothing(cell, dtype):
    for d, h, steps, batch in ((1, 7, 5, 1), (9, 65, 3, 17), (7, 9, 0, 3)):
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        expected = gradients(recurrent, inputs, state)
        with poisoned_memory():
            assert_same_gradients(gradients(recurrent, inputs, state), expected, (d, h, steps, batch))
    expected = gradients(recurrent, *(ragged := (draw_inputs(recurrent, 9, 17), draw_state(recurrent, 17))), as_ragged)
    with poisoned_memory():
        assert_same_gradients(gradients(recurrent, *ragged, as_ragged), expected, "ragged")


def test_one_gradient_at_a_time(cell):
    """What else is wanted changes no gradient's bits."""
    recurrent = layer(cell, 7, 9)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    every = gradients(recurrent, inputs, state)
    tensors = dict(recurrent.named_parameters()) | {f"x{k}": x for k, x in enumerate(inputs)} | state
    for name, tensor in tensors.items():
        recurrent.requires_grad_(False)
        tensor.requires_grad_()
        output, after = call(recurrent, inputs, state)
        if output.requires_grad or any(v.requires_grad for v in after.values()):
            (found,) = torch.autograd.grad(weighted_sum(output, after), tensor, allow_unused=True)
            assert_same_gradients({name: found}, {name: every[name]}, "alone")
        tensor.requires_grad_(False)


def test_one_result_at_a_time(cell):
    """The gradient of the output alone, of one final state alone; adjoints that are views."""
    recurrent = layer(cell, 7, 9, torch.float64)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    for name in ("output", *state):

        def only(recurrent, xs, begin, name=name):
            output, after = call(recurrent, xs, begin)
            result = output if name == "output" else after[name]
            return result[..., ::2].sum(0, keepdim=True).expand(4, -1, -1), {}

        found, expected = gradients(recurrent, inputs, state, only), truth(recurrent, inputs, state, only)
        assert_gradients(found, expected, torch.float64, name)
