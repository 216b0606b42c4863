"""Sides on torch: forward alone, or forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.bench.contest import Results, Side
from elman.bench.rows import Case

Forward = Callable[[], Tensor]


def side(
    module: torch.nn.Module,
    forward: Forward,
    case: Case,
    *,
    gradient: Tensor | None = None,
    steps: int | None = None,
    view: Callable[[Tensor], Tensor] = lambda output: output,
) -> Side:
    """The side of a case's mode.

    Args:
        module: whose gradients are taken.
        forward: gives the output of a call.
        case: mode and dtype are its.
        gradient: of the output, for training; `drawn` if None.
        steps: time steps over all sequences; T B if None.
        view: the output as both sides of a contest have it.
    """
    steps = steps or case.steps * case.batch
    if case.mode != "train":
        return _infer(forward, autocast(case), steps, view)
    return _train(module, forward, autocast(case), steps, view, drawn(forward) if gradient is None else gradient)


def _infer(
    forward: Forward, cast: AbstractContextManager[object], steps: int, view: Callable[[Tensor], Tensor]
) -> Side:
    def run() -> Tensor:
        with torch.no_grad(), cast:
            return forward()

    return Side(run, steps, lambda: {"output": array(view(run()))})


def _train(
    module: torch.nn.Module,
    forward: Forward,
    cast: AbstractContextManager[object],
    steps: int,
    view: Callable[[Tensor], Tensor],
    gradient: Tensor,
) -> Side:
    def run() -> Tensor:
        module.zero_grad()
        with cast:
            output = forward()
        output.backward(gradient.to(output.dtype))  # type: ignore[no-untyped-call]
        return output

    def results() -> Results:
        found = {"output": array(view(run()))}
        return found | {name: array(p.grad) for name, p in module.named_parameters() if p.grad is not None}

    return Side(run, steps, results)


def drawn(forward: Forward) -> Tensor:
    """A gradient of the output: the same numbers for every side of a case."""
    with torch.no_grad():
        shape = forward().shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def array(tensor: Tensor) -> NDArray[Any]:
    """A copy in float32."""
    copy: NDArray[Any] = tensor.detach().float().numpy().copy()
    return copy


def autocast(case: Case) -> AbstractContextManager[object]:
    """What a forward pass in the case's dtype runs under."""
    return torch.autocast("cpu", torch.bfloat16) if case.dtype == "bfloat16" else nullcontext()
