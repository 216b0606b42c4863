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
from elman.nn.call import SCHEMA, Call
from elman.nn.paths import _buffers as buffers
from elman.nn.paths import fused
from elman.nn.paths._windows import Places, Window, Windows
from elman.nn.sized import SizedCell

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


def forward(call: Call, checkpoint: int | None) -> tuple[Tensor, list[Tensor]]:
    """As `fused.forward`; where a gradient will be asked for, by segments of `checkpoint` steps (or SQRT)."""
    if checkpoint is None or not fused.is_learning(call.tensors):
        return fused.forward(call)
    results = BySegments.apply(checkpoint, *call.spread())  # type: ignore[no-untyped-call]
    return results[0], list(results[1:])


class BySegments(torch.autograd.Function):
    """The fused forward and backward by segments; differentiated twice, it goes through the reference."""

    @staticmethod
    def forward(ctx: Any, checkpoint: int, *spread: Any) -> tuple[Tensor, ...]:
        """Run, and keep the states at the edges of segments."""
        call, ctx.checkpoint = Call.gather(*spread), checkpoint
        output, finals, kept = _run(call, checkpoint)
        return fused.keep(ctx, call, kept, output), *finals

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Any, ...]:
        """Gradients of all tensors."""
        return fused.gradients(
            ctx,
            d_results,
            lambda call: _run(call, ctx.checkpoint),
            lambda *args: _backward(*args, ctx.checkpoint),
        )


