"""Linear layer and cross-entropy over rows, a chunk at a time: no array of all rows times all classes ever exists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.errors import ShapeError
from elman.kernels import Precision, Targets, linear_for
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


class Loss(NamedTuple):
    """A linear layer over rows with the cross-entropy of its output; its fields are what torch's operator takes.

    Attributes:
        rows, weight, bias, targets: x [N, D], W [V, D], b [V] or None, and int64 [N].
        reduction: "none", "sum" or "mean", which is over the rows whose target is not `ignore_index`.
        ignore_index: rows with this target do not count.
        smoothing: share of the target's probability that is spread over all classes.
        bfloat16: whether the factors of products are rounded to it.
    """

    rows: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    reduction: str
    ignore_index: int
    smoothing: float
    bfloat16: bool = False

    def parts(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """What has a gradient: rows, weight, bias."""
        return self.rows, self.weight, self.bias


def run(loss: Loss, d_losses: Tensor | None, wanted: Sequence[bool]) -> list[Tensor]:
    """Losses and gradients.

    Args:
        d_losses: ∂/∂loss of each row [N]; by default what the reduction makes it (1, or 1 / rows that count).
        wanted: whether the gradients of rows, weight and bias are.

    Returns:
        losses [N] or their sum or mean; the three gradients, empty where not wanted.

    Raises:
        ShapeError: a target is not 0 … V - 1 and not `ignore_index`.
    """
    head, targets = _Chunks(loss, wanted), loss.targets
    targets = targets.clone() if targets.data_ptr() % 8 else targets.contiguous()
    valid = _check_targets(targets, head.layer.rows, loss.ignore_index)
    losses, *gradients = run_fake(loss._replace(reduction="none"), d_losses, wanted)
    for gradient in gradients[1:]:
        gradient.zero_()
    if any(wanted) and d_losses is None:
        d_losses = losses.new_full(losses.shape, 1 / valid if loss.reduction == "mean" and valid else 1.0)
    scales = in_one_piece(d_losses)
    for first in range(0, len(loss.rows), head.most or 1):
        head.make_logits(first)
        scale = scales[first:].data_ptr() if any(wanted) and scales is not None else 0
        chosen = Targets(targets[first:].data_ptr(), loss.ignore_index, loss.smoothing, scale)
        head.layer.cross_entropy(rows_of(head.logits), head.count, chosen, losses[first:].data_ptr(), head.threads)
        head.add_gradients(first, *gradients)
    return [_reduce(losses, loss.reduction, valid), *gradients]


class _Chunks:
    """The linear layer over a chunk of rows after another."""

    def __init__(self, loss: Loss, wanted: Sequence[bool]) -> None:
        rows, weight, bias = in_rows(loss.rows), readable(loss.weight), in_one_piece(loss.bias)
        self.rows, self.wanted, self.threads = rows, wanted, torch.get_num_threads()
        precision = Precision.of(weight.dtype == torch.float64, loss.bfloat16)
        self.layer = linear_for(weight.shape[1], weight.shape[0], bias is not None, precision)
        self.most = min(chunk_rows(self.layer.rows), len(rows))
        self.count = 0  # rows of the chunk
        self.logits = scratch("logits", self.most, _width(self.layer.rows), weight)
        self._borrowed = weight, bias  # must live as long as the kernels point at them
        self._packed = self.layer.pack(place_of(weight), address(bias), self.threads)
        self._transposed = self.layer.pack_transposed(place_of(weight), self.threads) if wanted[0] else None
        self._part = weight.new_empty(self.layer.rows)

    def make_logits(self, first: int) -> None:
        """Write the logits of the chunk that begins with this row."""
        x = self.rows[first : first + self.most]
        self.count = len(x)
        self.layer.forward(self._packed, rows_of(x), rows_of(self.logits), self.count, self.threads)

    def add_gradients(self, first: int, d_rows: Tensor, d_weight: Tensor, d_bias: Tensor) -> None:
        """Write or add to what is wanted, from the gradients that stand in the place of the logits."""
        layer, d, count, threads = self.layer, rows_of(self.logits), self.count, self.threads
        if self._transposed is not None:
            layer.input_gradient(self._transposed, d, rows_of(d_rows[first:]), count, threads)
        if self.wanted[1]:
            plan = bind([DENSE, count, 1, 0, -1], None).handle
            layer.weight_gradient(plan, rows_of(self.rows[first:]), d, place_of(d_weight), threads)
        if self.wanted[2]:
            layer.bias_gradient(d, count, self._part.data_ptr(), threads)
            d_bias += self._part


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


def run_fake(loss: Loss, d_losses: Tensor | None, wanted: Sequence[bool]) -> list[Tensor]:
    """Results of the same shapes as `run`."""
    rows, weight, targets = loss.rows, loss.weight, loss.targets
    shapes = (rows.shape, weight.shape, weight.shape[:1])
    gradients = [weight.new_empty(shape if want else 0) for shape, want in zip(shapes, wanted, strict=True)]
    return [weight.new_empty(targets.shape if loss.reduction == "none" else ()), *gradients]


losses_and_gradients = operation(
    "linear_cross_entropy(Tensor rows, Tensor weight, Tensor? bias, Tensor targets, str reduction, int ignore_index, "
    "float smoothing, bool bfloat16, Tensor? d_losses, bool[] wanted) -> Tensor[]",
    run,
    run_fake,
    Loss,
)
