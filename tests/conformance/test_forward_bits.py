"""The forward pass gives the same bits however the same sequences come: one identity, within one instruction set."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from elman.kernels import Forward
from elman.sequences import Ragged
from tests.conformance.cases import (
    LENGTHS,
    SHAPES,
    call,
    choose,
    chunkings,
    draw_inputs,
    draw_state,
    in_rows,
    layer,
    part,
    poisoned_memory,
    run,
    same,
    spans,
)


def test_every_cell_takes_the_fused_path(cell, dtype):
    recurrent = layer(cell, 7, 9, dtype)
    inputs = draw_inputs(recurrent, 2, 3)
    path = recurrent.path(inputs if len(inputs) > 1 else inputs[0], draw_state(recurrent, 3))
    assert path.name == "fused", path


def test_whole_is_chunked_is_stepwise(cell, dtype):
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, dtype)
        inputs, begin = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        for state in (begin, None) if batch < 17 else (begin,):
            whole = run(recurrent, inputs, state)
            for lengths in chunkings(steps):
                pieces, carried = [], state
                for span in spans(lengths):
                    piece, carried = run(recurrent, part(inputs, span), carried)
                    pieces.append(piece)
                same((torch.cat(pieces), carried), whole, (d, h, steps, batch, lengths, state is None))


def test_a_batch_of_any_company(cell, dtype):
    """A sequence alone, in a part of the batch, and in another order."""
    for d, h, steps, batch in ((7, 65, 5, 17), (65, 7, 3, 9)):
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        output, after = run(recurrent, inputs, state)
        order = torch.randperm(batch, generator=torch.Generator().manual_seed(2)).tolist()
        for some in (order, order[:7], order[2:], *([b] for b in order[::3])):
            found = run(recurrent, part(inputs, batch=some), choose(state, some))
            same(found, (output[:, some], choose(after, some)), (d, h, some))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_ragged_is_each_by_itself(cell, dtype, bidirectional):
    recurrent = layer(cell, 7, 65, dtype, bidirectional=bidirectional)
    inputs, state = draw_inputs(recurrent, max(LENGTHS), len(LENGTHS)), draw_state(recurrent, len(LENGTHS))
    ragged = [Ragged.from_lengths(values, LENGTHS) for values in in_rows(inputs, LENGTHS)]
    output, after = run(recurrent, ragged, state)
    for b, n in enumerate(LENGTHS):
        alone = run(recurrent, part(inputs, slice(n), [b]), choose(state, [b]))
        same((output[b].unsqueeze(1), choose(after, [b])), alone, (b, n))
        if n == 0:
            assert all(torch.equal(after[name][:, b], state[name][:, b]) for name in after)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_packed_is_ragged(cell, dtype, bidirectional):
    lengths = [n for n in LENGTHS if n]
    recurrent = layer(cell, 63, 7, dtype, bidirectional=bidirectional)
    inputs, state = draw_inputs(recurrent, max(lengths), len(lengths)), draw_state(recurrent, len(lengths))
    sequences = [[x[:n, b] for b, n in enumerate(lengths)] for x in inputs]
    output, after = run(recurrent, [pack_sequence(some, enforce_sorted=False) for some in sequences], state)
    expected = run(recurrent, [Ragged.from_lengths(torch.cat(some), lengths) for some in sequences], state)
    padded, _ = pad_packed_sequence(output)
    same((in_rows([padded], lengths)[0], after), (expected[0].values, expected[1]), "packed")


def test_threads_change_nothing(cell, dtype):
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(run(recurrent, inputs, state))
        same(results[1], results[0], (d, h, steps, batch, 2))
        same(results[2], results[0], (d, h, steps, batch, 3))


def test_inference_is_training(cell, dtype):
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        output, after = call(recurrent, inputs, state)
        assert output.requires_grad
        found = output.detach(), {name: value.detach() for name, value in after.items()}
        same(found, run(recurrent, inputs, state), (d, h, steps, batch))
    with torch.inference_mode():
        same(call(recurrent, inputs, state), found, "inference mode")


def test_products_of_the_inputs_before_or_within(cell, dtype, monkeypatch):
    """Few lanes have the inputs' products made for all steps at once, many within the recurrence."""
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        asked, results = [], []
        for before in (False, True):

            def splits(step, *_, before=before, asked=asked):
                asked.append(step)
                return before and step.projection is not None

            monkeypatch.setattr(Forward, "splits", splits)
            results.append(run(recurrent, inputs, state))
        same(results[1], results[0], (d, h, steps, batch))
        assert len(asked) == 2, "nobody asked whether to split"


