"""Callers may write into what they were given: an output, a state, a gradient. What backward needs is never theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import elman.nn
from elman.nn import Recurrent
from elman.nn.functional import linear, linear_cross_entropy
from elman.nn.paths import fused
from elman.sequences import Ragged
from tests.nn.layers import KINDS, D, H, assert_same, pair

T, B = 5, 3
LENGTHS = [5, 2, 4]


def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def _add(output: Tensor) -> Tensor:
    output += 1
    return output


def _first(output: Tensor) -> Tensor:
    output[0] = 0
    return output


def _scaled(output: Tensor) -> Tensor:
    with torch.no_grad():
        output.mul_(2)
    return output


def _through_a_view(output: Tensor) -> Tensor:
    output.view(-1)[::2].zero_()
    return output


def _dropped(output: Tensor) -> Tensor:
    torch.manual_seed(1)
    return dropout(output, 0.5, inplace=True)


WRITES: dict[str, Callable[[Tensor], Tensor]] = {
    "out += 1": _add,
    "relu_": lambda output: output.relu_(),
    "dropout": _dropped,
    "out[0] = 0": _first,
    "without gradient": _scaled,
    "through a view": _through_a_view,
    "nothing": lambda output: output,
}


def loss(output: Tensor, states: Sequence[Tensor]) -> Tensor:
    """Of products of all of it, so that each element's gradient is its own."""
    parts = [output, *states]
    return torch.stack([(part * torch.linspace(0.5, 2, part.numel()).view_as(part)).sum() for part in parts]).sum()


def states_of(final: Any) -> list[Tensor]:
    return list(final) if isinstance(final, tuple) else [final]


