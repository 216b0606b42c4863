"""What is not finite stays in its sequence: nobody else's bits change, and it is not swallowed where it is."""

from __future__ import annotations

import torch

from elman.sequences import Ragged
from tests.conformance.cases import (
    LENGTHS,
    by_reference,
    call,
    choose,
    draw_inputs,
    draw_state,
    in_rows,
    layer,
    part,
    run,
    same,
)

BATCH, STEPS, ILL, AT = 17, 5, 6, 2  # the ill sequence, and the step at which it falls ill
OTHERS = [b for b in range(BATCH) if b != ILL]

VALUES = (float("nan"), float("inf"), -float("inf"))


def contract(inputs, index, at, value):
    """Inputs in which one sequence brings `value` in one element of every input at one step."""
    ill = [x.clone() for x in inputs]
    for x in ill:
        x[at, index].reshape(-1)[-1] = value
    return ill


def test_others_are_untouched(cell, dtype):
    recurrent = layer(cell, 7, 65, dtype)
    inputs, state = draw_inputs(recurrent, STEPS, BATCH), draw_state(recurrent, BATCH)
    output, after = run(recurrent, inputs, state)
    for value in VALUES:
        found, final = run(recurrent, contract(inputs, ILL, AT, value), state)
        same((found[:, OTHERS], choose(final, OTHERS)), (output[:, OTHERS], choose(after, OTHERS)), value)
        assert torch.equal(found[:AT, ILL], output[:AT, ILL]), "what came before the step is changed"


def test_a_bad_state_stays_with_its_sequence(cell, dtype):
    recurrent = layer(cell, 7, 65, dtype)
    inputs, state = draw_inputs(recurrent, STEPS, BATCH), draw_state(recurrent, BATCH)
    output, after = run(recurrent, inputs, state)
    for value in VALUES:
        bad = {name: s.clone() for name, s in state.items()}
        for s in bad.values():
            s[:, ILL, -1] = value
        found, final = run(recurrent, inputs, bad)
        same((found[:, OTHERS], choose(final, OTHERS)), (output[:, OTHERS], choose(after, OTHERS)), value)


def test_nan_is_where_the_equations_put_it(cell, dtype):
    """As many NaN, in the same places, as the evaluator finds: none is swallowed and none invented."""
    recurrent = layer(cell, 7, 9, dtype)
    inputs, state = contract(draw_inputs(recurrent, STEPS, 3), 1, AT, float("nan")), draw_state(recurrent, 3)
    output, after = run(recurrent, inputs, state)
    with by_reference():
        expected, last = run(recurrent, inputs, state)
    assert expected[-1, 1].isnan().any(), "the equations themselves lose the NaN"
    assert torch.equal(output.isnan(), expected.isnan())
    assert all(torch.equal(after[name].isnan(), last[name].isnan()) for name in last)


def test_the_next_sequence_of_the_lane_is_well(cell, dtype):
    """Lanes carry one sequence after another; each in turn falls ill at its last step."""
    recurrent = layer(cell, 7, 9, dtype)
    inputs, state = draw_inputs(recurrent, max(LENGTHS), len(LENGTHS)), draw_state(recurrent, len(LENGTHS))
    clean, after = run(recurrent, ragged(inputs), state)
    for ill in range(0, len(LENGTHS), 3):
        if LENGTHS[ill] == 0:
            continue
        found, final = run(recurrent, ragged(contract(inputs, ill, LENGTHS[ill] - 1, float("nan"))), state)
        for b in range(len(LENGTHS)):
            if b != ill:
                same((found[b], choose(final, [b])), (clean[b], choose(after, [b])), (ill, b))


def ragged(inputs):
    return [Ragged.from_lengths(values, LENGTHS) for values in in_rows(inputs, LENGTHS)]


def test_gradients_of_the_others_are_untouched(cell, dtype):
    """Gradients of inputs and initial states: those of one sequence have nothing to do with another's."""
    recurrent = layer(cell, 7, 65, dtype)
    inputs, state = draw_inputs(recurrent, STEPS, BATCH), draw_state(recurrent, BATCH)
    clean = sequence_gradients(recurrent, inputs, state)
    for value in VALUES:
        found = sequence_gradients(recurrent, contract(inputs, ILL, AT, value), state)
        for a, b in zip(part(found, batch=OTHERS), part(clean, batch=OTHERS), strict=True):
            assert torch.equal(a, b), value


def test_an_adjoint_that_is_nan_stays_with_its_sequence(cell, dtype):
    recurrent = layer(cell, 7, 65, dtype)
    inputs, state = draw_inputs(recurrent, STEPS, BATCH), draw_state(recurrent, BATCH)
    clean = sequence_gradients(recurrent, inputs, state)
    found = sequence_gradients(recurrent, inputs, state, ill=ILL)
    for a, b in zip(part(found, batch=OTHERS), part(clean, batch=OTHERS), strict=True):
        assert torch.equal(a, b)
    assert any(g[:, ILL].isnan().any() for g in found)


def sequence_gradients(recurrent, inputs, state, ill=None):
    """Of the inputs and the initial states, [·, B, …] each. The adjoint of sequence `ill` is NaN."""
    tensors = [t.clone().requires_grad_() for t in (*inputs, *state.values())]
    begin = dict(zip(state, tensors[len(inputs) :], strict=True))
    output, after = call(recurrent, tensors[: len(inputs)], begin)
    weight = torch.ones(BATCH, 1, dtype=output.dtype)
    if ill is not None:
        weight[ill] = float("nan")
    loss = (output * weight).sum() + sum((value * weight).sum() for value in after.values())
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True)]
