"""The forward pass gives the same bits however the same sequences come: one identity, within one instruction set."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman.nn import Recurrent
from elman.sequences import Ragged
from tests.conformance.cases import (
    SHAPES,
    choose,
    chunkings,
    draw_inputs,
    draw_state,
    layer,
    part,
    poisoned_memory,
    run,
    same,
    spans,
)

ENGINE = import_module("elman.kernels.engine")  # the package shows the function of that name
LENGTHS = (4, 0, 9, 1, 5, 5, 0, 2, 9, 3, 1, 7, 6, 8, 2, 1, 0)  # of 17 sequences


@pytest.fixture(params=SHAPES[:-1], ids=lambda shape: "x".join(map(str, shape)))
def shape(request) -> tuple[int, int, int, int]:
    """D, H, T, B."""
    return request.param


def test_whole_is_chunked_is_stepwise(cell, dtype):
    for d, h, steps, batch in SHAPES:
        recurrent = layer(cell, d, h, dtype)
        inputs, begin = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        for state in (None, begin):
            whole = run(recurrent, inputs, state)
            for lengths in chunkings(steps):
                pieces, carried = [], state
                for span in spans(lengths):
                    piece, carried = run(recurrent, part(inputs, span), carried)
                    pieces.append(piece)
                same((torch.cat(pieces), carried), whole, (d, h, steps, batch, lengths, state is not None))


def test_a_batch_of_any_company(cell, dtype):
    """A sequence alone, in a part of the batch, and in another order."""
    for d, h, steps, batch in ((7, 65, 5, 17), (65, 7, 3, 9)):
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
        output, after = run(recurrent, inputs, state)
        order = torch.randperm(batch, generator=torch.Generator().manual_seed(2)).tolist()
        for some in (order, *([b] for b in order), order[:7], order[2:]):
            found = run(recurrent, part(inputs, batch=some), choose(state, some))
            same(found, (output[:, some], choose(after, some)), (d, h, some))


def test_ragged_is_each_by_itself(cell, dtype):
    for d, h in ((7, 65), (64, 9)):
        recurrent = layer(cell, d, h, dtype)
        inputs, state = draw_inputs(recurrent, max(LENGTHS), len(LENGTHS)), draw_state(recurrent, len(LENGTHS))
        rows = [torch.cat([x[:n, b] for b, n in enumerate(LENGTHS)]) for x in inputs]
        ragged = [Ragged.from_lengths(values, LENGTHS) for values in rows]
        output, after = run(recurrent, ragged, state)
        for b, n in enumerate(LENGTHS):
            alone = run(recurrent, part(inputs, slice(n), [b]), choose(state, [b]))
            same((output[b].unsqueeze(1), choose(after, [b])), alone, (d, h, b, n))
            if n == 0:
                assert all(torch.equal(after[name][:, b], state[name][:, b]) for name in after)


def test_packed_is_ragged(cell, dtype):
    lengths = [n for n in LENGTHS if n]
    recurrent = layer(cell, 63, 7, dtype)
    inputs, state = draw_inputs(recurrent, max(lengths), len(lengths)), draw_state(recurrent, len(lengths))
    sequences = [[x[:n, b] for b, n in enumerate(lengths)] for x in inputs]
    packed = [pack_sequence(some, enforce_sorted=False) for some in sequences]
    output, after = run(recurrent, packed, state)
    expected = run(recurrent, [Ragged.from_lengths(torch.cat(some), lengths) for some in sequences], state)
    outputs = [out[:n] for out, n in zip(unpacked(output), lengths, strict=True)]
    same((torch.cat(outputs), after), (expected[0].values, expected[1]), "packed")


def unpacked(packed):
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed)
    return [padded[:n, b] for b, n in enumerate(lengths)]


def test_threads_change_nothing(cell, dtype, shape):
    d, h, steps, batch = shape
    recurrent = layer(cell, d, h, dtype)
    inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(run(recurrent, inputs, state))
    same(results[1], results[0], (shape, 2))
    same(results[2], results[0], (shape, 3))


def test_the_inference_program_is_the_training_program(cell, dtype, shape):
    d, h, steps, batch = shape
    recurrent = layer(cell, d, h, dtype)
    inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
    output, after = recurrent(inputs[0] if len(inputs) == 1 else inputs, state)
    assert output.requires_grad
    same((output.detach(), {n: v.detach() for n, v in after.items()}), run(recurrent, inputs, state), shape)


def test_products_of_the_inputs_before_or_within(cell, dtype, shape, monkeypatch):
    """Few lanes have the inputs' products made for all steps at once, many within the recurrence."""
    d, h, steps, batch = shape
    recurrent = layer(cell, d, h, dtype)
    inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
    results = []
    for fewest in (0, 10**6):
        monkeypatch.setattr(ENGINE, "FEW_LANES", fewest)
        results.append(run(recurrent, inputs, state))
    same(results[1], results[0], shape)


