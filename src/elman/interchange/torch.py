"""Torch's recurrent layers: how their parameters make a cell's. Names and slices alone, for arrays of any library.

Torch keeps two biases, which only the GRU needs: its candidate's recurrent bias is reset with the product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Share(NamedTuple):
    """What a tensor of a cell has from one of torch's parameters: the gates `first` to `last`, or all of them."""

    name: str
    first: int = 0
    last: int | None = None


@dataclass(frozen=True)
class TorchLayout:
    """One kind of torch's layers.

    Attributes:
        cell: the name of the built-in cell with its equations.
        gates: parameters of a cell stacked in one tensor of torch's, each of H rows.
        tensors: by name (the slots of `elman.cells.layout`, in their order) the shares that add up to it.
    """

    cell: str
    gates: int
    tensors: Mapping[str, tuple[Share, ...]]


@dataclass(frozen=True)
class ArrayLibrary:
    """What is done with arrays besides adding and slicing: zeros(like, rows), and widen(vector, rows to add)."""

    zeros: Callable[[Any, int], Any]
    widen: Callable[[Any, int], Any]


NUMPY = ArrayLibrary(lambda like, rows: np.zeros(rows, like.dtype), lambda vector, rows: np.pad(vector, (0, rows)))

_Shares = dict[str, tuple[Share, ...]]
_MATRICES: _Shares = {"W": (Share("weight_ih"),), "U": (Share("weight_hh"),)}
_SUM: _Shares = {"b": (Share("bias_ih"), Share("bias_hh"))}
_LSTM = TorchLayout("lstm", 4, _MATRICES | _SUM)
_PROJECTED = TorchLayout("projected_lstm", 4, _MATRICES | _SUM | {"R": (Share("weight_hr"),)})
_GRU = TorchLayout(
    "gru", 3, _MATRICES | {"b": (Share("bias_ih"), Share("bias_hh", 0, 2)), "d": (Share("bias_hh", 2, 3),)}
)
_BY_MODE = {
    "LSTM": _LSTM,
    "GRU": _GRU,
    "RNN_TANH": TorchLayout("elman", 1, _MATRICES | _SUM),
    "RNN_RELU": TorchLayout("elman_relu", 1, _MATRICES | _SUM),
}


def torch_layout(mode: str, projected: bool = False) -> TorchLayout:
    """The layout of a torch layer of this `mode` ("LSTM", "GRU", "RNN_TANH", "RNN_RELU"), with a projection or not."""
    return _PROJECTED if projected else _BY_MODE[mode]


@cache
def names(bias: bool = True, projected: bool = False) -> tuple[str, ...]:
    """Torch's parameters of one direction of a layer, in torch's order, without the suffix."""
    return "weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if bias else ()), *(("weight_hr",) if projected else ())


def of_layer(parameters: Mapping[str, Any], layer: int = 0, reverse: bool = False) -> dict[str, Any]:
    """Those of one direction of one layer ("weight_ih_l0", "weight_ih_l0_reverse"), without the suffix."""
    suffix = f"_l{layer}" + ("_reverse" if reverse else "")
    return {name.removesuffix(suffix): value for name, value in parameters.items() if name.endswith(suffix)}


def to_cell(
    layout: TorchLayout, given: Mapping[str, Any], hidden_size: int, arrays: ArrayLibrary = NUMPY
) -> dict[str, Any]:
    """The cell's tensors in their order, from torch's by name without suffix; biases that are not there are zero."""
    found = {}
    for name, shares in layout.tensors.items():
        total = None
        for source, first, last in shares:
            value = given.get(source)
            if value is None:
                continue
            part = value if last is None else value[first * hidden_size : last * hidden_size]
            if total is None:  # the first share is the longest
                total = part
            else:
                total = total + (part if last is None else arrays.widen(part, len(total) - len(part)))
        if total is None:
            gates = (shares[0].last or layout.gates) - shares[0].first
            total = arrays.zeros(given["weight_ih"], gates * hidden_size)
        found[name] = total
    return found


def from_cell(layout: TorchLayout, tensors: Mapping[str, Any], hidden_size: int) -> dict[str, Any]:
    """Torch's parameters as numpy arrays, by name without suffix, from the cell's tensors: a sum is its first share."""
    found: dict[str, Any] = {}
    for name, shares in layout.tensors.items():
        value = np.asarray(tensors[name])
        for share in shares:
            if share.last is None:
                found[share.name] = value if share is shares[0] else np.zeros_like(value)
            else:
                whole = found.setdefault(share.name, np.zeros(layout.gates * hidden_size, value.dtype))
                if share is shares[0]:
                    whole[share.first * hidden_size : share.last * hidden_size] = value
    return found
