"""One direction of a layer on the kernels, as an operation that autograd and torch.compile know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.nn._library import operation
from elman.nn.call import SCHEMA, Call
from elman.nn.paths import _buffers as buffers
from elman.nn.paths.choice import back_by_reference, is_exported
from elman.nn.paths.reference import reference


def forward(call: Call) -> tuple[Tensor, list[Tensor]]:
    """Output [N, size] and final states [B, size] of one direction of a layer."""
    results = Fused.apply(*call.spread()) if is_learning(call.tensors) else _forward(call, False)  # type: ignore[no-untyped-call]
    return results[0], list(results[1:])


def is_learning(tensors: Sequence[Tensor | None]) -> bool:
    """Whether a gradient of one of them may be asked for; not of what is traced for another runtime."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors) and not is_exported()


class Fused(torch.autograd.Function):
    """The fused forward with its fused backward; differentiated twice, it goes through the reference."""

    @staticmethod
    def forward(ctx: Any, *spread: Any) -> tuple[Tensor, ...]:
        """Run, and keep what the gradient needs."""
        call = Call.gather(*spread)
        output, finals, kept = _run(call)
        return keep(ctx, call, kept, output), *finals

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Any, ...]:
        """Gradients of all tensors."""
        return gradients(ctx, d_results, _run, _backward)


def _run(call: Call) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, final states, and what backward reads."""
    (output, *others), (_, states) = _forward(call, True), call.counts
    return output, others[:states], [output, *others[states:]]


def keep(ctx: Any, call: Call, kept: Sequence[Tensor], output: Tensor) -> Tensor:
    """Keep a call for its backward, and what this reads besides. Gives the output that callers may write into.

    Where that is among what is kept, autograd would refuse to go on after a write. So it is kept under another name,
    without its count of writes; backward looks at that, see `gradients`. Compiled graphs have no counts: they copy.
    """
    ctx.fixed, ctx.count = (call.key, call.plan, call.counts, len(call.tensors)), None
    shown, among = output, any(part is output for part in kept)
    if among and torch.compiler.is_compiling():
        shown = output.clone()
    elif among:
        kept = [part.data if part is output else part for part in kept]
        ctx.count, ctx.written = output.detach(), output._version
        ctx.count.data = _NOTHING  # leaves the count alone
    ctx.save_for_backward(call.edges, call.tokens, *call.tensors, *kept)
    ctx.set_materialize_grads(False)
    return shown


_NOTHING = torch.empty(0)


def gradients(
    ctx: Any, d_results: Sequence[Tensor | None], run: Callable[[Call], Any], backward: Callable[..., list[Tensor]]
) -> tuple[Any, ...]:
    """What a function's backward gives.

    By the kernels, from what was kept or, where the output has been written into, from what `run` makes again. To be
    differentiated again, or of many adjoints at once (vmap), through the reference.
    """
    key, plan, counts, behind = ctx.fixed
    edges, tokens, *rest = ctx.saved_tensors
    call, wanted = Call(key, plan, edges, tokens, counts, rest[:behind]), list(ctx.needs_input_grad[-behind:])
    found: Sequence[Tensor | None]
    if back_by_reference(d_results):
        found = again(call, d_results, wanted)
    else:
        kept = rest[behind:]
        if ctx.count is not None and ctx.count._version != ctx.written:
            *_, kept = run(call)
        found = backward(call, kept, list(d_results), wanted)
    others = [None] * (len(ctx.needs_input_grad) - behind)
    return *others, *(gradient if want else None for gradient, want in zip(found, wanted, strict=True))


def again(call: Call, d_results: Sequence[Tensor | None], wanted: Sequence[bool]) -> list[Tensor | None]:
    """Gradients through the reference, from the saved inputs, that can be differentiated again if autograd asks."""
    # Views, so that a tensor that stands in two places has a gradient for each.
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        places = [None if tensor is None else tensor.view_as(tensor) for tensor in call.tensors]
        output, finals = reference(call._replace(tensors=places))
    pairs = [(r, d) for r, d in zip([output, *finals], d_results, strict=True) if d is not None and r.requires_grad]
    sources = [place for place, want in zip(places, wanted, strict=True) if want and place is not None]
    if not pairs:
        return [None] * len(places)
    results, d = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(results, sources, d, create_graph=create, allow_unused=True))
    return [next(found) if want and place is not None else None for place, want in zip(places, wanted, strict=True)]


_forward = operation(
    f"forward({SCHEMA}, bool training) -> Tensor[]",
    lambda *args: buffers.forward(*args),
    buffers.fake_forward,
    Call,
)
_backward = operation(
    f"backward({SCHEMA}, Tensor[] kept, Tensor?[] d_results, bool[] wanted) -> Tensor[]",
    lambda *args: buffers.backward(*args),
    buffers.fake_backward,
    Call,
)