@pytest.mark.parametrize("vocabulary", [7, 65])
def test_tokens_are_one_hot_rows(cell, dtype, vocabulary):
    """A vocabulary smaller and one larger than the batch: the table holds all tokens, or those present."""
    if cell.graph.inputs[0].size != "D" or [p.size for p in cell.graph.inputs].count("D") > 1:
        pytest.skip("tokens stand for a first input whose size is its own")
    recurrent = layer(cell, vocabulary, 9, dtype)
    inputs, state = draw_inputs(recurrent, 5, 3), draw_state(recurrent, 3)
    tokens = torch.randint(vocabulary, (5, 3), generator=torch.Generator().manual_seed(3))
    one_hot = torch.nn.functional.one_hot(tokens, vocabulary).to(dtype)
    expected = run(recurrent, (one_hot, *inputs[1:]), state)
    for integers in (torch.int64, torch.int32, torch.uint8):
        same(run(recurrent, (tokens.to(integers), *inputs[1:]), state), expected, integers)


def test_reverse_is_forward_over_flipped(cell, dtype):
    for d, h, steps, batch in ((7, 65, 5, 3), (65, 7, 1, 9)):
        both = layer(cell, d, h, dtype, bidirectional=True)
        inputs, state = draw_inputs(both, steps, batch), draw_state(both, batch)
        output, after = run(both, inputs, state)
        width = output.shape[-1] // 2
        for direction, suffix in ((0, ""), (1, "_reverse")):
            single = weights_of(both, layer(cell, d, h, dtype), suffix)
            ordered = tuple(x.flip(0) for x in inputs) if direction else inputs
            out, last = run(single, ordered, {n: v[direction : direction + 1] for n, v in state.items()})
            out = out.flip(0) if direction else out
            found = output[..., direction * width : (direction + 1) * width]
            same((found, {n: v[direction : direction + 1] for n, v in after.items()}), (out, last), (d, h, suffix))


def weights_of(source: Recurrent, target: Recurrent, suffix: str) -> Recurrent:
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            parameter.copy_(getattr(source, name + suffix))
    return target


def test_reverse_ragged_is_reverse_of_each(cell, dtype):
    both = layer(cell, 7, 9, dtype, bidirectional=True)
    inputs, state = draw_inputs(both, max(LENGTHS), len(LENGTHS)), draw_state(both, len(LENGTHS))
    rows = [torch.cat([x[:n, b] for b, n in enumerate(LENGTHS)]) for x in inputs]
    output, after = run(both, [Ragged.from_lengths(values, LENGTHS) for values in rows], state)
    for b, n in enumerate(LENGTHS):
        alone = run(both, part(inputs, slice(n), [b]), choose(state, [b]))
        same((output[b].unsqueeze(1), choose(after, [b])), alone, (b, n))


def test_a_stack_is_its_layers(cell, dtype):
    if [p.size for p in cell.graph.inputs] != ["D"]:
        pytest.skip("a second layer reads what the first puts out, and one input takes it")
    stack = layer(cell, 7, 9, dtype, num_layers=2)
    inputs, state = draw_inputs(stack, 5, 3), draw_state(stack, 3)
    lower = weights_of_layer(stack, layer(cell, 7, 9, dtype), 0)
    upper = weights_of_layer(stack, layer(cell, stack.layer_sizes(1)["D"], 9, dtype), 1)
    middle, first = run(lower, inputs, {n: v[:1] for n, v in state.items()})
    output, second = run(upper, (middle,), {n: v[1:] for n, v in state.items()})
    same(run(stack, inputs, state), (output, {n: torch.cat([first[n], second[n]]) for n in first}), "stack")


def weights_of_layer(source: Recurrent, target: Recurrent, index: int) -> Recurrent:
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            parameter.copy_(getattr(source, name.removesuffix("0") + str(index)))
    return target


def test_the_layout_of_inputs_changes_nothing(cell, dtype):
    """batch_first, unbatched, and rows that do not stand side by side."""
    steps, batch = 5, 3
    recurrent, turned = layer(cell, 65, 7, dtype), layer(cell, 65, 7, dtype, batch_first=True)
    inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
    output, after = expected = run(recurrent, inputs, state)
    found, final = run(turned, [x.transpose(0, 1) for x in inputs], state)
    same((found.transpose(0, 1), final), expected, "a transposed view")
    found, final = run(turned, [x.transpose(0, 1).contiguous() for x in inputs], state)
    same((found.transpose(0, 1), final), expected, "batch_first")
    wide = [torch.stack([x, x], -1).flatten(-2) if x.dim() == 3 else torch.stack([x, x], -1) for x in inputs]
    strided = [w[..., ::2] if w.dim() == 3 and x.dim() == 3 else w[..., 0] for w, x in zip(wide, inputs, strict=True)]
    same(run(recurrent, strided, state), expected, "every other column")
    framed = [torch.nn.functional.pad(x, (3, 2)) for x in inputs]
    slices = [f[..., 3:-2] for f in framed]
    same(run(recurrent, slices, {n: v.transpose(-1, -2).contiguous().transpose(-1, -2) for n, v in state.items()}), expected, "inside a frame")  # fmt: skip
    one, last = run(recurrent, [x[:, 0] for x in inputs], choose(state, [0]))
    same((one.unsqueeze(1), last), (output[:, :1], choose(after, [0])), "unbatched")


def test_poisoned_scratch_changes_nothing(cell, dtype, shape):
    d, h, steps, batch = shape
    recurrent = layer(cell, d, h, dtype)
    inputs, state = draw_inputs(recurrent, steps, batch), draw_state(recurrent, batch)
    expected = run(recurrent, inputs, state)
    with poisoned_memory():
        same(run(recurrent, inputs, state), expected, shape)


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
