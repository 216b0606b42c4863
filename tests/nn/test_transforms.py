"""torch.func and forward mode over the layers: the values that plain autograd gives, one example at a time."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

from elman.nn import Recurrent
from tests.nn.layers import LAYERS, D, H, assert_same, gradients

T, B, N = 4, 2, 3


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Any:
    return LAYERS[request.param](num_layers=2, bidirectional=True).double()


@pytest.fixture
def xs() -> Tensor:
    return torch.randn(N, T, B, D, dtype=torch.float64)


def states(layer: Any, count: int) -> list[Tensor]:
    """`count` times the initial states of a layer."""
    names = 2 if isinstance(layer, (torch.nn.LSTM, Recurrent)) else 1
    return [torch.randn(count, 4, B, H, dtype=torch.float64) for _ in range(names)]


def call(layer: Any, x: Tensor, *begin: Tensor) -> tuple[Tensor, ...]:
    """Output and final states as tensors."""
    if isinstance(layer, Recurrent):
        output, state = layer(x, dict(zip(("h", "c"), begin, strict=True)) if begin else None)
        return output, *state.values()
    output, final = layer(x, None if not begin else begin if isinstance(layer, torch.nn.LSTM) else begin[0])
    return (output, *final) if isinstance(final, tuple) else (output, final)


class TestVmap:
    def test_over_inputs(self, layer: Any, xs: Tensor) -> None:
        found = vmap(lambda x: call(layer, x))(xs)
        for k in range(N):
            assert_same([part[k] for part in found], call(layer, xs[k]))

    def test_over_inputs_and_states(self, layer: Any, xs: Tensor) -> None:
        begin = states(layer, N)
        found = vmap(lambda x, *begin: call(layer, x, *begin))(xs, *begin)
        for k in range(N):
            assert_same([part[k] for part in found], call(layer, xs[k], *(state[k] for state in begin)))

    def test_over_another_axis_and_one_sequence(self, layer: Any, xs: Tensor) -> None:
        found = vmap(lambda x: call(layer, x)[0], in_dims=2, out_dims=1)(xs[0].unsqueeze(1))
        assert_same(found.squeeze(2), call(layer, xs[0])[0])

    def test_over_tokens(self, layer: Any) -> None:
        tokens = torch.randint(0, D, (N, T, B))
        found = vmap(lambda t: call(layer, t))(tokens)
        for k in range(N):
            assert_same([part[k] for part in found], call(layer, tokens[k]))

    def test_over_an_ensemble(self, xs: Tensor) -> None:
        members = [LAYERS["GRU"]().double() for _ in range(N)]
        weights, buffers = stack_module_state(members)
        found = vmap(lambda w, b, x: functional_call(members[0], (w, b), (x,))[0])(weights, buffers, xs)
        assert_same(found, torch.stack([member(x)[0] for member, x in zip(members, xs, strict=True)]))

    def test_of_the_gradient_of_each_example(self, layer: Any, xs: Tensor) -> None:
        weights = dict(layer.named_parameters())

        def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            output, _ = functional_call(layer, weights, (x,))
            return output.square().sum()

        found = vmap(grad(loss), in_dims=(None, 0))(weights, xs)
        for k in range(N):
            expected = torch.autograd.grad(layer(xs[k])[0].square().sum(), list(weights.values()))
            assert_same([found[name][k] for name in weights], expected)


class TestGradients:
    def test_grad_and_vjp(self, layer: Any, xs: Tensor) -> None:
        x, d = xs[0].clone().requires_grad_(), torch.randn(T, B, 2 * H, dtype=torch.float64)
        (expected,) = torch.autograd.grad(layer(x)[0], [x], d)
        assert_same(grad(lambda x: (layer(x)[0] * d).sum())(xs[0]), expected)
        output, pull = vjp(lambda x: layer(x)[0], xs[0])
        assert_same(output, layer(xs[0])[0])
        assert_same(pull(d)[0], expected)

    def test_functional_call_runs_fused_with_other_weights(self, layer: Any, xs: Tensor) -> None:
        weights = {name: (0.5 * p).detach().requires_grad_() for name, p in layer.named_parameters()}
        found = functional_call(layer, weights, (xs[0],))
        d_found = gradients(found[0], list(weights.values()))
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.mul_(0.5)
        expected = layer(xs[0])
        assert torch.equal(found[0], expected[0])
        assert all(
            torch.equal(a, r) for a, r in zip(d_found, gradients(expected[0], list(layer.parameters())), strict=True)
        )

    def test_jacobians_both_ways(self, xs: Tensor) -> None:
        for name in LAYERS:
            layer = LAYERS[name]().double()
            x = xs[0, :2, :1]

            def output(x: Tensor, layer: Any = layer) -> Tensor:
                return layer(x)[0]  # type: ignore[no-any-return]

            expected = torch.autograd.functional.jacobian(output, x)
            assert_same(jacrev(output)(x), expected)
            assert_same(jacfwd(output)(x), expected)

    def test_hessian(self, xs: Tensor) -> None:
        layer, x = LAYERS["Recurrent"]().double(), xs[0, :2, :1]

        def loss(x: Tensor) -> Tensor:
            return layer(x)[0].square().sum()  # type: ignore[no-any-return]

        assert_same(hessian(loss)(x), torch.autograd.functional.hessian(loss, x))


class TestForwardMode:
    def test_jvp_is_the_transpose_of_vjp(self, layer: Any, xs: Tensor) -> None:
        x, v = xs[0], xs[1]
        output, tangent = jvp(lambda x: layer(x)[0], (x,), (v,))
        d = torch.randn_like(output)
        (pulled,) = vjp(lambda x: layer(x)[0], x)[1](d)
        assert_same((tangent * d).sum(), (v * pulled).sum())

    def test_dual_numbers_in_inputs_weights_and_states(self, layer: Any, xs: Tensor) -> None:
        x, v, h = xs[0], xs[1], 1e-6
        parameter = next(layer.parameters())
        w, weights = torch.randn_like(parameter), dict(layer.named_parameters())
        name = next(iter(weights))

        def at(step: float) -> Tensor:
            moved = {**weights, name: parameter.detach() + step * w}
            return functional_call(layer, moved, (x + step * v,))[0].detach()  # type: ignore[no-any-return]

        with forward_ad.dual_level():
            dual = {**weights, name: forward_ad.make_dual(parameter.detach(), w)}
            output, _ = functional_call(layer, dual, (forward_ad.make_dual(x, v),))
            tangent = forward_ad.unpack_dual(output).tangent
        torch.testing.assert_close(tangent, (at(h) - at(-h)) / (2 * h), rtol=1e-6, atol=1e-8)

    def test_float32_too(self) -> None:
        # Torch's own LSTM has no forward mode in float32.
        layer, x = LAYERS["LSTM"](), torch.randn(T, B, D)
        double = copy.deepcopy(layer).double()
        output, tangent = jvp(lambda x: layer(x)[0], (x,), (x,))
        _, expected = jvp(lambda x: double(x)[0], (x.double(),), (x.double(),))
        torch.testing.assert_close(tangent.double(), expected, rtol=1e-5, atol=1e-6)
        assert output.dtype == torch.float32


def test_bad_input_under_a_transform_gives_the_usual_error() -> None:
    x, lstm, recurrent = torch.randn(N, T, B, D + 1), LAYERS["LSTM"](), LAYERS["Recurrent"]()
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size. Expected 3, got 4"):
        vmap(lambda x: lstm(x)[0])(x)
    with pytest.raises(ValueError, match="input must end in 3 features"):
        vmap(lambda x: recurrent(x)[0])(x)
