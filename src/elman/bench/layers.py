"""LSTM, GRU and Elman over dense batches: elman.nn, torch.nn, and the same weights in other runtimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import elman.nn
from elman.bench.contest import Contest, Refused, Results, Side
from elman.bench.options import Options
from elman.bench.rows import Case

GATES = {"lstm": 4, "gru": 3, "elman": 1}
TORCH: dict[str, Callable[[int, int], torch.nn.RNNBase]] = {
    "lstm": torch.nn.LSTM,
    "gru": torch.nn.GRU,
    "elman": torch.nn.RNN,
}
OURS: dict[str, Callable[[int, int], elman.nn.LSTM | elman.nn.GRU | elman.nn.RNN]] = {
    "lstm": elman.nn.LSTM,
    "gru": elman.nn.GRU,
    "elman": elman.nn.RNN,
}

_STEPS = 100
_FEWEST_STEPS = 20
_LONGEST = 8e9  # operations of a forward pass; larger cases get fewer steps

Forward = Callable[[], Tensor]


def cases(options: Options) -> list[Case]:
    """The grid."""
    return [
        Case("layers", cell, mode, hidden, batch, options.steps or steps_for(cell, hidden, batch), dtype, threads)
        for threads in options.threads
        for dtype in options.dtypes
        for cell in options.cells
        for hidden in options.hidden
        for batch in options.batch
        for mode in options.modes
    ]


def steps_for(cell: str, hidden_size: int, batch: int) -> int:
    """A hundred steps, and fewer where these would take long."""
    each = operations(cell, "infer", hidden_size, hidden_size, batch)
    return max(_FEWEST_STEPS, min(_STEPS, int(_LONGEST / each)))


def operations(cell: str, mode: str, input_size: int, hidden_size: int, rows: int) -> float:
    """Floating-point operations of the matrix products over `rows` steps of sequences, an FMA counted as two.

    Forward: W x and U h. Training besides: their weights' gradients and that of h; the input needs none.
    """
    products = input_size + hidden_size
    if mode == "train":
        products += input_size + 2 * hidden_size
    return 2.0 * rows * GATES[cell] * hidden_size * products


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """Both sides with the same weights on the same input."""
    torch.manual_seed(0)
    size = case.hidden_size
    theirs, ours = TORCH[case.cell](size, size), OURS[case.cell](size, size)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(case.steps, case.batch, size)
    make = train if case.mode == "train" else infer
    rows = case.steps * case.batch
    with _autocast(case):
        path = ours.path(x)
    if path.name != "fused":
        raise Refused(f"ours takes the {path}")
    return Contest(
        case,
        ours=make(ours, lambda: ours(x)[0], case),
        peers={"torch": make(theirs, lambda: theirs(x)[0], case)},
        operations=operations(case.cell, case.mode, size, size, rows),
    )


def infer(module: torch.nn.Module, forward: Forward, case: Case, steps: int | None = None) -> Side:
    """Forward without gradients."""
    cast = _autocast(case)

    def run() -> Tensor:
        with torch.no_grad(), cast:
            return forward()

    return Side(run, lambda: {"output": array(run())}, steps or case.steps * case.batch)


def train(
    module: torch.nn.Module, forward: Forward, case: Case, steps: int | None = None, gradient: Tensor | None = None
) -> Side:
    """Forward and backward from a gradient of the output that is given (drawn, if None); the input needs none."""
    cast = _autocast(case)
    if gradient is None:
        with torch.no_grad():
            shape = forward().shape
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def run() -> Tensor:
        module.zero_grad()
        with cast:
            output = forward()
        output.backward(gradient.to(output.dtype))  # type: ignore[no-untyped-call]
        return output

    def results() -> Results:
        found = {"output": array(run())}
        return found | {n: array(p.grad) for n, p in module.named_parameters() if p.grad is not None}

    return Side(run, results, steps or case.steps * case.batch)


def array(tensor: Tensor) -> NDArray[np.floating]:
    """A copy in float32."""
    copy: NDArray[np.floating] = tensor.detach().float().numpy().copy()
    return copy


def _autocast(case: Case) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16) if case.dtype == "bfloat16" else nullcontext()
