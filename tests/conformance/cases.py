"""The cells under test, the built-in ones and some that only these tests know, and what the tests do with one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from elman import (
    cells,
)  # fmt: skip
from elman.equations import Cell
from elman.kernels import poisoned
from elman.nn import Path, Recurrent
from tests.conformance.own_cells import OWN

Tensors = dict[str, Tensor]
Result = tuple[Any, Tensors]  # the output, in the form of the input, and the final states by name


CELLS: Mapping[str, Cell] = {**cells.REGISTRY, **{c.name: c for c in OWN}}

# (D, H, T, B): each of the sizes around the widths of vectors and tiles on either side, one step and several, one lane
# and more than two tiles of them.
SHAPES = ((7, 1, 5, 3), (1, 7, 5, 1), (65, 63, 5, 17), (63, 65, 1, 3), (64, 64, 5, 1), (7, 65, 5, 17))

LENGTHS = (4, 0, 9, 1, 5, 5, 0, 2, 9, 3, 1, 7, 6, 8, 2, 1, 0)  # of 17 sequences


def layer(cell: Cell, d: int, h: int, dtype: torch.dtype = torch.float32, **options: Any) -> Recurrent:
    """A layer of these input and hidden sizes, with the same weights each time; other letters have sizes near H/2.

    bfloat16 makes a layer of float32 that rounds the factors of its products.
    """
    if dtype is torch.bfloat16:
        dtype, options = torch.float32, {"precision": "bfloat16", **options}
    torch.manual_seed(1000 * d + h)
    given = {"D", "H", *cell.graph.fixed}
    free = {letter: h // 2 + k for k, letter in enumerate(cell.graph.letters, 1) if letter not in given}
    free |= {"S": next(s for s in (7, 5, 3, 2, 1) if h % s == 0)} if "S" in free else {}  # of heads, which divide H
    if "D" not in cell.graph.letters:  # the input has the size that it has
        d = {"1": 1, "H": h, **free}[cell.graph.inputs[0].size]
    return Recurrent(cell, d, h, sizes=free, dtype=dtype, **options)


def draw_inputs(layer: Recurrent, steps: int, batch: int, seed: int = 0) -> list[Tensor]:
    """[T, B, size] for each input; for scalars [T, B] in (0, 1), as lengths of time are."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(layer.parameters()).dtype
    inputs = []
    for port in layer.graph.inputs:
        if port.size == "1":
            inputs.append(torch.rand(steps, batch, generator=generator, dtype=dtype))
        else:
            inputs.append(torch.randn(steps, batch, layer.sizes[port.size], generator=generator, dtype=dtype))
    return inputs


def draw_state(layer: Recurrent, batch: int, seed: int = 1) -> Tensors:
    """[layers * directions, B, size] for each state, between 1/4 and 1: some cells divide by a state."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(layer.parameters()).dtype
    stack = layer.num_layers * layer.directions
    state = {}
    for port in layer.graph.states:
        shape = (stack, batch, layer.sizes.get(port.size, 1))
        state[port.name] = 0.25 + 0.75 * torch.rand(shape, generator=generator, dtype=dtype)
    return state


def call(
    layer: Recurrent, inputs: Sequence[Any], state: Mapping[str, Tensor] | None = None, resets: Any = None
) -> Result:
    """Output and final states."""
    output, after = layer(inputs[0] if len(inputs) == 1 else tuple(inputs), state, resets=resets)
    return output, dict(after)


def run(
    layer: Recurrent, inputs: Sequence[Any], state: Mapping[str, Tensor] | None = None, resets: Any = None
) -> Result:
    """Output and final states, without gradients."""
    with torch.no_grad():
        return call(layer, inputs, state, resets)


@contextmanager
def by_reference() -> Iterator[None]:
    """The evaluator in place of the kernels, on one thread: its products are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    way = Path("reference", "a test wants it")
    kernels = AssertionError("the kernels ran in place of the evaluator")
    try:
        fused = patch("elman.nn.paths._buffers.forward", side_effect=kernels)
        with patch("elman.nn.recurrent.choose_path", return_value=way) as chosen, fused:
            yield
        assert chosen.called, "nobody asked for the path"
    finally:
        torch.set_num_threads(threads)


class RoundedProduct(torch.autograd.Function):
    """A product whose factors are rounded to bfloat16, in its gradients too."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(rounded(rows), rounded(matrix))
        return rounded(rows) @ rounded(matrix)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
        rows, matrix = ctx.saved_tensors
        return rounded(d) @ matrix.T, rows.T @ rounded(d)


def rounded(tensor: Tensor) -> Tensor:
    """The nearest bfloat16 to each element, in the tensor's own type."""
    return tensor.to(torch.bfloat16).to(tensor.dtype)


@contextmanager
def rounded_products() -> Iterator[None]:
    """The evaluator rounds the factors of its products."""
    with patch("torch.matmul", RoundedProduct.apply):
        yield


def part(inputs: Sequence[Tensor], steps: Any = slice(None), batch: Any = slice(None)) -> list[Tensor]:
    """Some steps and some sequences of dense inputs."""
    return [x[steps][:, batch] for x in inputs]


def choose(state: Tensors, batch: Any) -> Tensors:
    """Some sequences of a state."""
    return {name: value[:, batch] for name, value in state.items()}


def in_rows(inputs: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:
    """Dense inputs as rows [N, size], each sequence cut to its length, one behind the other."""
    return [torch.cat([x[:n, b] for b, n in enumerate(lengths)]) for x in inputs]


def same(actual: Result, expected: Result, what: object) -> None:
    """Assert that outputs and states are equal, bit for bit (a NaN is one where the other is)."""
    pairs = {"output": (actual[0], expected[0])} | {n: (actual[1][n], expected[1][n]) for n in expected[1]}
    for name, (a, e) in pairs.items():
        assert (a.dtype, a.shape) == (e.dtype, e.shape), f"{what}: {name} {a.dtype} {list(a.shape)}"
        if not torch.equal(a, e):
            off = (a != e) & ~(a.isnan() & e.isnan())
            at = off.nonzero()[:1].tolist()
            assert not off.any(), f"{what}: {name} differs in {int(off.sum())} of {off.numel()} elements, first at {at}"


def chunkings(steps: int) -> list[list[int]]:
    """Ways to cut a sequence: step by step, and in unequal pieces, empty ones among them."""
    return [[1] * steps, [0, steps // 2, 0, steps - steps // 2]]


def spans(lengths: Sequence[int]) -> list[slice]:
    """Where pieces of these lengths stand, one behind the other."""
    return [slice(a, b) for a, b in itertools.pairwise(itertools.accumulate(lengths, initial=0))]


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """NaN in all scratch memory and in every new tensor: what is read before it is written shows."""
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(True)
    try:
        with poisoned():
            assert torch.empty(3).isnan().all()
            yield
    finally:
        torch.use_deterministic_algorithms(False)
