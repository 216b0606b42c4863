"""Linear layer and cross-entropy over rows, a chunk at a time: no array of all rows times all classes ever exists."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elman.errors import ShapeError
from elman.kernels import linear_for
from elman.nn._library import operation
from elman.nn._memory import address, in_one_piece, in_rows, readable, rows_of, scratch
from elman.nn.linear import place_of
from elman.nn.plans import DENSE, bind

CHUNK = 1 << 22  # logits of a chunk, about: 16 MiB in float32
LEAST_ROWS, MOST_ROWS = 256, 4096  # of a chunk: with fewer, the gradient of the weights is bound by memory
_LINE = 16  # logits on a cache line


def chunk_rows(classes: int) -> int:
    """Rows of a chunk, a function of the number of classes alone: the gradients' bits follow from it."""
    return min(max(CHUNK // classes, LEAST_ROWS), MOST_ROWS)


def run(
    rows: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, d_losses: Tensor | None, reduction: str,
    ignore_index: int, smoothing: float, wanted: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    """Losses and gradients of rows [N, D] against targets [N].

    Args:
        d_losses: ∂/∂loss of each row [N]; by default what the reduction makes it (1, or 1 / rows that count).
        reduction: "none", "sum" or "mean", which is over the rows whose target is not `ignore_index`.
        wanted: whether the gradients of rows, weight and bias are.

    Returns:
        losses [N] or their sum or mean; the three gradients, empty where not wanted.

    Raises:
        ShapeError: a target is not 0 … V - 1 and not `ignore_index`.
    """
    rows, weight, bias = in_rows(rows), readable(weight), in_one_piece(bias)
    targets = targets.contiguous()
    valid = _check_targets(targets, weight.shape[0], ignore_index)
    results = run_fake(rows, weight, bias, targets, d_losses, "none", ignore_index, smoothing, wanted)
    losses, d_rows, d_weight, d_bias = results
    if any(wanted) and d_losses is None:
        d_losses = losses.new_full((len(rows),), 1 / valid if reduction == "mean" and valid else 1.0)
    d_losses = in_one_piece(d_losses)
    d_weight.zero_(), d_bias.zero_()
    threads = torch.get_num_threads()
    layer = linear_for(weight.shape[1], weight.shape[0], bias is not None, weight.dtype == torch.float64)
    packed = layer.pack(place_of(weight), address(bias))
    transposed = layer.pack_transposed(place_of(weight)) if wanted[0] else None
    most = min(chunk_rows(layer.rows), len(rows))
    logits = scratch("logits", most, _width(layer.rows), weight)
    part = torch.empty_like(d_bias)
    for first in range(0, len(rows), most or 1):
        x = rows[first : first + most]
        place, count = rows_of(logits), len(x)
        layer.forward(packed, rows_of(x), place, count, threads)
        scales = d_losses[first:].data_ptr() if any(wanted) and d_losses is not None else 0
        at = targets[first:].data_ptr(), ignore_index, smoothing, scales, losses[first:].data_ptr()
        layer.cross_entropy(place, count, *at, threads)
        if transposed is not None:
            layer.input_gradient(transposed, place, rows_of(d_rows[first:]), count, threads)
        if wanted[1]:
            plan = bind([DENSE, count, 1, 0, -1], None).handle
            layer.weight_gradient(plan, rows_of(x), place, place_of(d_weight), threads)
        if wanted[2]:
            layer.bias_gradient(place, count, part.data_ptr(), threads)
            d_bias += part
    return [_reduce(losses, reduction, valid), *results[1:]]


def _width(classes: int) -> int:
    """Elements from a row of logits to the next: odd times 64 bytes, so that rows do not share the sets of a cache."""
    return (-(-classes // _LINE) | 1) * _LINE


def _reduce(losses: Tensor, reduction: str, valid: int) -> Tensor:
    if reduction == "none":
        return losses
    total = float(np.sum(losses.numpy(), dtype=np.float64))  # torch's sum would depend on the number of threads
    if reduction == "mean":
        total = total / valid if valid else math.nan
    return losses.new_tensor(total)


def _check_targets(targets: Tensor, classes: int, ignore_index: int) -> int:
    """How many targets count. Raises ShapeError unless each of these is a class."""
    low, high = _range(targets)
    if low <= ignore_index <= high:
        targets = targets[targets != ignore_index]
        low, high = _range(targets)
    if len(targets) and (low < 0 or high >= classes):
        raise ShapeError(
            f"linear_cross_entropy: targets must be 0 … {classes - 1} or ignore_index = {ignore_index}, got "
            f"{low} … {high}; is the weight [classes, features]?"
        )
    return len(targets)


def _range(targets: Tensor) -> tuple[int, int]:
    """The lowest and the highest; (0, 0) of none."""
    return (0, 0) if len(targets) == 0 else tuple(int(edge) for edge in targets.aminmax())  # type: ignore[return-value]


def run_fake(
    rows: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, d_losses: Tensor | None, reduction: str,
    ignore_index: int, smoothing: float, wanted: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    """Results of the same shapes as `run`."""
    shapes = (rows.shape, weight.shape, weight.shape[:1])
    gradients = [weight.new_empty(shape if want else 0) for shape, want in zip(shapes, wanted, strict=True)]
    return [weight.new_empty(targets.shape if reduction == "none" else ()), *gradients]


losses_and_gradients = operation(
    "linear_cross_entropy(Tensor rows, Tensor weight, Tensor? bias, Tensor targets, Tensor? d_losses, str reduction, "
    "int ignore_index, float smoothing, bool[] wanted) -> Tensor[]",
    run,
    run_fake,
)
