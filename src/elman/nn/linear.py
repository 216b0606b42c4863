"""`Linear`: torch's own layer, with a faster forward and backward on CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Proxy

from elman.kernels import Precision, Weight, linear_for
from elman.nn._library import operation
from elman.nn._memory import address, held_by, in_one_piece, in_rows, readable, rows_of
from elman.nn._standin import StandIn, traced
from elman.nn.paths.choice import Path, back_by_reference, choose_path
from elman.nn.plans import DENSE, bind


class Linear(StandIn, torch.nn.Linear):
    """`torch.nn.Linear` on the kernels' tiles: same arguments, same weights, same results to rounding.

    Each element of the output is one chain of fused multiply-adds, the bias first, then the products in ascending
    order: a row's bits depend on no other row and not on the number of threads. It is made for many rows, such as the
    steps of whole sequences: at each call the weights are laid out anew or, without gradients, looked through for
    changes, which with a few rows costs more than it gains.
    """

    def path(self, input: Tensor) -> Path:
        """Which path a call with this input takes, and why."""
        return linear_path(input, self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """As torch's layer: [..., in_features] to [..., out_features]."""
        if isinstance(input, Proxy):
            return traced(self, input)
        return linear(input, self.weight, self.bias)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b, as torch.nn.functional.linear, on the kernels where they can.

    Args:
        input: [..., D].
        weight: [V, D].
        bias: [V], or none.
    """
    if linear_path(input, weight, bias).name != "fused" or not _fit(input, weight, bias):
        return torch.nn.functional.linear(input, weight, bias)
    rows = input.reshape(-1, input.shape[-1])
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (input, weight, bias)):
        output = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    else:
        output = _forward(rows, weight, bias, True)
    return output.reshape(*input.shape[:-1], weight.shape[0])  # type: ignore[no-any-return]


def _fit(input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether shapes fit together; where they do not, torch says so in its own words."""
    fits = input.dim() >= 1 and weight.dim() == 2 and input.shape[-1] == weight.shape[1]
    return fits and (bias is None or bias.shape == weight.shape[:1])


def linear_path(input: Tensor, weight: Tensor, bias: Tensor | None) -> Path:
    """The path of a linear layer with these tensors."""
    path = product_path(input, weight, bias)
    return Path("reference", "torch's own products in bfloat16 are as fast") if path.bfloat16 else path


def product_path(input: Tensor, weight: Tensor, bias: Tensor | None) -> Path:
    """What the kernels' linear layer could do with these tensors."""
    if 0 in weight.shape:
        return Path("reference", "the layer has a size of 0")
    return choose_path([input, weight, bias])


class _Linear(torch.autograd.Function):
    """The product with its gradients; differentiated twice, these are torch's products."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Run, and keep the factors."""
        ctx.save_for_backward(rows, weight)
        return _forward(rows, weight, bias, False)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of rows, weight and bias."""
        rows, weight = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad)
        if back_by_reference([d]):
            found = [d @ weight, d.T @ rows, d.sum(0)]
        else:
            found = _backward(rows, weight, d, wanted)
        return tuple(g if want else None for g, want in zip(found, wanted, strict=True))


def _run(rows: Tensor, weight: Tensor, bias: Tensor | None, hold: bool) -> Tensor:
    """With `hold`, the weights as they are laid out are kept for the next call, as long as no element changes."""
    held, threads = held_by(weight) if hold else None, torch.get_num_threads()
    rows, weight, bias = in_rows(rows), readable(weight), in_one_piece(bias)
    layer = linear_for(weight.shape[1], weight.shape[0], bias is not None, Precision.of(weight.dtype == torch.float64))
    output = rows.new_empty(len(rows), weight.shape[0])
    packed = layer.pack(place_of(weight), address(bias), threads, held)
    layer.forward(packed, rows_of(rows), rows_of(output), len(rows), threads)
    return output


def _run_back(rows: Tensor, weight: Tensor, d: Tensor, wanted: Sequence[bool]) -> list[Tensor]:
    """Gradients of rows, weight and bias; an empty tensor where none is wanted."""
    rows, weight, d, threads = in_rows(rows), readable(weight), in_rows(d), torch.get_num_threads()
    layer = linear_for(weight.shape[1], weight.shape[0], False, Precision.of(weight.dtype == torch.float64))
    d_rows, d_weight, d_bias = gradients = _run_back_fake(rows, weight, d, wanted)
    if wanted[0]:
        layer.input_gradient(
            layer.pack_transposed(place_of(weight), threads), rows_of(d), rows_of(d_rows), len(rows), threads
        )
    if wanted[1]:
        plan = bind([DENSE, len(rows), 1, 0, -1], None).handle
        layer.weight_gradient(plan, rows_of(rows), rows_of(d), place_of(d_weight.zero_()), threads)
    if wanted[2]:
        layer.bias_gradient(rows_of(d), len(rows), d_bias.data_ptr(), threads)
    return gradients


def _run_fake(rows: Tensor, weight: Tensor, bias: Tensor | None, hold: bool) -> Tensor:
    return rows.new_empty(rows.shape[0], weight.shape[0])


def _run_back_fake(rows: Tensor, weight: Tensor, d: Tensor, wanted: Sequence[bool]) -> list[Tensor]:
    shapes = (rows.shape, weight.shape, weight.shape[:1])
    return [weight.new_empty(shape if want else 0) for shape, want in zip(shapes, wanted, strict=True)]


def place_of(matrix: Tensor) -> Weight:
    """Where a matrix lies."""
    return Weight(matrix.data_ptr(), matrix.stride(0), matrix.stride(1))


_forward = operation("linear(Tensor rows, Tensor weight, Tensor? bias, bool hold) -> Tensor", _run, _run_fake)
_backward = operation(
    "linear_backward(Tensor rows, Tensor weight, Tensor d, bool[] wanted) -> Tensor[]",
    _run_back,
    _run_back_fake,
)
