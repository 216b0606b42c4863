"""Exact gradients through long sequences in bounded memory.

Time is cut into segments. Forward keeps the states with which each begins; backward takes the segments from the last to
the first, makes what its steps need again, and carries the adjoints of the states from each to the one before it.
Reference: Chen et al. 2016, arXiv:1604.06174, section 4.1, with √T segments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.errors import ConfigError
from elman.nn._library import operation
from elman.nn._memory import in_rows, readable
from elman.nn.paths import _buffers as buffers
from elman.nn.paths import fused
from elman.nn.paths._windows import Window, Windows
from elman.nn.plans import PlanSpec
from elman.nn.spec import LayerSpec, key_with, spec_of

SQRT = 0
LEAST = 1 << 20  # elements that a segment takes at least: below that, calls cost more than memory is worth


def read_checkpoint(checkpoint: Any) -> int | None:
    """None, SQRT, or the steps of a segment. Raises ConfigError for anything but None, "sqrt" and whole numbers ≥ 1."""
    if checkpoint is None:
        return None
    if checkpoint == "sqrt":
        return SQRT
    if isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1:
        return checkpoint
    raise ConfigError(f'checkpoint must be None, "sqrt" or a number of steps of at least 1, got {checkpoint!r}')


def forward(
    spec: LayerSpec,
    plan: PlanSpec,
    tokens: Tensor | None,
    inputs: Sequence[Tensor],
    initial: Sequence[Tensor | None],
    weights: Sequence[Tensor],
    checkpoint: int | None,
    bfloat16: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """As `fused.forward`; where a gradient will be asked for, by segments of `checkpoint` steps (or SQRT)."""
    tensors = [*inputs, *initial, *weights]
    if checkpoint is None or not fused.is_learning(tensors):
        return fused.forward(spec, plan, tokens, inputs, initial, weights, bfloat16)
    key, numbers = key_with(spec.key, bfloat16), (len(inputs), len(initial), checkpoint)
    results = BySegments.apply(key, plan.numbers, plan.tensor, tokens, *numbers, *tensors)  # type: ignore[no-untyped-call]
    return results[0], list(results[1:])


class BySegments(torch.autograd.Function):
    """The fused forward and backward by segments; differentiated twice, it goes through the reference."""

    @staticmethod
    def forward(
        ctx: Any, key: str, numbers: list[int], edges: Tensor | None, tokens: Tensor | None, n_inputs: int,
        n_initial: int, checkpoint: int, *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Run, and keep the states at the edges of segments."""
        parts = fused.split(tensors, n_inputs, n_initial)
        results = _forward(key, numbers, edges, tokens, *parts, checkpoint)
        ctx.key, ctx.numbers, ctx.counts, ctx.checkpoint = key, numbers, (n_inputs, n_initial), checkpoint
        kept = results[1 + n_initial :] + (results[:1] if _suffices(key) else [])
        ctx.save_for_backward(edges, tokens, *tensors, *kept)
        ctx.set_materialize_grads(False)
        return tuple(results[: 1 + n_initial])

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Any, ...]:
        """Gradients of all tensors."""
        edges, tokens, *rest = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[7:])
        tensors, kept = rest[: len(wanted)], rest[len(wanted) :]
        if torch.is_grad_enabled():
            gradients = fused.again(ctx.key, ctx.numbers, edges, tokens, tensors, ctx.counts, d_results, wanted)
        else:
            parts = fused.split(tensors, *ctx.counts)
            found = _backward(
                ctx.key, ctx.numbers, edges, tokens, *parts, kept, list(d_results), wanted, ctx.checkpoint
            )
            gradients = [g if want else None for g, want in zip(found, wanted, strict=True)]
        return (None,) * 7 + tuple(gradients)


Call = tuple[str, list[int], Tensor | None, Tensor | None, list[Tensor], list[Tensor | None], list[Tensor]]


class _Segments:
    """What forward and backward share of one call."""

    def __init__(
        self, key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: Sequence[Tensor],
        weights: Sequence[Tensor], checkpoint: int,
    ) -> None:  # fmt: skip
        self.key, self.tokens, self.inputs = key, tokens, inputs
        self.weights = [readable(w) if w.dim() == 2 else in_rows(w) for w in weights]  # once: their panels are kept
        self.windows = Windows(PlanSpec.of(plan, edges), *segment(key, plan, weights[0].dtype, checkpoint))
        order = self.windows.order
        self.order: slice | Tensor = slice(None) if order is None else order
        self.batch = plan[2]

    def rows_by_state(self, given: Sequence[Tensor | None], zero: bool = False) -> list[Tensor]:
        """For each state a copy of the rows [B, size] in the order of the windows; by default the start, or zeros."""
        spec = spec_of(self.key)
        rows = []
        for port, tensor in zip(spec.graph.states, given, strict=True):
            start = 0.0 if zero else port.start
            full = self.weights[0].new_full((self.batch, spec.size(port.size)), start)
            rows.append(full if tensor is None else full.copy_(tensor[self.order]))
        return rows

    def call(self, window: Window, entry: Sequence[Tensor]) -> Call:
        """The arguments of the kernels' forward for one window whose sequences begin with `entry`."""
        tokens = None if self.tokens is None else window.take(self.tokens)
        inputs = [window.take(x) for x in self.inputs]
        return self.key, window.plan.numbers, window.plan.tensor, tokens, inputs, list(entry), self.weights


