"""Factors of products in bfloat16: when, with which element types outside, and that nothing else is rounded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import elman.nn
from elman import cell
from elman.errors import ConfigError
from elman.kernels import available_isas, forced_isa
from elman.nn.functional import linear_cross_entropy
from tests.nn.layers import tensors_of
from tests.tolerances import assert_close, assert_same_bits

T, B, D, H = 6, 5, 7, 65


def rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.bfloat16().to(tensor.dtype)


@pytest.fixture
def layer() -> elman.nn.Recurrent:
    torch.manual_seed(0)
    return elman.nn.Recurrent("lstm", D, H, precision="bfloat16")


def test_only_factors_are_rounded(layer: elman.nn.Recurrent) -> None:
    """Weights and inputs that are bfloat16 already lose nothing: the first step is that of float32."""
    with torch.no_grad():
        for parameter in (layer.W_l0, layer.U_l0):
            parameter.copy_(rounded(parameter))
    exact = elman.nn.Recurrent("lstm", D, H)
    exact.load_state_dict(layer.state_dict())
    x = rounded(torch.randn(1, B, D))
    found, expected = layer(x)[0].detach(), exact(x)[0].detach()
    assert found.dtype == torch.float32
    assert_close(found, expected, "layer", "float32")  # biases and functions are not rounded
    assert_close(layer(x)[1]["c"].detach(), exact(x)[1]["c"].detach(), "layer", "float32")


@cell(inputs="x", states="h")
def product(x, h, W):
    h = W @ x
    return h


@pytest.mark.parametrize("isa", available_isas())
def test_a_factor_rounds_to_the_nearest(isa: str) -> None:
    """One product with 1 in every kind of tie; then NaN and infinity."""
    bits = torch.tensor([0x3F800000, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF, 0x40490FDB])
    x = bits.to(torch.int32).view(torch.float32)[None, :, None]
    layer = elman.nn.Recurrent(product, 1, 1, precision="bfloat16")
    with forced_isa(isa), torch.no_grad():
        layer.W_l0.fill_(1)
        for values in (x, -x):
            assert_same_bits(layer(values)[0], rounded(values))
        special = layer(torch.tensor([float("nan"), float("inf"), -float("inf")])[None, :, None])[0].flatten().tolist()
    assert special[0] != special[0]
    assert special[1:] == [float("inf"), -float("inf")]


def test_instruction_sets_with_fused_multiply_add_agree_to_the_bit(layer: elman.nn.Recurrent) -> None:
    """The processor's dot product adds the second of two products first, then the first; so does the slow path."""
    x = torch.randn(T, B, D)
    names = [name for name in available_isas() if name.startswith("avx512")]
    if len(names) < 2:
        pytest.skip("needs a processor with dot products of bfloat16")
    results = []
    for name in names:
        with forced_isa(name), torch.no_grad():
            results.append(layer(x)[0])
    assert_same_bits(results[0], results[1])


