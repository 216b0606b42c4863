"""Cross-entropy of a linear layer's output, in memory that does not grow with rows times classes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from elman.errors import ConfigError, DtypeError, ShapeError
from elman.nn._chunks import Loss, losses_and_gradients
from elman.nn._memory import widened
from elman.nn._standin import OwnLayer, is_traced, traced
from elman.nn.batch import TOKENS
from elman.nn.linear import Linear, product_path
from elman.nn.paths.choice import Path, back_by_reference

REDUCTIONS = ("mean", "sum", "none")


def linear_cross_entropy(
    input: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, reduction: str = "mean",
    ignore_index: int = -100, label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """cross_entropy(x Wᵀ + b, targets), as torch's functions of these names give it, without the logits of all rows.

    On the kernels, rows are taken a chunk at a time. With "mean" and "sum", where a gradient will be asked for, it is
    made at once beside the loss; with "none" each chunk's logits are made again in backward. Each logit is one chain of
    fused multiply-adds, the bias first; no bit depends on the number of threads.

    Args:
        input: x, float [..., D].
        weight: W [V, D].
        bias: b [V], or None.
        targets: integers [...], 0 … V - 1 or `ignore_index`.
        reduction: "mean" over the rows that count, "sum", or "none": one loss a row.
        ignore_index: rows with this target do not count.
        label_smoothing: share of the target's probability, 0 … 1, that is spread over all classes.

    Raises:
        ShapeError: shapes do not fit, or a target is out of range.
        DtypeError: targets are no integers, or element types differ.
        ConfigError: an option is unknown or out of range.
    """
    _check_options(reduction, ignore_index, label_smoothing)
    _check(input, weight, bias, targets)
    rows, ids = input.reshape(-1, input.shape[-1]), targets.reshape(-1).to(torch.int64)
    path = product_path(input, weight, bias)
    if path.bfloat16:
        rows, weight, bias = widened(rows), widened(weight), None if bias is None else widened(bias)
    loss = Loss(rows, weight, bias, ids, reduction, ignore_index, label_smoothing, path.bfloat16)
    found = _value(loss, path)
    return found.reshape(targets.shape) if reduction == "none" else found


def _value(loss: Loss, path: Path) -> Tensor:
    if path.name == "reference":
        return reference(loss)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in loss.parts()):
        return _Differentiable.apply(*loss)  # type: ignore[no-any-return, no-untyped-call]
    return losses_and_gradients(loss, None, [False] * 3)[0]  # type: ignore[no-any-return]


class LinearCrossEntropy(OwnLayer):
    """A linear layer with its cross-entropy: `loss(x, targets)`; `loss.linear(x)` gives the logits.

    Args:
        in_features, num_classes, bias, device, dtype: of the layer, a `Linear`.
        reduction, ignore_index, label_smoothing: see `linear_cross_entropy`.

    Raises:
        ConfigError: an option is unknown or out of range.
    """

    def __init__(
        self, in_features: int, num_classes: int, bias: bool = True, *, reduction: str = "mean",
        ignore_index: int = -100, label_smoothing: float = 0.0, device: Any = None, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        _check_options(reduction, ignore_index, label_smoothing)
        self.linear = Linear(in_features, num_classes, bias, device=device, dtype=dtype)
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        """The loss of input [..., in_features] against integer targets [...]."""
        if is_traced(input):
            return traced(self, input, targets)  # type: ignore[no-any-return]
        return linear_cross_entropy(
            input, self.linear.weight, self.linear.bias, targets, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The options in one line."""
        return f"reduction={self.reduction!r}, ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}"


