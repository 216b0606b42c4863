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
    abs,
    block_diagonal,
    cell,
    cells,
    cos,
    dot,
    exp,
    floor,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    mod,
    relu,
    round,
    shift,
    sigmoid,
    sin,
    softmax,
    softplus,
    sqrt,
    step,
    straight_through,
    tanh,
    where,
)  # fmt: skip
from elman.equations import Cell
from elman.kernels import poisoned
from elman.nn import Path, Recurrent

HIPPO = [[-1.0, 0.5, -0.25], [-1.5, -0.5, 0.5], [-1.0, -1.0, -0.25]]

Tensors = dict[str, Tensor]
Result = tuple[Any, Tensors]  # the output, in the form of the input, and the final states by name


@cell(states="h c")
def user_layer_norm_lstm(x, h, c, W, U, g, b):
    """Another layer-normalised LSTM than the built-in one: each gate by itself, its products summed before."""
    i = sigmoid(g.i * layer_norm(W.i @ x + U.i @ h) + b.i)
    f = sigmoid(g.f * layer_norm(W.f @ x + U.f @ h) + b.f)
    n = tanh(g.n * layer_norm(W.n @ x + U.n @ h) + b.n)
    o = sigmoid(g.o * layer_norm(W.o @ x + U.o @ h) + b.o)
    c = f * c + i * n
    h = o * tanh(g.c * layer_norm(c) + b.c)
    return h, c


@cell(states="h")
def stages(x, h, W, U, V, b):
    """A product of what a product made, twice, and once through a transpose."""
    r = sigmoid(W.r @ x + U.r @ h + b.r)
    q = tanh(U.q @ (r * h) + V.q @ x)
    n = tanh(W.n @ x + U.q.T @ (r * q) + b.n)
    h = 0.75 * h + 0.25 * n
    return h


@cell(states="h:P c", output="y:H")
def readout(x, h, c, W, U, V, R, b):
    """The output is no state, and the state that feeds back has a size of its own."""
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    c = f * c + (1 - f) * tanh(W.c @ x + U.c @ h)
    h = tanh(R @ c)
    y = V.c @ c * sigmoid(V.h @ h + b.y)
    return h, c, y


@cell(states="h m", start={"h": 0.5, "m": -2.0})
def warm(x, h, m, W, U, V, b):
    """States that do not begin at zero."""
    h = tanh(W @ x + U @ h + V @ m + b)
    m = 0.9 * m + 0.1 * h
    return h, m


@cell(inputs="x dt:1 gain:1", states="h s:1", start={"s": 1.0})
def scalars(x, dt, gain, h, s, W, U, b):
    """Inputs and a state that are numbers, not vectors."""
    s = s + dt * (gain - s)
    h = h + dt * (tanh(gain * (W @ x) + U @ h + b) - s * h)
    return h, s


@cell(inputs="x z:D", states="h p:D e", output="y")
def delay(x, z, h, p, e, W, U, V):
    """A state that is the last input, one that is never written, and an output that is a state before the step."""
    y = h + e
    h = tanh(W.x @ x + W.z @ z + V @ p + U @ h)
    return h, x, e, y


@cell(inputs="x:H", states="h")
def smoothing(x, h, w):
    """No product at all."""
    h = sigmoid(w) * h + (1 - sigmoid(w)) * x
    return h


@cell(states="h")
def every_operation(x, h, W, u, v, b):
    """What the other cells leave out."""
    a = W.a @ x + u.a * h + b.a
    e = sqrt(1 + a * a) - log(1 + exp(-abs(a))) + softplus(b.e - W.e @ x)
    s = where(e > 1.5, minimum(e, 3.0), maximum(u.s * h, -0.5) / (1 + abs(v)))
    h = relu(s) - 0.5 * tanh(h + layer_norm(v * a, eps=0.1)) * sigmoid(e)
    return h


@cell(states="h", parameters="W.down:R U.down:R V.in_:K zeta:1 nu:1")
def low_rank(x, h, W, U, V, b, zeta, nu):
    """Matrices of rank R, a bottleneck of K units, and two scalars that are learned."""
    z = sigmoid(W.up @ (W.down @ x) + U.up @ (U.down @ h) + b.z)
    n = tanh(V.out @ relu(V.in_ @ x + V.back @ h + b.k) + b.n)
    return (zeta * (1 - z) + nu) * n + z * h


@cell(states="h m:M", parameters="U:H,S", constants={"A": HIPPO, "B": [[1.0], [-1.0], [1.0]], "p": [1.0, 0.5, 0.25]})
def of_all_units(x, h, m, A, B, p, W, U, V, e):
    """Heads, constant arrays, and every operation that takes all units or a number apart."""
    u = e @ x + mean(h)
    m = 0.5 * (A @ m) + B @ u + p * sin(m)
    a = W.a @ x + block_diagonal(U.a) @ h + W.m @ m
    n = tanh(shift(a, 1) - a + dot(a, h) / (1 + dot(h, h))) + 0.1 * mod(a, 0.75) + 0.1 * floor(3 * a) * cos(a)
    s = straight_through(step(a), sigmoid(a)) * softmax(V @ n) + 0.1 * round(2 * a)
    h = 0.5 * shift(h, -2) + s + where(n > 0, n, exp(n) - 1) * (block_diagonal(U.b).T @ h)
    return h, m


OWN = (
    user_layer_norm_lstm, stages, readout, warm, scalars, delay, smoothing, every_operation, low_rank, of_all_units,
)  # fmt: skip
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