def _run(call: Call, checkpoint: int) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, final states, and what backward reads: states at edges, and the output where that is all of the steps."""
    (output, *others), (_, states) = _forward(call, checkpoint), call.counts
    return output, others[:states], others[states:] + ([output] if _suffices(call.sized()) else [])


class _Segments:
    """What forward and backward share of one call."""

    def __init__(self, call: Call, checkpoint: int) -> None:
        self._whole = call
        self.inputs, self.initial, weights = call.split(call.tensors)
        self._weights = [readable(w) if w.dim() == 2 else in_rows(w) for w in weights]  # once: their panels are kept
        self.windows = Windows(call.plan_spec(), *segment(call, checkpoint))

    def begins(self) -> list[Tensor]:
        """For each state what the sequences of the windows begin with, [S, size]."""
        starts = [port.start for port in self._whole.sized().graph.states]
        return self._taken(self.initial, starts, self.windows.entries)

    def adjoints(self, d_finals: Sequence[Tensor | None]) -> list[Tensor]:
        """For each state the adjoint of what the sequences of the windows end in, [S, size]."""
        return self._taken(d_finals, [0.0] * len(d_finals), self.windows.exits)

    def _taken(self, given: Sequence[Tensor | None], others: Sequence[float], places: Places) -> list[Tensor]:
        """Copies of rows, and a number where a sequence has none."""
        (sequences, rows), sized, found = places, self._whole.sized(), []
        for port, tensor, other in zip(sized.graph.states, given, others, strict=True):
            full = self._whole.like().new_full((self.windows.sequences, sized.size(port.size)), other)
            if tensor is not None:
                full[sequences] = tensor[rows]
            found.append(full)
        return found

    def call(self, window: Window, entry: Sequence[Tensor]) -> Call:
        """The call of one window whose sequences begin with `entry`."""
        tokens = None if self._whole.tokens is None else window.take(self._whole.tokens)
        tensors = (*(window.take(x) for x in self.inputs), *entry, *self._weights)
        plan = window.plan
        return self._whole._replace(plan=plan.numbers, edges=plan.tensor, tokens=tokens, tensors=tensors)


def run(call: Call, checkpoint: int) -> list[Tensor]:
    """One direction of a layer: output, final states, and of each state the rows with which segments begin.

    These stand one segment behind the other, from the second on, sequences in the order of the windows.
    """
    results, (_, count) = run_fake(call, checkpoint), call.counts
    output, finals, kept = results[0], results[1 : 1 + count], results[1 + count :]
    segments = _Segments(call, checkpoint)
    states, (sequences, places) = segments.begins(), segments.windows.exits
    with buffers.packed_once():
        for window in segments.windows:
            if window.index:
                for rows, state in zip(kept, states, strict=True):
                    rows[window.kept] = state[: window.running]
            entry = [state[: window.running] for state in states]
            output[window.rows], *after = buffers.forward(segments.call(window, entry), False)
            for state, rows in zip(entry, after, strict=True):
                state.copy_(rows)
    for final, state in zip(finals, states, strict=True):
        final[places] = state[sequences]
    return results


def run_back(
    call: Call, kept: list[Tensor], d_results: list[Tensor | None], wanted: list[bool], checkpoint: int
) -> list[Tensor]:
    """The gradient of each tensor of the call; an empty tensor where none is wanted.

    `kept` are the states with which segments begin and, where it is all that backward reads, the output.
    """
    inputs, states = call.counts
    gradients = buffers.fake_backward(call, [], d_results, wanted)
    d_inputs, d_initial, d_weights = call.split(gradients)
    for total in d_weights:
        total.zero_()
    wanted = [*wanted[:inputs], *[True] * states, *wanted[inputs + states :]]  # states from segment to segment
    segments = _Segments(call, checkpoint)
    begin, edge, output = segments.begins(), kept[:states], kept[states:]
    sequences, places = segments.windows.entries
    d_output, adjoints = d_results[0], segments.adjoints(d_results[1:])
    with buffers.packed_once():
        for window in reversed(segments.windows):
            entry = [s[window.kept] for s in edge] if window.index else [s[: window.running] for s in begin]
            part = segments.call(window, entry)
            steps = _steps(window, output) or _made_again(part)
            carried = [adjoint[: window.running] for adjoint in adjoints]
            d = [None if d_output is None else window.take(d_output), *carried]
            d_x, d_state, d_weight = call.split(buffers.backward(part, steps, d, wanted))
            for total, share in zip(d_weights, d_weight, strict=True):
                total += share
            for gradient, rows in zip(d_inputs, d_x, strict=True):
                if len(rows):
                    gradient[window.rows] = rows
            for rows, share in zip(carried, d_state, strict=True):
                rows.copy_(share)
    for gradient, adjoint in zip(d_initial, adjoints, strict=True):
        if len(gradient):
            gradient[places] = adjoint[sequences]
    return gradients


def _suffices(sized: SizedCell) -> bool:
    """Whether the output is all that backward reads of the steps: the one state of a cell that saves nothing."""
    states = [port.name for port in sized.graph.states]
    return states == [sized.graph.output] and not sized.recurrence.saved


def _steps(window: Window, output: Sequence[Tensor]) -> list[Tensor]:
    """What backward reads of the steps of a window, from the output where that was kept."""
    return [part for rows in output for part in (window.take(rows), rows.new_empty(0))]


def _made_again(call: Call) -> list[Tensor]:
    """What backward reads of the steps of a window, made by another forward."""
    (output, *rest), (_, states) = buffers.forward(call, True), call.counts
    return [output, *rest[states:]]


def segment(call: Call, checkpoint: int) -> tuple[int, int]:
    """The least steps of a segment, and its least rows: √T, and what takes a fixed size; or just what is asked for."""
    if checkpoint != SQRT:
        return checkpoint, 0
    engine = call.sized().engine(call.like().dtype)
    return math.isqrt(max(int(call.longest()) - 1, 0)) + 1, LEAST // max(engine.saved.width + engine.kept.width, 1)


def run_fake(call: Call, checkpoint: int) -> list[Tensor]:
    """Results of the same shapes as `run`; no batch has more inner edges of segments than steps / length."""
    results = buffers.fake_forward(call, False)
    edge_count = call.rows() // segment(call, checkpoint)[0]
    return results + [final.new_empty(edge_count, final.shape[1]) for final in results[1:]]


def run_back_fake(
    call: Call, kept: list[Tensor], d_results: list[Tensor | None], wanted: list[bool], checkpoint: int
) -> list[Tensor]:
    """Results of the same shapes as `run_back`."""
    return buffers.fake_backward(call, kept, d_results, wanted)


_forward = operation(f"forward_by_segments({SCHEMA}, int checkpoint) -> Tensor[]", run, run_fake, Call)
_backward = operation(
    f"backward_by_segments({SCHEMA}, Tensor[] kept, Tensor?[] d_results, bool[] wanted, int checkpoint) -> Tensor[]",
    run_back,
    run_back_fake,
    Call,
)
