"""`layer.path(input)` tells which path a call takes, and why; and the call takes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_sequence

from elman.nn import Path, Recurrent
from elman.nn import stack as stack_module
from elman.sequences import Ragged
from tests.nn.layers import LAYERS, D, assert_same

T, B = 5, 2


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Any:
    return LAYERS[request.param]()


INPUTS: dict[str, Callable[[], Any]] = {
    "dense": lambda: torch.randn(T, B, D),
    "unbatched": lambda: torch.randn(T, D),
    "tokens": lambda: torch.randint(0, D, (T, B)),
    "packed": lambda: pack_sequence([torch.randn(T, D)]),
    "ragged": lambda: Ragged.from_lengths(torch.randn(T, D), [T]),
}


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_fused(layer: Any, form: str, mode: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls, run = [], stack_module.forward
    monkeypatch.setattr(stack_module, "forward", lambda *args: calls.append(args) or run(*args))
    with mode():
        input = INPUTS[form]()
        assert layer.path(input) == Path("fused", "CPU, torch.float32")
        layer(input)
    assert len(calls) == 1


def test_as_a_string(layer: Any) -> None:
    assert str(layer.path(torch.randn(T, B, D))) == "fused: CPU, torch.float32"
    assert str(layer.double().path(torch.randn(T, B, D).double())) == "fused: CPU, torch.float64"


class TestReference:
    @pytest.fixture(autouse=True)
    def _no_kernels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> None:
            raise AssertionError("the kernels ran")

        monkeypatch.setattr(stack_module, "forward", refuse)

    def test_half(self, layer: Any) -> None:
        layer, x = layer.half(), torch.randn(T, B, D, dtype=torch.float16)
        reason = "the kernels have float32, float64 and bfloat16, not torch.float16"
        assert layer.path(x) == Path("reference", reason)
        output, _ = layer(x)
        assert output.dtype == torch.float16

    def test_autocast_to_float16(self, layer: Any) -> None:
        x = torch.randn(T, B, D)
        with torch.autocast("cpu", dtype=torch.float16):
            reason = "autocast to torch.float16 is active; the kernels have bfloat16"
            assert layer.path(x) == Path("reference", reason)

    def test_autocast_of_what_it_leaves_alone(self, layer: Any) -> None:
        layer, x = layer.double(), torch.randn(T, B, D, dtype=torch.float64)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer.path(x) == Path("reference", "autocast is active, which leaves torch.float64 alone")

    def test_meta(self, layer: Any) -> None:
        layer, x = layer.to("meta"), torch.randn(T, B, D, device="meta")
        assert layer.path(x) == Path("reference", "a tensor is on meta; the kernels run on the CPU")
        assert layer(x)[0].shape == (T, B, 4)

    def test_transform(self, layer: Any) -> None:
        paths = []

        def call(x: torch.Tensor) -> torch.Tensor:
            paths.append(layer.path(x))
            return layer(x)[0]  # type: ignore[no-any-return]

        torch.func.vmap(call)(torch.randn(2, T, B, D))
        assert paths == [Path("reference", "a torch.func transform (vmap, grad, jvp …) is active")]

    def test_forward_mode(self, layer: Any) -> None:
        x = torch.randn(T, B, D)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, torch.ones_like(x))
            assert layer.path(dual) == Path("reference", "forward-mode differentiation is active")
            layer(dual)

    def test_subclass(self, layer: Any) -> None:
        class Tagged(torch.Tensor):
            pass

        x = torch.randn(T, B, D).as_subclass(Tagged)
        assert layer.path(x) == Path("reference", "a tensor is a Tagged")
        layer(x)

    @pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:`torch.jit:DeprecationWarning")
    @pytest.mark.parametrize("layer", ["LSTM", "GRU", "RNN"], indirect=True)
    def test_trace(self, layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        paths = []

        class Model(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: torch.Tensor) -> Any:
                paths.append(layer.path(x))
                return layer(x)[0]

        model, other = Model(), torch.randn(T, B, D)
        traced = torch.jit.trace(model, (torch.randn(T, B, D),), check_trace=False)
        assert paths == [Path("reference", "the call is traced for another runtime")]
        monkeypatch.undo()
        assert_same(traced(other), model(other))


def test_mixed_element_types() -> None:
    layer = LAYERS["LSTM"]()
    layer.weight_hh_l0 = torch.nn.Parameter(layer.weight_hh_l0.double())
    reason = "element types differ: torch.float32, torch.float64"
    assert layer.path(torch.randn(T, B, D)) == Path("reference", reason)


def test_sparse() -> None:
    path = LAYERS["LSTM"]().path(torch.randn(T, B, D).to_sparse())
    assert path == Path("reference", "a tensor's layout is torch.sparse_coo")


def test_a_path_raises_as_the_call_would() -> None:
    layer = Recurrent("gru", D, 4)
    for bad in (torch.randn(T, B, D + 1), "abc"):
        with pytest.raises(Exception) as call:  # noqa: PT011
            layer(bad)
        with pytest.raises(type(call.value)) as path:
            layer.path(bad)
        assert str(path.value) == str(call.value)


@pytest.mark.parametrize("name", LAYERS)
def test_parametrised_weights_run_fused(name: str) -> None:
    class Half(torch.nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight / 2

    layer, x = LAYERS[name](), torch.randn(T, B, D)
    key = "U_l0" if name == "Recurrent" else "weight_hh_l0"
    original = layer.get_parameter(key).detach().clone()
    parametrize.register_parametrization(layer, key, Half())
    assert layer.path(x).name == "fused"
    output, _ = layer(x)
    (d,) = torch.autograd.grad(output.sum(), [layer.parametrizations[key].original])
    parametrize.remove_parametrizations(layer, key, leave_parametrized=False)
    setattr(layer, key, torch.nn.Parameter(original / 2))
    plain, _ = layer(x)
    assert torch.equal(output, plain)
    torch.testing.assert_close(d, torch.autograd.grad(plain.sum(), [getattr(layer, key)])[0] / 2)