@pytest.mark.parametrize("vocabulary", [7, 65])
def test_tokens_are_one_hot_rows(cell, dtype, vocabulary):
    """A vocabulary smaller and one larger than the batch: the table holds all tokens, or those present."""
    recurrent = layer(cell, vocabulary, vocabulary if cell.graph.inputs[0].size == "H" else 9, dtype)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    tokens = torch.randint(vocabulary, (5, 3), generator=torch.Generator().manual_seed(3))
    one_hot = torch.nn.functional.one_hot(tokens, vocabulary).to(next(recurrent.parameters()).dtype)
    expected = run(recurrent, [one_hot, *inputs[1:]], state)
    for integers in (torch.int64, torch.int32, torch.uint8):
        same(run(recurrent, [tokens.to(integers), *inputs[1:]], state), expected, integers)


def test_reverse_is_forward_over_flipped(cell, dtype):
    for d, h, steps, batch in ((7, 65, 5, 3), (65, 7, 1, 9)):
        both, single = layer(cell, d, h, dtype, bidirectional=True), layer(cell, d, h, dtype)
        inputs, state = draw_inputs(both, steps, batch), draw_state(both, batch)
        output, after = run(both, inputs, state)
        halves = output.chunk(2, -1)
        for direction, suffix in enumerate(("", "_reverse")):
            copy_weights(single, {name: getattr(both, name + suffix) for name, _ in single.named_parameters()})
            begin = {name: value[direction, None] for name, value in state.items()}
            out, last = run(single, [x.flip(0) for x in inputs] if direction else inputs, begin)
            found = halves[direction], {name: value[direction, None] for name, value in after.items()}
            same(found, (out.flip(0) if direction else out, last), (d, h, suffix))


def test_a_stack_is_its_layers(cell, dtype):
    if [p.size for p in cell.graph.inputs] != ["D"]:
        pytest.skip("a second layer reads what the first puts out, and one input takes it")
    stack = layer(cell, 7, 9, dtype, num_layers=2)
    inputs, state = draw_inputs(stack, 5, 3), draw_state(stack, 3)
    values, finals = inputs, []
    for k in range(2):
        single = layer(cell, stack.layer_sizes(k)["D"], 9, dtype)
        copy_weights(single, {name: getattr(stack, name[:-1] + str(k)) for name, _ in single.named_parameters()})
        output, after = run(single, values, {name: value[k, None] for name, value in state.items()})
        values = [output]
        finals.append(after)
    same(run(stack, inputs, state), (output, {n: torch.cat([f[n] for f in finals]) for n in state}), "stack")


def copy_weights(target, weights):
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            parameter.copy_(weights[name])


def test_where_inputs_lie_changes_nothing(cell, dtype):
    """batch_first, unbatched, and rows or elements that do not stand side by side."""
    recurrent, turned = layer(cell, 65, 7, dtype), layer(cell, 65, 7, dtype, batch_first=True)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    output, after = expected = run(recurrent, inputs, state)
    for form in ([x.transpose(0, 1) for x in inputs], [x.transpose(0, 1).contiguous() for x in inputs]):
        found, final = run(turned, form, state)
        same((found.transpose(0, 1), final), expected, "batch_first")
    same(run(recurrent, [torch.stack([x, x], -1)[..., 0] for x in inputs], state), expected, "every other element")
    same(run(recurrent, [torch.nn.functional.pad(x, (3, 2))[..., 3:-2] for x in inputs], state), expected, "a frame")
    lying = {name: value.mT.contiguous().mT for name, value in state.items()}
    same(run(recurrent, inputs, lying), expected, "states by column")
    one, last = run(recurrent, [x[:, 0] for x in inputs], choose(state, [0]))
    same((one.unsqueeze(1), last), (output[:, :1], choose(after, [0])), "unbatched")


