"""Everything that a run continues from, in one file that is either whole or not there.

Tensors: the weights, the optimiser's moments, the carried state and the random generator's state. Beside them, as JSON
in the file's metadata: counters, the position in the text, and what must not have changed meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman.errors import FormatError
from elman.formats import safetensors
from elman.state import State

VERSION = 1
_KEY = "elman.checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """A run at rest: arrays by name, and facts as plain JSON values."""

    tensors: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    facts = {"version": VERSION, **checkpoint.facts}
    safetensors.save(path, checkpoint.tensors, {_KEY: json.dumps(facts)})


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises FormatError where the file is none, or of a version that is not known."""
    tensors, metadata = safetensors.load(path)
    try:
        facts = json.loads(metadata[_KEY])
        version = facts.pop("version")
    except (KeyError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: not a checkpoint of a run ({type(error).__name__}: {error})") from None
    if version != VERSION:
        raise FormatError(f"{path}: a checkpoint of version {version}; this version of Elman reads version {VERSION}")
    return Checkpoint(tensors, facts)


def pack(model: torch.nn.Module, optimiser: torch.optim.Optimizer, state: State | None) -> dict[str, NDArray[Any]]:
    """The arrays of a run, with torch's random state."""
    named: dict[str, torch.Tensor] = {f"model.{name}": p for name, p in model.named_parameters()}
    for index, moments in optimiser.state_dict()["state"].items():
        named |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()}
    named |= {f"state.{name}": value for name, value in (state or {}).items()}
    named["random"] = torch.get_rng_state()
    return {name: tensor.detach().cpu().numpy() for name, tensor in named.items()}


def unpack(checkpoint: Checkpoint, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Put the arrays back where they came from.

    Returns:
        the arrays of the carried state, by name; empty where none was carried.

    Raises:
        FormatError: the checkpoint belongs to another model.
    """
    groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimiser": {}, "state": {}}
    for name, array in checkpoint.tensors.items():
        group, _, rest = name.partition(".")
        if group in groups:
            groups[group][rest] = torch.from_numpy(array)
    expected = {name: p.shape for name, p in model.named_parameters()}
    found = {name: tensor.shape for name, tensor in groups["model"].items()}
    if expected != found or "random" not in checkpoint.tensors:
        different = sorted({name for name, _ in set(expected.items()) ^ set(found.items())})
        raise FormatError(f"the checkpoint is of another model: {', '.join(different)} differ")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(groups["model"][name])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in groups["optimiser"].items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(torch.from_numpy(checkpoint.tensors["random"].astype(np.uint8)))
    return groups["state"]