def test_autocast_gives_bfloat16_and_carries_float32(layer: elman.nn.Recurrent) -> None:
    layer.precision = None
    x = torch.randn(T, B, D, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output, state = layer(x)
        again, _ = layer(x.bfloat16(), state)
    assert (output.dtype, state["h"].dtype, state["c"].dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert again.dtype == torch.bfloat16
    output.float().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == layer.W_l0.grad.dtype == torch.float32


def test_whole_is_chunked_under_autocast(layer: elman.nn.Recurrent) -> None:
    layer.precision = None
    x = torch.randn(T, B, D)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        whole, end = layer(x)
        first, state = layer(x[:2])
        second, state = layer(x[2:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert_same_bits(state["c"], end["c"])


@pytest.mark.parametrize("checkpoint", [None, 2])
def test_checkpoints_are_the_same(layer: elman.nn.Recurrent, checkpoint: int | None) -> None:
    x = torch.randn(T, B, D)
    found = {}
    for layer.checkpoint in (None, checkpoint):
        layer.zero_grad()
        layer(x)[0].square().sum().backward()
        found[layer.checkpoint] = layer.U_l0.grad.clone()
    assert_close(found[checkpoint], found[None], "layer", "bfloat16")


def test_float64_is_not_rounded(layer: elman.nn.Recurrent) -> None:
    assert str(layer.double().path(torch.randn(T, B, D).double())) == "fused: CPU, torch.float64"


def test_the_path_says_so(layer: elman.nn.Recurrent) -> None:
    x = torch.randn(T, B, D)
    assert str(layer.path(x)) == "fused: CPU, torch.float32, the factors of products in bfloat16"
    with torch.autocast("cpu", torch.bfloat16):
        assert str(layer.path(x)) == "fused: CPU, autocast to torch.bfloat16; states in float32"
    assert "precision=bfloat16" in repr(layer)


@pytest.mark.parametrize(
    "make", [lambda p: elman.nn.Recurrent("lstm", 3, 4, precision=p), lambda p: elman.nn.GRU(3, 4, precision=p)]
)
def test_unknown_precisions_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"precision must be None or .bfloat16., got .float16."):
        make("float16")


@pytest.mark.parametrize("kind", [elman.nn.LSTM, elman.nn.GRU, elman.nn.RNN])
def test_as_an_option_of_torchs_layers(kind: Any) -> None:
    torch.manual_seed(0)
    plain, rounding, x = kind(D, H), kind(D, H, precision="bfloat16"), torch.randn(T, B, D)
    rounding.load_state_dict(plain.state_dict())
    found, expected = rounding(x)[0].detach(), plain(x)[0].detach()
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert_close(found, expected, "layer", "bfloat16")
    assert "precision=bfloat16" in repr(rounding)


def test_the_loss_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(50, 33), torch.randn(20, 33), torch.randn(20)
    targets = torch.randint(20, (50,))
    exact = [t.clone().requires_grad_() for t in (rounded(x), rounded(weight), bias)]
    sources = [t.clone().requires_grad_() for t in (x, weight, bias)]
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(*sources, targets)
    assert loss.dtype == torch.float32
    expected = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*exact), targets)
    assert_close(loss.detach(), expected.detach(), "layer", "float32")
    for a, r in zip(torch.autograd.grad(loss, sources), torch.autograd.grad(expected, exact), strict=True):
        assert_close(a, r, "layer", "bfloat16")


def test_differentiated_twice(layer: elman.nn.Recurrent) -> None:
    x = torch.randn(3, 2, D, requires_grad=True)
    (first,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert second.abs().sum() > 0


def test_compiled(layer: elman.nn.Recurrent) -> None:
    x = torch.randn(T, B, D)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_same_bits(compiled(x)[0].detach(), layer(x)[0].detach())
    layer.precision = None
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(compiled(x)[0], layer(x)[0])


AS_TORCHS = [
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("RNN", {}),
    ("RNN", {"num_layers": 2, "nonlinearity": "relu"}),
]


@pytest.mark.parametrize("form", ["dense", "packed", "unbatched", "with states"])
@pytest.mark.parametrize("of", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "options"), AS_TORCHS)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_element_types_under_autocast_are_torchs(
    name: str, options: dict[str, Any], of: torch.dtype, form: str
) -> None:
    torch.manual_seed(0)
    theirs, ours = getattr(torch.nn, name)(D, H, **options), getattr(elman.nn, name)(D, H, **options)
    ours.load_state_dict(theirs.state_dict())
    x: Any = torch.randn(T, B, D).to(of)
    hx = None
    if form == "packed":
        x = pack_sequence([x[:, 0], x[:2, 1]])
    elif form == "unbatched":
        x = x[:, 0]
    elif form == "with states":
        stack, batch = ours.num_layers * (2 if ours.bidirectional else 1), T if ours.batch_first else B
        states = [torch.randn(stack, batch, size).to(of) for size in (ours.proj_size or H, H)]
        hx = tuple(states) if name == "LSTM" else states[0]
    exact = tensors_of(ours(x, hx)) if of is torch.float32 else None
    for grad in (True, False):
        with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(grad):
            assert ours.path(x, hx).name == "fused"
            found, expected = tensors_of(ours(x, hx)), tensors_of(theirs(x, hx))
        assert [t.dtype for t in found] == [t.dtype for t in expected]
        for a, r in zip(found, exact or found, strict=True):
            assert_close(a.detach().float(), r.detach().float(), "layer", "bfloat16")
