"""Many adjoints at once: `is_grads_batched`, vectorised Jacobians and torch.func give what torch's layers give.

Forward has run on the kernels then; the adjoints come batched, and backward goes through the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian
from torch.func import grad, jacfwd, jacrev, vmap
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.nn.utils.rnn import pack_sequence

import elman.nn
from elman.nn import Recurrent
from elman.nn.functional import linear_cross_entropy
from tests.nn.layers import KINDS, D, H, assert_same, pair

T, B, K = 4, 2, 3


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def batched_and_one_by_one(value: Tensor, sources: list[Tensor]) -> None:
    """Assert that K adjoints at once give what each gives by itself."""
    d = torch.randn(K, *value.shape, dtype=value.dtype)
    found = torch.autograd.grad(value, sources, d, is_grads_batched=True, retain_graph=True)
    for k in range(K):
        assert_same([g[k] for g in found], torch.autograd.grad(value, sources, d[k], retain_graph=True))


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["plain", "stack"])
@pytest.mark.parametrize("kind", KINDS)
def test_torchs_layers(kind: type[torch.nn.Module], options: dict[str, Any]) -> None:
    theirs, ours = pair(kind, D, H, dtype=torch.float64, **options)
    x = leaf(T, B, D)
    batched_and_one_by_one(ours(x)[0], [x, *ours.parameters()])
    d = torch.randn(K, *ours(x)[0].shape, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(layer(x)[0], [x, *layer.parameters()], d, is_grads_batched=True) for layer in (ours, theirs)
    )
    assert_same(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_jacobians_and_hessians_are_torchs(kind: type[torch.nn.Module]) -> None:
    theirs, ours = pair(kind, D, H, dtype=torch.float64)
    x = torch.randn(T, B, D, dtype=torch.float64)
    expected = jacobian(lambda x: theirs(x)[0], x)
    assert_same(jacobian(lambda x: ours(x)[0], x, vectorize=True), expected)
    assert_same(jacobian(lambda x: ours(x)[0], x, vectorize=True, strategy="forward-mode"), expected)
    assert_same(jacrev(lambda x: ours(x)[0])(x), expected)
    assert_same(jacfwd(lambda x: ours(x)[0])(x), expected)
    expected = hessian(lambda x: theirs(x)[0].square().sum(), x)
    for mode in ("reverse-mode", "forward-mode"):
        found = hessian(lambda x: ours(x)[0].square().sum(), x, vectorize=True, outer_jacobian_strategy=mode)
        assert_same(found, expected)
    assert_same(torch.func.hessian(lambda x: ours(x)[0].square().sum())(x), expected)


@pytest.mark.parametrize("checkpoint", [None, 2])
def test_any_cell_from_states_packed_and_with_tokens(checkpoint: int | None) -> None:
    layer = Recurrent("layer_norm_lstm", D, H, 2, checkpoint=checkpoint, dtype=torch.float64)
    x, begin = leaf(6, D), {name: leaf(2, B, H) for name in "hc"}
    packed = pack_sequence(list(x.split(3)))
    batched_and_one_by_one(layer(packed, begin)[0].data, [x, *begin.values(), *layer.parameters()])
    batched_and_one_by_one(layer(packed, begin)[1]["c"], [x, begin["h"], *layer.parameters()])
    batched_and_one_by_one(layer(torch.randint(0, D, (T, B)), begin)[0], [*begin.values(), layer.U_l0])


def _losses(reduction: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    targets = torch.tensor([0, 4, -100, 6, 2, 2])

    def ours(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return linear_cross_entropy(x, w, b, targets, reduction=reduction, label_smoothing=0.1)

    def theirs(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        logits = torch.nn.functional.linear(x, w, b)
        return torch.nn.functional.cross_entropy(logits, targets, reduction=reduction, label_smoothing=0.1)

    return ours, theirs


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(reduction: str) -> None:
    ours, theirs = _losses(reduction)
    sources = [leaf(6, 5), leaf(7, 5), leaf(7)]
    batched_and_one_by_one(ours(*sources), sources)
    x, w, b = (source.detach() for source in sources)
    expected = jacobian(theirs, (x, w, b))
    assert_same(jacobian(ours, (x, w, b), vectorize=True), expected)
    assert_same(jacrev(ours, (0, 1, 2))(x, w, b), expected)
    assert_same(jacfwd(ours, (0, 1, 2))(x, w, b), expected)
    rows, shared = torch.randn(K, 6, 5, dtype=torch.float64), (w, b)
    found = vmap(grad(lambda x: ours(x, *shared).sum()))(rows)
    assert_same(found, torch.stack([grad(lambda x: theirs(x, *shared).sum())(row) for row in rows]))
    expected = hessian(lambda w: theirs(x, w, b).sum(), w)
    assert_same(hessian(lambda w: ours(x, w, b).sum(), w, vectorize=True), expected)
    assert_same(torch.func.hessian(lambda w: ours(x, w, b).sum())(w), expected)


def test_linear() -> None:
    layer, x = elman.nn.Linear(5, 7).double(), leaf(6, 5)
    batched_and_one_by_one(layer(x), [x, layer.weight, layer.bias])

    def theirs(x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, layer.weight, layer.bias).square()

    value = x.detach()
    expected = jacobian(theirs, value)
    assert_same(jacobian(lambda x: layer(x).square(), value, vectorize=True), expected)
    assert_same(jacrev(lambda x: layer(x).square())(value), expected)
    assert_same(jacfwd(lambda x: layer(x).square())(value), expected)
    assert_same(
        hessian(lambda x: layer(x).square().sum(), value, vectorize=True), hessian(lambda x: theirs(x).sum(), value)
    )


@pytest.mark.parametrize("kind", [*KINDS, Recurrent, torch.nn.Linear])
def test_gradients_of_each_example(kind: Any) -> None:
    """As differentially private training takes them: functional_call, grad, vmap over the examples."""
    if kind is Recurrent:
        layer: Any = Recurrent("gru", D, H, batch_first=True, dtype=torch.float64)
    else:
        options = {} if kind is torch.nn.Linear else {"batch_first": True}
        layer = getattr(elman.nn, kind.__name__)(D, H, **options).double()
    weights = {name: p.detach() for name, p in layer.named_parameters()}
    examples, targets = torch.randn(K, T, D, dtype=torch.float64), torch.randn(K, T, H, dtype=torch.float64)

    def loss(weights: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
        output = torch.func.functional_call(layer, weights, (x.unsqueeze(0),))
        output = output if isinstance(output, Tensor) else output[0]
        return (output.squeeze(0) - target).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0, 0))(weights, examples, targets)
    for k in range(K):
        value = loss(dict(layer.named_parameters()), examples[k], targets[k])
        expected = torch.autograd.grad(value, list(layer.parameters()))
        assert_same([found[name][k] for name in weights], expected)


@pytest.mark.parametrize("kind", [*KINDS, torch.nn.Linear])
def test_torchs_own_gradients_of_each_example(kind: Any) -> None:
    """`call_for_per_sample_grads` puts weights of its own type in; what torch's layers do with them, ours do."""
    found = []
    x = torch.randn(K, T, D, dtype=torch.float64)
    options = {} if kind is torch.nn.Linear else {"batch_first": True}
    theirs = kind(D, H, **options).double()
    ours = getattr(elman.nn, kind.__name__)(D, H, **options).double()
    ours.load_state_dict(theirs.state_dict())
    for layer in (theirs, ours):
        output = call_for_per_sample_grads(layer)(x)
        (output if isinstance(output, Tensor) else output[0]).square().sum().backward()
        found.append([parameter.grad_sample for parameter in layer.parameters()])
    assert_same(found[1], found[0])