def run(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], checkpoint: int,
) -> list[Tensor]:  # fmt: skip
    """One direction of a layer: output, final states, and of each state the rows with which segments begin.

    These stand one segment behind the other, from the second on, sequences in the order of the windows.
    """
    results = run_fake(key, plan, edges, tokens, inputs, initial, weights, checkpoint)
    output, finals, kept = results[0], results[1 : 1 + len(initial)], results[1 + len(initial) :]
    segments = _Segments(key, plan, edges, tokens, inputs, weights, checkpoint)
    states = segments.rows_by_state(initial)
    with buffers.packed_once():
        for window in segments.windows:
            if window.index:
                for rows, state in zip(kept, states, strict=True):
                    rows[window.kept] = state[: window.running]
            entry = [state[: window.running] for state in states]
            output[window.rows], *after = buffers.forward(*segments.call(window, entry), False)
            for state, rows in zip(entry, after, strict=True):
                state.copy_(rows)
    for final, state in zip(finals, states, strict=True):
        final[segments.order] = state
    return results


def run_back(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], kept: list[Tensor], d_results: list[Tensor | None],
    wanted: list[bool], checkpoint: int,
) -> list[Tensor]:  # fmt: skip
    """Gradients of inputs, initial states and weights, in this order; an empty tensor where none is wanted.

    `kept` are the states with which segments begin and, where it is all that backward reads, the output.
    """
    counts = len(inputs), len(initial)
    gradients = buffers.fake_backward(key, plan, edges, tokens, inputs, initial, weights, [], d_results, wanted)
    d_inputs, d_initial, d_weights = fused.split(gradients, *counts)
    for total in d_weights:
        total.zero_()
    wanted = [*wanted[: counts[0]], *[True] * counts[1], *wanted[sum(counts) :]]  # states from segment to segment
    segments = _Segments(key, plan, edges, tokens, inputs, weights, checkpoint)
    begin, edge, output = segments.rows_by_state(initial), kept[: len(initial)], kept[len(initial) :]
    d_output, adjoints = d_results[0], segments.rows_by_state(d_results[1:], zero=True)
    with buffers.packed_once():
        for window in reversed(segments.windows):
            entry = [s[window.kept] for s in edge] if window.index else [s[: window.running] for s in begin]
            call = segments.call(window, entry)
            steps = _steps(window, output) or _made_again(call)
            carried = [adjoint[: window.running] for adjoint in adjoints]
            d = [None if d_output is None else window.take(d_output), *carried]
            found = buffers.backward(*call, steps, d, wanted)
            d_x, d_state, d_weight = fused.split(found, *counts)
            for total, part in zip(d_weights, d_weight, strict=True):
                total += part
            for gradient, part in zip(d_inputs, d_x, strict=True):
                if len(part):
                    gradient[window.rows] = part
            for rows, part in zip(carried, d_state, strict=True):
                rows.copy_(part)
    for gradient, adjoint in zip(d_initial, adjoints, strict=True):
        if len(gradient):
            gradient[segments.order] = adjoint
    return gradients


def _suffices(key: str) -> bool:
    """Whether the output is all that backward reads of the steps: the one state of a cell that saves nothing."""
    recurrence = spec_of(key).recurrence
    states = [port.name for port in recurrence.graph.states]
    return states == [recurrence.graph.output] and not recurrence.saved


def _steps(window: Window, output: Sequence[Tensor]) -> list[Tensor]:
    """What backward reads of the steps of a window, from the output where that was kept."""
    return [part for rows in output for part in (window.take(rows), rows.new_empty(0))]


def _made_again(call: Call) -> list[Tensor]:
    """What backward reads of the steps of a window, made by another forward."""
    output, *rest = buffers.forward(*call, True)
    return [output, *rest[len(call[5]) :]]


def segment(key: str, plan: Sequence[int], dtype: torch.dtype, checkpoint: int) -> tuple[int, int]:
    """The least steps of a segment, and its least rows: √T, and what takes a fixed size; or just what is asked for."""
    if checkpoint != SQRT:
        return checkpoint, 0
    engine = spec_of(key).engine(dtype)
    return math.isqrt(max(int(plan[1]) - 1, 0)) + 1, LEAST // max(engine.saved.width + engine.kept.width, 1)


def run_fake(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], checkpoint: int,
) -> list[Tensor]:  # fmt: skip
    """Results of the same shapes as `run`; no batch has more inner edges of segments than steps / length."""
    results = buffers.fake_forward(key, plan, edges, tokens, inputs, initial, weights, False)
    edge_count = results[0].shape[0] // segment(key, plan, weights[0].dtype, checkpoint)[0]
    return results + [final.new_empty(edge_count, final.shape[1]) for final in results[1:]]


def run_back_fake(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], kept: list[Tensor], d_results: list[Tensor | None],
    wanted: list[bool], checkpoint: int,
) -> list[Tensor]:  # fmt: skip
    """Results of the same shapes as `run_back`."""
    return buffers.fake_backward(key, plan, edges, tokens, inputs, initial, weights, kept, d_results, wanted)


_forward = operation(f"forward_by_segments({fused.COMMON}, int checkpoint) -> Tensor[]", run, run_fake)
_backward = operation(
    f"backward_by_segments({fused.COMMON}, Tensor[] kept, Tensor?[] d_results, bool[] wanted, int checkpoint)"
    " -> Tensor[]",
    run_back,
    run_back_fake,
)
