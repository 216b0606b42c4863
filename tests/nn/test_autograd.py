"""Autograd around the fused operation: parts of gradients, twice, checkpoints, and the gradient's own gradient."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import elman.nn
from elman.equations import cell, tanh
from elman.nn import Recurrent
from elman.nn.paths import fused
from elman.sequences import Ragged
from tests.nn.layers import KINDS, LAYERS, D, H, assert_same, gradients, pair, tensors_of

T, B = 5, 2


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Any:
    return LAYERS[request.param](num_layers=2, bidirectional=True)


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the fused backward is asked for, call by call: [wanted, …]."""
    calls, run = [], fused.buffers.backward
    monkeypatch.setattr(fused.buffers, "backward", lambda *args: calls.append(args[-1]) or run(*args))
    return calls


class TestParts:
    def test_only_some_sources(self, layer: Any, backwards: list[Any]) -> None:
        x = torch.randn(T, B, D, requires_grad=True)
        sources = [x, *layer.parameters()]
        every = gradients(layer(x), sources)
        for k in range(0, len(sources), 3):
            assert torch.equal(gradients(layer(x), sources[k : k + 1])[0], every[k])

    def test_frozen_parameters_cost_nothing_and_get_nothing(self, backwards: list[Any]) -> None:
        layer, x = Recurrent("lstm", D, H), torch.randn(T, B, D, requires_grad=True)
        expected = gradients(layer(x), [x, layer.U_l0])
        layer.W_l0.requires_grad_(False)
        layer.b_l0.requires_grad_(False)
        del backwards[:]
        found = gradients(layer(x), [x, layer.U_l0])
        assert all(torch.equal(a, r) for a, r in zip(found, expected, strict=True))
        assert backwards == [[True, False, False, False, True, False]]  # x, h, c, W, U, b
        layer(x)[0].sum().backward()
        assert layer.W_l0.grad is None
        assert layer.U_l0.grad is not None

    def test_a_frozen_layer_below_a_trained_one_passes_no_gradient_down(self, backwards: list[Any]) -> None:
        layer = Recurrent("gru", D, H, 2)
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(name.endswith("_l1"))
        layer(torch.randn(T, B, D))[0].sum().backward()
        assert len(backwards) == 1
        assert backwards[0][0] is False
        assert layer.U_l1.grad is not None

    def test_everything_frozen_keeps_nothing(self, layer: Any) -> None:
        output, _ = layer.requires_grad_(False)(torch.randn(T, B, D))
        assert not output.requires_grad

    def test_final_states_alone(self, layer: Any) -> None:
        x = torch.randn(T, B, D, requires_grad=True)
        for final in tensors_of(layer(x)[1]):
            (d,) = torch.autograd.grad(final.sum(), [x], retain_graph=True)
            assert d.abs().max() > 0

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_no_graph_is_made(self, layer: Any, mode: Any) -> None:
        x = torch.randn(T, B, D, requires_grad=True)
        expected = layer(x)
        with mode():
            found = layer(x)
        for a, r in zip(tensors_of(found), tensors_of(expected), strict=True):
            assert not a.requires_grad
            assert torch.equal(a, r)

    def test_gradients_accumulate(self, layer: Any) -> None:
        x = torch.randn(T, B, D)
        for _ in range(2):
            layer(x)[0].sum().backward()
        twice = [p.grad.clone() for p in layer.parameters()]
        layer.zero_grad()
        layer(x)[0].sum().backward()
        for a, p in zip(twice, layer.parameters(), strict=True):
            torch.testing.assert_close(a, 2 * p.grad, rtol=1e-6, atol=0.0)