class _Differentiable(torch.autograd.Function):
    """The fused loss; differentiated twice, it goes through the reference."""

    @staticmethod
    def forward(ctx: Any, *fields: Any) -> Tensor:
        """The loss and, but for reduction "none", its gradients."""
        loss = Loss(*fields)
        wanted = [want and loss.reduction != "none" for want in ctx.needs_input_grad[:3]]
        value, *gradients = losses_and_gradients(loss, None, wanted)
        ctx.options = loss.reduction, loss.ignore_index, loss.smoothing, loss.bfloat16
        ctx.save_for_backward(*loss.parts(), loss.targets, *gradients)
        return value  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, times d."""
        rows, weight, bias, targets, *gradients = ctx.saved_tensors
        loss, wanted = Loss(rows, weight, bias, targets, *ctx.options), list(ctx.needs_input_grad[:3])
        found: Sequence[Tensor | None]
        if back_by_reference([d]):
            found = _again(loss, d, wanted)
        elif loss.reduction == "none":
            found = losses_and_gradients(loss, d, wanted)[1:]
        else:
            found = [gradient * d for gradient in gradients]  # copies: callers may write into what they are given
        return *(g if want else None for g, want in zip(found, wanted, strict=True)), *[None] * 5


def _again(loss: Loss, d: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Gradients through the reference, that can be differentiated again if autograd asks."""
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that a tensor that stands in two places has a gradient for each.
        rows, weight, bias = places = [None if t is None else t.view_as(t) for t in loss.parts()]
        assert rows is not None
        assert weight is not None
        value = reference(loss._replace(rows=rows, weight=weight, bias=bias))
    sources = [place for place, want in zip(places, wanted, strict=True) if want and place is not None]
    found = iter(torch.autograd.grad(value, sources, d, create_graph=create))
    return [next(found) if want else None for want in wanted]


def reference(loss: Loss) -> Tensor:
    """The loss by torch's own functions."""
    logits = torch.nn.functional.linear(*loss.parts())
    return torch.nn.functional.cross_entropy(
        logits,
        loss.targets,
        reduction=loss.reduction,
        ignore_index=loss.ignore_index,
        label_smoothing=loss.smoothing,
    )


def _check_options(reduction: Any, ignore_index: Any, label_smoothing: Any) -> None:
    if reduction not in REDUCTIONS:
        raise ConfigError(f"linear_cross_entropy: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if not isinstance(ignore_index, Integral):
        raise ConfigError(f"linear_cross_entropy: ignore_index must be a whole number, got {ignore_index!r}")
    if not isinstance(label_smoothing, Real) or not 0 <= float(label_smoothing) <= 1:
        raise ConfigError(f"linear_cross_entropy: label_smoothing must be 0 … 1, got {label_smoothing!r}")


def _check(input: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> None:
    """Raise ShapeError or DtypeError where tensors do not fit together."""
    name = "linear_cross_entropy"
    for what, given in (("input", input), ("weight", weight), ("bias", bias), ("targets", targets)):
        if not isinstance(given, Tensor) and not (given is None and what == "bias"):
            raise DtypeError(f"{name}: {what} must be a tensor, got {type(given).__name__}")
    if targets.device != input.device:
        raise DtypeError(f"{name}: input is on {input.device}, targets on {targets.device}; move one with .to(…)")
    if weight.dim() != 2 or input.dim() < 1 or input.shape[-1] != weight.shape[1]:
        got = f"{list(input.shape)} and {list(weight.shape)}"
        raise ShapeError(f"{name}: input [..., D] and weight [V, D] expected, got {got}; transposed?")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"{name}: bias must be [V] = {list(weight.shape[:1])}, got {list(bias.shape)}")
    if targets.dtype not in TOKENS:
        raise DtypeError(f"{name}: targets must be integers, the class of each row; got {targets.dtype}")
    if targets.shape != input.shape[:-1]:
        raise ShapeError(f"{name}: targets must be {list(input.shape[:-1])}, one a row, got {list(targets.shape)}")
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != input.dtype and not torch.is_autocast_enabled("cpu"):
            raise DtypeError(f"{name}: input is {input.dtype}, {what} is {tensor.dtype}; convert one with .to(…)")
