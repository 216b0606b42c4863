"""Layers and comparisons for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

import elman.nn
from elman.equations import cell, sigmoid, tanh
from elman.sequences import Ragged
from tests.tolerances import assert_close

OURS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    torch.nn.LSTM: elman.nn.LSTM,
    torch.nn.GRU: elman.nn.GRU,
    torch.nn.RNN: elman.nn.RNN,
}
KINDS = [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN]
D, H = 3, 4


@cell(states="h", inputs="x dt:1")
def paced(x, dt, h, W, U, b):  # type: ignore[no-untyped-def]
    """A unit that moves by dt of the way."""
    return h + dt * (tanh(W @ x + U @ h + b) - h)


@cell(states="h:P c m", start={"m": 1.0}, output="y")
def elaborate(x, h, c, m, W, U, V, b):  # type: ignore[no-untyped-def]
    """A projection, a start that is not zero and an output that is no state."""
    i = sigmoid(W.i @ x + U.i @ h + b.i)
    c = i * c + tanh(W.c @ x + U.c @ h + b.c) * m
    m = 0.5 * m + 0.5 * i
    h = V.h @ c
    return h, c, m, tanh(c)


# Makers of every kind of layer, D features in, H units.
LAYERS: dict[str, Callable[..., Any]] = {
    "LSTM": lambda **options: elman.nn.LSTM(D, H, **options),
    "GRU": lambda **options: elman.nn.GRU(D, H, **options),
    "RNN": lambda **options: elman.nn.RNN(D, H, **options),
    "Recurrent": lambda **options: elman.nn.Recurrent("layer_norm_lstm", D, H, **options),
}


def pair(kind: type[torch.nn.Module], *arguments: int, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """Torch's layer and ours with the same weights."""
    theirs = kind(*arguments, **options).to(dtype)
    ours = OURS[kind](*arguments, **options).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def tensors_of(result: Any) -> list[Tensor]:
    """Every tensor of a layer's result, in order."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, PackedSequence):
        return [result.data]
    if isinstance(result, Ragged):
        return [result.values]
    parts = list(result.values()) if hasattr(result, "values") else list(result)
    return [tensor for part in parts for tensor in tensors_of(part)]


def assert_same(actual: Any, reference: Any) -> None:
    """Assert that two results hold the same values, to the tolerance of a whole layer."""
    found, expected = tensors_of(actual), tensors_of(reference)
    assert len(found) == len(expected)
    for k, (a, r) in enumerate(zip(found, expected, strict=True)):
        assert a.dtype == r.dtype
        assert_close(a.detach(), r.detach(), "layer", str(r.dtype).removeprefix("torch."), f"tensor {k}")


def gradients(result: Any, sources: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a fixed sum of everything in a result."""
    parts = tensors_of(result)
    generator = torch.Generator().manual_seed(1)
    weighing = [torch.randn(part.shape, generator=generator, dtype=part.dtype) for part in parts]
    return list(torch.autograd.grad(parts, list(sources), weighing))


class Model(torch.nn.Module):
    """A layer and a head."""

    def __init__(self, kind: type[torch.nn.Module]) -> None:
        super().__init__()
        self.rnn = kind(D, H)
        self.head = torch.nn.Linear(H, 2)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.rnn(x)
        return self.head(output)  # type: ignore[no-any-return]


def xs() -> Tensor:
    return torch.randn(5, 2, D)
