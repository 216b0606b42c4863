"""The hash of a layer's equations as a tensor, so that everything in a state_dict is one."""

from __future__ import annotations

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
    """The version of this form, the 32 bytes of the graph's hash, then its cell's name in UTF-8: float32, each 0 … 255.

    Such numbers are still what they were after a cast, an average or a moving average, in place or not, of weights.
    """
    values = [_VERSION, *bytes.fromhex(graph.hash), *graph.name.encode()]
    return torch.tensor(values, dtype=torch.float32, device="cpu")


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
    if not isinstance(state, Tensor) or state.dim() != 1 or len(state) <= _BYTES:
        return None, None
    if state.is_complex() or not bool(state.isfinite().all()):
        return None, None
    version, *values = [round(value) for value in state.tolist()]
    if version != _VERSION or not all(0 <= value <= 255 for value in values):
        return None, None
    return bytes(values[_BYTES:]).decode(errors="replace"), bytes(values[:_BYTES]).hex()