def test_poisoned_memory_changes_nothing(cell, dtype):
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        expected = run(recurrent, inputs, state)
        with poisoned_memory():
            same(run(recurrent, inputs, state), expected, (d, h, steps, batch))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_resets_begin_pieces(cell, dtype, bidirectional):
    """A reset in mid-sequence is the end of one piece and the begin of another, with the cell's own start."""
    recurrent = layer(cell, 7, 9, dtype, bidirectional=bidirectional)
    steps, cuts = 9, ([3], [0, 4, 5], [], [1, 8], list(range(9)))  # by sequence: the steps at which it begins anew
    batch = len(cuts)
    inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
    resets = torch.zeros(steps, batch, dtype=torch.bool)
    for b, starts in enumerate(cuts):
        resets[starts, b] = True
    pieces = [in_pieces(recurrent, part(inputs, batch=[b]), choose(state, [b]), cuts[b]) for b in range(batch)]
    expected = torch.cat([p[0] for p in pieces], 1), {n: torch.cat([p[1][n] for p in pieces], 1) for n in state}
    same(run(recurrent, inputs, state, resets), expected, "dense")
    lengths = [steps] * batch
    ragged = [Ragged.from_lengths(rows, lengths) for rows in in_rows(inputs, lengths)]
    output, after = run(recurrent, ragged, state, resets.T.flatten())
    same((output.values.unflatten(0, (batch, steps)).transpose(0, 1), after), expected, "ragged")
    recurrent.batch_first = True
    output, after = run(recurrent, [x.transpose(0, 1) for x in inputs], state, resets.T)
    same((output.transpose(0, 1), after), expected, "batch first")


def in_pieces(recurrent, inputs, state, starts):
    """One sequence cut by hand: only the first piece knows the state before it; in reverse, only the last."""
    edges, ways = sorted({0, *starts, len(inputs[0])}), recurrent.directions
    own = run(recurrent, part(inputs, slice(0)))[1]
    results = []
    for a, b in itertools.pairwise(edges):
        begin = {name: value.clone() for name, value in own.items()}
        for name, value in state.items():
            if a == 0 and 0 not in starts:
                begin[name][::ways] = value[::ways]
            if ways == 2 and b == edges[-1]:
                begin[name][1] = value[1]
        results.append(run(recurrent, part(inputs, slice(a, b)), begin))
    after = {name: value.clone() for name, value in results[-1][1].items()}
    if ways == 2:
        for name, value in results[0][1].items():
            after[name][1] = value[1]
    return torch.cat([output for output, _ in results]), after


def test_no_steps_and_no_sequences(cell, dtype):
    recurrent = layer(cell, 7, 9, dtype)
    state = draw_state(recurrent, 3)
    output, after = run(recurrent, draw_inputs(recurrent, 0, 3), state)
    assert output.shape[:2] == (0, 3)
    assert all(torch.equal(after[name], state[name]) for name in state)
    _, after = run(recurrent, draw_inputs(recurrent, 0, 3))
    for port in cell.graph.states:
        assert torch.equal(after[port.name], torch.full_like(state[port.name], port.start))
    output, after = run(recurrent, draw_inputs(recurrent, 5, 0))
    assert output.shape[:2] == (5, 0)
    assert all(value.shape[1] == 0 for value in after.values())
    nothing = [Ragged.from_lengths(x.flatten(0, 1), [0, 0, 0]) for x in draw_inputs(recurrent, 0, 3)]
    output, after = run(recurrent, nothing, state)
    assert len(output.values) == 0
    assert all(torch.equal(after[name], state[name]) for name in state)
