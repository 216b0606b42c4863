"""Tensors whose memory lies in unusual ways: the right answer, bit for bit that of a plain copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import elman.nn
from elman.sequences import Ragged
from tests.nn.layers import LAYERS, D, H, gradients, tensors_of
from tests.tolerances import assert_same_bits

T, B = 5, 2


def misaligned(tensor: Tensor) -> Tensor:
    """The same values one byte behind an address that their type allows."""
    data = bytearray(1 + tensor.numel() * tensor.element_size())
    data[1:] = tensor.contiguous().numpy().tobytes()
    return torch.frombuffer(data, dtype=tensor.dtype, offset=1).view(tensor.shape)


def negated(tensor: Tensor) -> Tensor:
    """The same values as a view with a pending sign, as `.imag` of a conjugated tensor is one."""
    view = torch._neg_view((-tensor).contiguous())
    assert view.is_neg()
    return view


def widened(tensor: Tensor) -> Tensor:
    """A part of a wider tensor."""
    return torch.cat([tensor, tensor], -1)[..., : tensor.shape[-1]]


FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "columns first": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every other element": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "every other step": lambda x: x.repeat_interleave(2, 0)[::2],
    "part of wider rows": widened,
    "misaligned": misaligned,
    "pending sign": negated,
    "flipped twice": lambda x: x.flip(0, -1).flip(-1, 0),
}


def assert_bits(actual: Any, reference: Any) -> None:
    for a, r in zip(tensors_of(actual), tensors_of(reference), strict=True):
        assert_same_bits(a.detach(), r.detach())


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LAYERS)
def test_inputs(name: str, form: str) -> None:
    layer, x = LAYERS[name](), torch.randn(T, B, D)
    odd = FORMS[form](x).detach().requires_grad_()
    assert torch.equal(odd, x)
    x.requires_grad_()
    assert layer.path(odd).name == "fused"
    found, expected = layer(odd), layer(x)
    assert_bits(found, expected)
    assert_bits(
        gradients(found, [odd, *layer.parameters()]),
        gradients(expected, [x, *layer.parameters()]),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LAYERS)
def test_states(name: str, form: str) -> None:
    layer, x = LAYERS[name](num_layers=2, bidirectional=True), torch.randn(T, B, D)
    plain = [torch.randn(4, B, H) for _ in range(1 if name in ("GRU", "RNN") else 2)]
    odd = [FORMS[form](state).detach() for state in plain]

    def call(states: list[Tensor]) -> Any:
        if name == "Recurrent":
            return layer(x, dict(zip(("h", "c"), states, strict=True)))
        return layer(x, tuple(states) if name == "LSTM" else states[0])

    assert_bits(call(odd), call(plain))


@pytest.mark.parametrize("form", [f for f in FORMS if f != "batch first"])
@pytest.mark.parametrize("name", LAYERS)
def test_weights(name: str, form: str) -> None:
    layer, odd, x = LAYERS[name](), LAYERS[name](), torch.randn(T, B, D)
    for key, parameter in layer.named_parameters():
        memory = parameter.detach()
        setattr(odd, key, torch.nn.Parameter(FORMS[form](memory) if memory.dim() == 2 else vector(memory, form)))
    assert odd.path(x).name == "fused"
    found, expected = odd(x), layer(x)
    assert_bits(found, expected)
    assert_bits(gradients(found, list(odd.parameters())), gradients(expected, list(layer.parameters())))


def vector(plain: Tensor, form: str) -> Tensor:
    """The same values in the form, or every other element of memory where the form is one of matrices."""
    return FORMS[form if form in ("misaligned", "pending sign") else "every other element"](plain)


@pytest.mark.parametrize("name", LAYERS)
def test_expanded_tensors(name: str) -> None:
    layer = LAYERS[name]()
    step = torch.randn(1, 1, D)
    x = step.expand(T, B, D)
    assert_bits(layer(x), layer(x.contiguous()))
    row = torch.randn(1, D)
    assert_bits(layer(row.expand(T, D)), layer(row.repeat(T, 1)))
    (d,) = torch.autograd.grad(layer(x)[0].sum(), [next(layer.parameters())])  # the sum's gradient is expanded too
    (e,) = torch.autograd.grad((layer(x)[0] * torch.ones(T, B, H)).sum(), [next(layer.parameters())])
    assert_bits(d, e)


@pytest.mark.parametrize("name", LAYERS)
def test_expanded_bias(name: str) -> None:
    layer, x = LAYERS[name](), torch.randn(T, B, D)
    key, bias = next((k, p) for k, p in layer.named_parameters() if p.dim() == 1)
    setattr(layer, key, torch.nn.Parameter(torch.tensor(0.25).expand(bias.shape)))
    expanded = layer(x)
    setattr(layer, key, torch.nn.Parameter(torch.full(bias.shape, 0.25)))
    assert_bits(expanded, layer(x))


@pytest.mark.parametrize("name", LAYERS)
def test_tokens(name: str) -> None:
    layer, tokens = LAYERS[name](), torch.randint(0, D, (T, B))
    expected = layer(tokens.contiguous())
    for odd in (tokens.T.contiguous().T, tokens.repeat_interleave(2, 0)[::2], misaligned(tokens)):
        assert_bits(layer(odd), expected)
    single = layer(tokens[:, 0].contiguous())
    assert_bits(layer(tokens[:, 0]), single)  # every other element of memory


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_that_come_in_unusual_forms(name: str) -> None:
    layer, x = LAYERS[name](), torch.randn(T, B, D)
    weight = next(layer.parameters())
    d = torch.randn(T, B, H)
    expected = torch.autograd.grad(layer(x)[0], weight, d)
    for form in FORMS:
        assert_bits(torch.autograd.grad(layer(x)[0], weight, FORMS[form](d)), expected)


def test_a_ragged_batch_that_is_a_slice() -> None:
    layer, wide = elman.nn.Recurrent("gru", D, H), torch.randn(T, 2 * D)
    lengths = [2, 0, 3]
    part = wide[:, ::2]
    assert_bits(layer(Ragged.from_lengths(part, lengths)), layer(Ragged.from_lengths(part.contiguous(), lengths)))