class TestGraph:
    def test_retained_graph_twice(self, layer: Any) -> None:
        x = torch.randn(T, B, D, requires_grad=True)
        output, _ = layer(x)
        first = torch.autograd.grad(output.sum(), [x, *layer.parameters()], retain_graph=True)
        second = torch.autograd.grad(output.sum(), [x, *layer.parameters()])
        assert all(torch.equal(a, r) for a, r in zip(first, second, strict=True))
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            torch.autograd.grad(output.sum(), [x])

    @pytest.mark.parametrize("name", LAYERS)
    @pytest.mark.parametrize("what", ["input", "weight"])
    def test_a_saved_tensor_that_is_changed(self, name: str, what: str) -> None:
        layer, x = LAYERS[name](), torch.randn(T, B, D)
        output, _ = layer(x)
        with torch.no_grad():
            {"input": x, "weight": next(layer.parameters())}[what].mul_(2.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()

    def test_a_state_may_be_changed_in_place(self, layer: Any) -> None:
        # Only the steps are saved: a final state is the caller's own.
        x = torch.randn(T, B, D)
        output, state = layer(x)
        expected = gradients(output, list(layer.parameters()))
        output, state = layer(x)
        with torch.no_grad():
            for final in tensors_of(state):
                final.zero_()
        assert all(
            torch.equal(a, r) for a, r in zip(gradients(output, list(layer.parameters())), expected, strict=True)
        )

    @pytest.mark.parametrize("use_reentrant", [False, True])
    def test_checkpoints(self, layer: Any, use_reentrant: bool) -> None:
        x = torch.randn(T, B, D, requires_grad=True)
        expected = gradients(layer(x)[0], [x, *layer.parameters()])
        output = checkpoint(lambda x: layer(x)[0], x, use_reentrant=use_reentrant)
        weighing = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
        (output * weighing).sum().backward()
        for a, r in zip([x, *layer.parameters()], expected, strict=True):
            torch.testing.assert_close(a.grad, r, rtol=1e-5, atol=1e-6)

    def test_saved_tensors_hooks_see_what_is_saved(self, layer: Any) -> None:
        x, packed = torch.randn(T, B, D), []

        def pack(tensor: Tensor) -> Tensor:
            packed.append(tensor)
            return tensor.clone()

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output, _ = layer(x)
        assert packed
        expected = gradients(layer(x)[0], list(layer.parameters()))
        found = gradients(output, list(layer.parameters()))
        assert all(torch.equal(a, r) for a, r in zip(found, expected, strict=True))

    def test_nothing_is_kept_alive_by_a_finished_backward(self) -> None:
        class Box:
            def __init__(self, tensor: Tensor) -> None:
                self.tensor = tensor

        boxes: weakref.WeakSet[Box] = weakref.WeakSet()

        def pack(tensor: Tensor) -> Box:
            box = Box(tensor)
            boxes.add(box)
            return box

        layer, x = Recurrent("lstm", D, H), torch.randn(T, B, D)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
            output, _ = layer(x)
        assert boxes
        output.sum().backward()
        gc.collect()
        assert not boxes


@cell(states="h c")
def tied(x, h, c, W, U):  # type: ignore[no-untyped-def]
    """Two matrices of one size, which a module may tie; a state that no output shows."""
    c = 0.5 * c + 0.5 * tanh(U @ h)
    h = tanh(W @ x + c)
    return h, c


class TestTwice:
    """The gradient's gradient goes through the reference; the first gradient is the fused one to rounding."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}])
    def test_torchs_layers_by_differences(self, kind: type[torch.nn.Module], options: dict[str, Any]) -> None:
        _, layer = pair(kind, 2, 2, dtype=torch.float64, **options)
        x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)

        def call(x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
            return tuple(tensors_of(layer(x)))

        assert torch.autograd.gradcheck(call, (x, *layer.parameters()), fast_mode=True)
        assert torch.autograd.gradgradcheck(call, (x, *layer.parameters()), nondet_tol=1e-12, fast_mode=True)

    @pytest.mark.parametrize("of", ["layer_norm_lstm", "projected_lstm", "antisymmetric", "min_gru", tied])
    def test_recurrent_by_differences(self, of: Any) -> None:
        layer = Recurrent(of, 2, 2, sizes={"P": 2} if of == "projected_lstm" else None).double()
        x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
        state = {p.name: torch.randn(1, 2, 2, dtype=torch.float64, requires_grad=True) for p in layer.graph.states}

        def call(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            return tuple(tensors_of(layer(x, dict(zip(state, rest, strict=False)))))

        everything = (x, *state.values(), *layer.parameters())
        assert torch.autograd.gradgradcheck(call, everything, nondet_tol=1e-12, fast_mode=True)

    @pytest.mark.parametrize("form", ["ragged", "tokens", "batch_first"])
    def test_forms_by_differences(self, form: str) -> None:
        layer = Recurrent("gru", 2, 2, batch_first=form == "batch_first", bidirectional=True).double()
        x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
        tokens = torch.tensor([[0, 1], [1, 1]])

        def call(x: Tensor, *_: Tensor) -> Tensor:
            if form == "ragged":
                return layer(Ragged.from_lengths(x, [3, 0, 1]))[0].values  # type: ignore[no-any-return]
            return layer(tokens if form == "tokens" else x.view(2, 2, 2))[0]  # type: ignore[no-any-return]

        assert (
            torch.autograd.gradgradcheck(call, (x, *layer.parameters()), nondet_tol=1e-12, fast_mode=True)
            or form == "tokens"
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_gradient_penalty_is_torchs(self, kind: type[torch.nn.Module]) -> None:
        found = []
        for layer in pair(kind, D, H, dtype=torch.float64):
            x = torch.linspace(-1, 1, T * B * D, dtype=torch.float64).view(T, B, D).requires_grad_()
            output, _ = layer(x)
            (d,) = torch.autograd.grad(output.square().sum(), [x], create_graph=True)
            (output.sum() + d.square().sum()).backward()
            found.append([d.detach(), x.grad, *(p.grad for p in layer.parameters())])
        assert_same(found[1], found[0])

    def test_tied_weights_have_each_use_counted_once(self) -> None:
        layer = Recurrent(tied, H, H).double()
        layer.U_l0 = layer.W_l0
        x = torch.randn(T, B, H, dtype=torch.float64)
        (once,) = torch.autograd.grad(layer(x)[0].sum(), [layer.W_l0])
        (twice,) = torch.autograd.grad(layer(x)[0].sum(), [layer.W_l0], create_graph=True)
        assert_same(twice.detach(), once)
        state = torch.randn(1, B, H, dtype=torch.float64, requires_grad=True)
        (once,) = torch.autograd.grad(layer(x, {"h": state, "c": state})[0].sum(), [state])
        (twice,) = torch.autograd.grad(layer(x, {"h": state, "c": state})[0].sum(), [state], create_graph=True)
        assert_same(twice.detach(), once)

    def test_no_steps(self) -> None:
        layer = Recurrent("lstm", D, H)
        h = torch.randn(1, B, H, requires_grad=True)
        _, state = layer(torch.randn(0, B, D), {"h": h, "c": h.detach()})
        found = torch.autograd.grad(state["h"].sum(), [h, layer.U_l0], create_graph=True, allow_unused=True)
        assert torch.equal(found[0], torch.ones_like(h))
        assert found[1] is None or not found[1].any()

    def test_frozen_parameters(self) -> None:
        layer = elman.nn.GRU(D, H)
        layer.weight_ih_l0.requires_grad_(False)
        x = torch.randn(T, B, D, requires_grad=True)
        (d,) = torch.autograd.grad(layer(x)[0].sum(), [x], create_graph=True)
        d.square().sum().backward()
        assert layer.weight_ih_l0.grad is None
        assert layer.weight_hh_l0.grad.abs().max() > 0
