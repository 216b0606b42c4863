"""The hash of a layer's equations as a tensor, so that everything in a state_dict is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from elman.equations import Graph
from elman.errors import EquationError

EXTRA_STATE = "_extra_state"  # torch's name for it in a state_dict
_VERSION = 1
_BYTES = 32


def fingerprint(graph: Graph) -> Tensor:
    """A one, then bits: of the version of this form, of the graph's hash, and of its cell's name in UTF-8 (float32).

    Bits are told by their share of the largest, so that they are still what they were after a cast, an average, a
    moving average or a scaling of all weights, in place or not.
    """
    data = bytes([_VERSION, *bytes.fromhex(graph.hash), *graph.name.encode()])
    bits = [value >> place & 1 for value in data for place in range(8)]
    return torch.tensor([1, *bits], dtype=torch.float32, device="cpu")


def check_fingerprint(state: Any, graph: Graph) -> None:
    """Raise EquationError unless `state`, a tensor or the dictionary of old files, belongs to these equations."""
    name, theirs = _read(state)
    if theirs != graph.hash:
        raise EquationError(
            f"{graph.name}: these weights belong to other equations (cell {name!r}, hash {str(theirs)[:12]}, here "
            f"{graph.hash[:12]}); load them into the cell that they were trained with"
        )


def _read(state: Any) -> tuple[str | None, str | None]:
    """The cell's name and the hash; None for what is not there."""
    if isinstance(state, Mapping):
        return state.get("cell"), state.get("graph")
    if not isinstance(state, Tensor) or state.dim() != 1 or len(state) <= 8 * _BYTES or state.is_complex():
        return None, None
    one, *values = state.tolist()
    if not 0 < one < math.inf or any(math.isnan(value) for value in values):
        return None, None
    bits = [value > one / 2 for value in values]
    data = bytes(sum(bit << place for place, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8))
    if data[0] != _VERSION:
        return None, None
    return data[1 + _BYTES :].decode(errors="replace"), data[1 : 1 + _BYTES].hex()
