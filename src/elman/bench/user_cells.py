"""A layer-normalised LSTM as a user writes it, and the built-in one, beside the same equations in torch.

Torch's side comes in three forms: eager, a step as one writes it (the products of the gates stacked, torch's own
layer_norm); tuned, with the products of the inputs for all steps before the loop; and that with a compiled step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import layer_norm as normalised

from elman.bench.contest import Contest, NoContest, Side
from elman.bench.layers import Peers
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import side
from elman.cells import get
from elman.equations import Cell, cell, layer_norm, sigmoid, tanh
from elman.nn import Recurrent

Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]  # what comes from x, h, c → h, c


@cell(states="h c")
def my_layer_norm_lstm(x, h, c, W, U, g, b):  # type: ignore[no-untyped-def]
    """Long short-term memory, each gate layer-normalised by itself."""
    i = sigmoid(g.i * layer_norm(W.i @ x + U.i @ h) + b.i)
    f = sigmoid(g.f * layer_norm(W.f @ x + U.f @ h) + b.f)
    n = tanh(g.n * layer_norm(W.n @ x + U.n @ h) + b.n)
    o = sigmoid(g.o * layer_norm(W.o @ x + U.o @ h) + b.o)
    c = f * c + i * n
    h = o * tanh(g.c * layer_norm(c) + b.c)
    return h, c


_CELLS = ("my_layer_norm_lstm", "layer_norm_lstm")


def cases(options: Sweep) -> list[Case]:
    """Training at two sizes."""
    return list(
        options.cases(
            "cells",
            cells=() if options.cells else ("my_layer_norm_lstm",) if options.quick else _CELLS,
            modes=("train",),
            hidden=(128,) if options.quick else (128, 512),
            batch=(32,),
            steps=100,
        )
    )


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """One layer, whose weights all sides share."""
    torch.manual_seed(0)
    own = case.cell == my_layer_norm_lstm.name
    chosen: Cell = my_layer_norm_lstm if own else get(case.cell)
    layer = Recurrent(chosen, case.hidden_size, case.hidden_size)
    x = torch.randn(case.steps, case.batch, case.hidden_size)
    path = layer.path(x)
    if path.name != "fused":
        raise NoContest(f"takes the {path}")
    eager = _UserCell(layer) if own else _BuiltInCell(layer)

    def torch_side(step: Step, tuned: bool) -> Side:
        return side(layer, lambda: _loop(step, eager.from_inputs, x, tuned), case)

    def compiled() -> Side:
        torch.compiler.reset()  # what earlier cases compiled counts against a limit, beyond which a step runs eagerly
        return torch_side(torch.compile(eager.step), True)

    sides: Peers = {}
    if "torch" in peers:
        sides["torch"] = lambda: torch_side(eager.step, False)
        sides["torch tuned"] = lambda: torch_side(eager.step, True)
    if "torch.compile" in peers:
        sides["torch.compile"] = compiled
    products = 5  # W x and U h, the gradients of W, U and h
    operations = 2.0 * products * case.steps * case.batch * 4 * case.hidden_size**2
    return Contest(case, side(layer, lambda: layer(x)[0], case), sides, operations)


class _Eager:
    """A layer's equations in torch, on its own weights."""

    def __init__(self, layer: Recurrent) -> None:
        self.size = layer.hidden_size
        self.weights: dict[str, Tensor] = dict(layer.named_parameters())

    def from_inputs(self, x: Tensor) -> Tensor:
        """What a step takes from its input."""
        raise NotImplementedError  # each cell has its own

    def step(self, from_x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The states after a step."""
        raise NotImplementedError  # each cell has its own


class _UserCell(_Eager):
    """The user's equations: each gate normalised by itself, all four in one call."""

    def from_inputs(self, x: Tensor) -> Tensor:
        return x @ self.weights["W_l0"].T

    def step(self, from_x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        size, gain, bias = self.size, self.weights["g_l0"].view(5, -1), self.weights["b_l0"].view(5, -1)
        a = normalised((from_x + h @ self.weights["U_l0"].T).view(-1, 4, size), (size,))
        i, f, n, o = (a * gain[:4] + bias[:4]).unbind(-2)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
        return torch.sigmoid(o) * torch.tanh(gain[4] * normalised(c, (size,)) + bias[4]), c


class _BuiltInCell(_Eager):
    """The built-in equations: the four products of x normalised jointly, and those of h."""

    def from_inputs(self, x: Tensor) -> Tensor:
        gates, weights = 4 * self.size, self.weights
        return weights["v_l0"] * normalised(x @ weights["W_l0"].T, (gates,)) + weights["b_l0"][:gates]

    def step(self, from_x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        size, weights = self.size, self.weights
        a = from_x + weights["u_l0"] * normalised(h @ weights["U_l0"].T, (4 * size,))
        i, f, n, o = a.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
        bias = weights["b_l0"][4 * size :]
        return torch.sigmoid(o) * torch.tanh(weights["g_l0"] * normalised(c, (size,)) + bias), c


def _loop(step: Step, from_inputs: Callable[[Tensor], Tensor], x: Tensor, tuned: bool) -> Tensor:
    rows: Iterable[Tensor] = from_inputs(x).unbind(0) if tuned else map(from_inputs, x.unbind(0))
    batch = x.shape[1]
    h = c = x.new_zeros(batch, x.shape[2])
    outputs = []
    for row in rows:
        h, c = step(row, h, c)
        outputs.append(h)
    return torch.stack(outputs)