def given(form: str, x: Tensor) -> Any:
    if form == "packed":
        return pack_sequence([x[:n, b] for b, n in enumerate(LENGTHS)], enforce_sorted=False)
    return x


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2}, {"bidirectional": True}, {"batch_first": True}],
    ids=["one layer", "stack", "both ways", "batch first"],
)
@pytest.mark.parametrize("form", ["dense", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_of_torchs_layers(kind: type[torch.nn.Module], form: str, options: dict[str, Any], write: str) -> None:
    dtypes = [torch.float64] if form == "packed" else [torch.float32, torch.float64]
    for dtype in dtypes:
        theirs, ours = pair(kind, D, H, dtype=dtype, **options)
        x = leaf(T, B, D, dtype=dtype)
        found = []
        for layer in (theirs, ours):
            output, final = layer(given(form, x))
            values = output.data if isinstance(output, PackedSequence) else output
            if layer is theirs:  # torch's own may refuse to be written into
                values = values.clone(memory_format=torch.contiguous_format)
            found.append(torch.autograd.grad(loss(WRITES[write](values), states_of(final)), [x, *layer.parameters()]))
        assert_same(found[1], found[0])


@pytest.mark.parametrize("write", WRITES)
def test_outputs_of_a_projected_layer(write: str) -> None:
    theirs, ours = pair(torch.nn.LSTM, D, H, proj_size=2, dtype=torch.float64)
    x = leaf(T, B, D)
    expected = torch.autograd.grad(loss(WRITES[write](theirs(x)[0].clone()), []), [x, *theirs.parameters()][:3])
    assert_same(torch.autograd.grad(loss(WRITES[write](ours(x)[0]), []), [x, *ours.parameters()][:3]), expected)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize("cell", ["lstm", "elman", "gru", "indrnn", "slstm"])
def test_outputs_of_any_cell_and_by_segments(cell: str, checkpoint: int | None, write: str) -> None:
    layer = Recurrent(cell, D, H, checkpoint=checkpoint, dtype=torch.float64)
    x = leaf(sum(LENGTHS), D)
    found = []
    for copied in (True, False):
        output, state = layer(Ragged.from_lengths(x, LENGTHS))
        values = output.values.clone() if copied else output.values
        found.append(torch.autograd.grad(loss(WRITES[write](values), list(state.values())), [x, *layer.parameters()]))
    assert_same(found[1], found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_final_states(kind: type[torch.nn.Module]) -> None:
    theirs, ours = pair(kind, D, H, dtype=torch.float64)
    x = leaf(T, B, D)
    found = []
    for layer in (theirs, ours):
        output, final = layer(x)
        for state in states_of(final):
            state[:, 1].zero_()
            state *= 3
        found.append(torch.autograd.grad(loss(output, states_of(final)), [x, *layer.parameters()]))
    assert_same(found[1], found[0])


def test_states_of_no_steps_are_copies() -> None:
    layer, begin = Recurrent("lstm", D, H), {name: torch.randn(1, B, H) for name in "hc"}
    before = {name: value.clone() for name, value in begin.items()}
    _, after = layer(torch.zeros(0, B, D), begin)
    for value in after.values():
        value.detach().zero_()
    assert all(torch.equal(begin[name], before[name]) for name in begin)


def test_writing_costs_a_forward_and_not_writing_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = elman.nn.GRU(D, H), torch.randn(T, B, D)
    calls, forward = [], fused.buffers.forward
    monkeypatch.setattr(fused.buffers, "forward", lambda *args: calls.append(args) or forward(*args))
    plain, written = layer(x)[0], layer(x)[0]
    address = plain.data_ptr()
    assert [t.data_ptr() for t in plain.grad_fn.next_functions[0][0].saved_tensors if t is not None].count(address) == 1
    written.relu_()
    del calls[:]
    plain.sum().backward()
    assert calls == []
    written.sum().backward()
    assert len(calls) == 1


def test_written_twice_and_differentiated_twice() -> None:
    layer, x = elman.nn.LSTM(D, H).double(), leaf(T, B, D)
    expected = torch.autograd.grad(loss((layer(x)[0].clone() + 1).tanh(), []), [x, *layer.parameters()])
    value = loss(_add(layer(x)[0]).tanh_(), [])
    for _ in range(2):
        assert_same(torch.autograd.grad(value, [x, *layer.parameters()], retain_graph=True), expected)
    assert_same(torch.autograd.grad(value, [x, *layer.parameters()], create_graph=True), expected)


def test_weights_written_into_are_told_as_torch_tells() -> None:
    layer, x = elman.nn.GRU(D, H), torch.randn(T, B, D)
    output = _add(layer(x)[0])
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_saved_tensor_hooks_see_the_output() -> None:
    """Offloading and activation checkpointing work by these."""
    layer, x = elman.nn.GRU(D, H).double(), leaf(T, B, D)
    expected = torch.autograd.grad(loss(layer(x)[0], []), [x, *layer.parameters()])
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone().numpy(force=True), torch.from_numpy):
        value = loss(layer(x)[0], [])
    assert_same(torch.autograd.grad(value, [x, *layer.parameters()]), expected)
    value = torch.utils.checkpoint.checkpoint(lambda x: loss(_add(layer(x)[0]), []), x, use_reentrant=False)
    assert_same(torch.autograd.grad(value, [x, *layer.parameters()]), expected)


def _functions() -> dict[str, tuple[Callable[[], Tensor], list[Tensor]]]:
    x, w, b, targets = leaf(6, 5), leaf(7, 5), leaf(7), torch.randint(0, 7, (6,))
    found: dict[str, tuple[Callable[[], Tensor], list[Tensor]]] = {"linear": (lambda: linear(x, w, b).sum(), [x, w, b])}
    for reduction in ("mean", "sum", "none"):

        def losses(reduction: str = reduction) -> Tensor:
            return linear_cross_entropy(x, w, b, targets, reduction=reduction).sum()

        found[f"cross-entropy, {reduction}"] = losses, [x, w, b]
    for cell, checkpoint in (("lstm", None), ("elman", 2), ("torch", None)):
        if cell == "torch":
            layer, steps = elman.nn.LSTM(5, 4, 2, bidirectional=True).double(), x.unsqueeze(1)
            begin: Any = (leaf(4, 1, 4), leaf(4, 1, 4))
            found["torch's"] = (lambda a=layer, s=steps, h=begin: a(s, h)[0].sum()), [x, *begin, *layer.parameters()]
        else:
            own = Recurrent(cell, 5, 4, checkpoint=checkpoint, dtype=torch.float64)
            found[cell] = (lambda a=own: a(x)[0].sum()), [x, *own.parameters()]
    return found


@pytest.mark.parametrize("name", _functions())
@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_gradients_may_be_written_into(name: str, weight: float) -> None:
    torch.manual_seed(0)
    function, sources = _functions()[name]
    value = weight * function()
    kept = [source.detach().clone() for source in sources]
    first = torch.autograd.grad(value, sources, retain_graph=True)
    expected = [gradient.clone() for gradient in first]
    for gradient in first:
        gradient.fill_(7)
    assert_same(torch.autograd.grad(value, sources, retain_graph=True), expected)
    assert_same([source.detach() for source in sources], kept)
    value.backward(retain_graph=True)
    for source in sources:
        assert source.grad is not None
        source.grad.zero_()
    value.backward()
    assert_same([source.grad for source in sources], expected)
