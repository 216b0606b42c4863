"""One direction of a layer on the kernels, as an operation that autograd and torch.compile know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.nn._library import operation
from elman.nn.paths import _buffers as buffers
from elman.nn.paths.reference import reference
from elman.nn.plans import PlanSpec
from elman.nn.spec import LayerSpec, key_with, spec_of


def forward(
    spec: LayerSpec,
    plan: PlanSpec,
    tokens: Tensor | None,
    inputs: Sequence[Tensor],
    initial: Sequence[Tensor | None],
    weights: Sequence[Tensor],
    bfloat16: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Output [N, size] and final states [B, size] of one direction of a layer.

    Args:
        spec: the cell at its sizes.
        plan: how rows make sequences.
        tokens: int64 [N] in place of the first input, each standing for a one-hot row, or None.
        inputs: float [N, size] for each (other) input of the cell.
        initial: [B, size] for each state, or None for the cell's own start.
        weights: the slots of `elman.cells.layout`, then derived parameters (`LayerSpec.derive`).
        bfloat16: whether the factors of products are rounded to it; all tensors are float32 then.
    """
    edges, tensors, key = plan.tensor, [*inputs, *initial, *weights], key_with(spec.key, bfloat16)
    if is_learning(tensors):
        numbers = (len(inputs), len(initial))
        results = Fused.apply(key, plan.numbers, edges, tokens, *numbers, *tensors)  # type: ignore[no-untyped-call]
    else:
        results = _forward(key, plan.numbers, edges, tokens, list(inputs), list(initial), list(weights), False)
    return results[0], list(results[1:])


def is_learning(tensors: Sequence[Tensor | None]) -> bool:
    """Whether a gradient of one of them may be asked for."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


class Fused(torch.autograd.Function):
    """The fused forward with its fused backward; differentiated twice, it goes through the reference."""

    @staticmethod
    def forward(
        ctx: Any, key: str, numbers: list[int], edges: Tensor | None, tokens: Tensor | None, n_inputs: int,
        n_initial: int, *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Run, and keep what the gradient needs."""
        inputs, initial, weights = split(tensors, n_inputs, n_initial)
        results = _forward(key, numbers, edges, tokens, inputs, initial, weights, True)
        count = 1 + n_initial
        ctx.key, ctx.numbers, ctx.counts = key, numbers, (n_inputs, n_initial)
        ctx.save_for_backward(edges, tokens, *tensors, results[0], *results[count:])
        ctx.set_materialize_grads(False)
        return tuple(results[:count])

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Any, ...]:
        """Gradients of all tensors."""
        n_inputs, n_initial = ctx.counts
        edges, tokens, *rest = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[6:])
        tensors, kept = rest[: len(wanted)], rest[len(wanted) :]
        if torch.is_grad_enabled():
            gradients = again(ctx.key, ctx.numbers, edges, tokens, tensors, ctx.counts, d_results, wanted)
        else:
            inputs, initial, weights = split(tensors, n_inputs, n_initial)
            found = _backward(
                ctx.key, ctx.numbers, edges, tokens, inputs, initial, weights, kept, list(d_results), wanted
            )
            gradients = [g if want else None for g, want in zip(found, wanted, strict=True)]
        return (None,) * 6 + tuple(gradients)


def split(tensors: Sequence[Any], n_inputs: int, n_initial: int) -> tuple[list[Any], list[Any], list[Any]]:
    """A list of what belongs to inputs, initial states and weights, in these three parts."""
    behind = n_inputs + n_initial
    return list(tensors[:n_inputs]), list(tensors[n_inputs:behind]), list(tensors[behind:])


def again(
    key: str, numbers: list[int], edges: Tensor | None, tokens: Tensor | None, tensors: Sequence[Tensor | None],
    counts: tuple[int, int], d_results: Sequence[Tensor | None], wanted: Sequence[bool],
) -> list[Tensor | None]:  # fmt: skip
    """Gradients that can be differentiated again: through the reference, from the saved inputs."""
    # Views, so that a tensor that stands in two places has a gradient for each.
    places = [None if tensor is None else tensor.view_as(tensor) for tensor in tensors]
    inputs, initial, weights = split(places, *counts)
    output, finals = reference(spec_of(key), PlanSpec.of(numbers, edges), tokens, inputs, initial, weights)
    pairs = [(r, d) for r, d in zip([output, *finals], d_results, strict=True) if d is not None and r.requires_grad]
    sources = [place for place, want in zip(places, wanted, strict=True) if want and place is not None]
    if not pairs:
        return [None] * len(places)
    results, d = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(results, sources, d, create_graph=True, allow_unused=True))
    return [next(found) if want and place is not None else None for place, want in zip(places, wanted, strict=True)]


COMMON = "str key, SymInt[] plan, Tensor? edges, Tensor? tokens, Tensor[] inputs, Tensor?[] initial, Tensor[] weights"
_forward = operation(
    f"forward({COMMON}, bool training) -> Tensor[]", lambda *args: buffers.forward(*args), buffers.fake_forward
)
_backward = operation(
    f"backward({COMMON}, Tensor[] kept, Tensor?[] d_results, bool[] wanted) -> Tensor[]",
    lambda *args: buffers.backward(*args),
    buffers.fake_backward,
)
