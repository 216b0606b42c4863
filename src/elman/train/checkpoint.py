"""Everything that a run continues from, in one sealed file that is either whole or not there.

Tensors: the weights, the optimiser's moments, the carried state, the random generator's state, and the best model's
file, byte by byte. Beside them, as JSON in the file's metadata: the settings, counters, and the position in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from elman.errors import ConfigError, FormatError
from elman.formats import safetensors, sealed
from elman.models import Network
from elman.state import State
from elman.train.config import Config

VERSION = 2
_KEY = "elman.checkpoint"
_BEST = "best"
_GROUPS = ("model", "optimiser", "state")

Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Arrays = dict[str, NDArray[Any]]


class Counters(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a run has done.

    Attributes:
        step, tokens, seconds, validation_seconds: so far.
        marked: the progress after the last step, by which metrics and validations are due.
        loss: the running mean.
        measures: of the best model, by name.
        step_of_best: when it was reached.
    """

    step: Count = 0
    marked: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    tokens: Count = 0
    seconds: Amount = 0.0
    validation_seconds: Amount = 0.0
    loss: float = 0.0
    measures: dict[str, float] = {}
    step_of_best: Count = 0

    @property
    def best(self) -> float | None:
        """The first measure of the best model; None before there is one."""
        return next(iter(self.measures.values()), None)


class Facts(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is no tensor.

    Attributes:
        config: the settings.
        counters: what was done.
        streams: the position in the data.
        metrics: bytes of metrics that tell of these steps.
    """

    config: Config
    counters: Counters
    streams: dict[str, int]
    metrics: Count


@dataclass(frozen=True)
class Checkpoint:
    """A run at rest.

    Attributes:
        tensors: as `pack` gives them.
        best: the file of the best model; empty before there is one.
        facts: what is no tensor.
    """

    tensors: Mapping[str, NDArray[Any]]
    best: bytes
    facts: Facts


def dumps(checkpoint: Checkpoint) -> bytes:
    """Give the bytes of a checkpoint."""
    about = {"version": VERSION, "facts": checkpoint.facts}
    tensors = {**checkpoint.tensors, _BEST: np.frombuffer(checkpoint.best, np.uint8)}
    return sealed.dumps(tensors, {_KEY: msgspec.json.encode(about).decode()})


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises FormatError where the file is none, is damaged, or of a version that is not known."""
    tensors, metadata = sealed.loads(safetensors.read_bytes(path), str(path))
    try:
        about = msgspec.json.decode(metadata[_KEY], type=dict[str, msgspec.Raw])
        version = msgspec.json.decode(about["version"], type=int)
        if version != VERSION:
            raise FormatError(f"{path}: a checkpoint of version {version}; this version of Elman reads {VERSION}")
        if sealed.KEY not in metadata:
            raise FormatError(f"{path}: has no checksum: it was changed by something else than Elman")
        facts = msgspec.json.decode(about["facts"], type=Facts)
    except (KeyError, ConfigError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a checkpoint of a run ({type(error).__name__}: {error})") from None
    best = tensors.pop(_BEST, None)
    if best is None or best.dtype != np.uint8:
        raise FormatError(f"{path}: not a checkpoint of a run: it lacks the best model")
    return Checkpoint(tensors, best.tobytes(), facts)


def pack(network: Network, optimiser: torch.optim.Optimizer, state: State | None) -> Arrays:
    """The arrays of a run, with torch's random state."""
    named: dict[str, torch.Tensor] = {f"model.{name}": p for name, p in network.named_parameters()}
    for index, moments in optimiser.state_dict()["state"].items():
        named |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()}
    named |= {f"state.{name}": value for name, value in (state or {}).items()}
    named["random"] = torch.get_rng_state()
    return {name: tensor.detach().cpu().numpy() for name, tensor in named.items()}


def unpack(
    tensors: Mapping[str, NDArray[Any]], network: Network, optimiser: torch.optim.Optimizer, batch: int
) -> State | None:
    """Put the arrays back where they came from.

    Args:
        tensors: as `pack` gave them.
        network, optimiser: take theirs.
        batch: B of the carried state.

    Returns:
        the carried state; None where none was carried.

    Raises:
        FormatError: the arrays belong to another network, or are not those of a run.
    """
    groups: dict[str, dict[str, torch.Tensor]] = {group: {} for group in _GROUPS}
    for name, array in tensors.items():
        group, _, rest = name.partition(".")
        if group in groups:
            groups[group][rest] = torch.from_numpy(array)
    weights = dict(network.named_parameters())
    _check_alike(groups["model"], weights)
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.copy_(groups["model"][name])
    _restore_rest(groups["optimiser"], tensors.get("random"), list(weights.values()), optimiser)
    return _state(groups["state"], network, batch)


def _restore_rest(
    found: Mapping[str, torch.Tensor],
    random: NDArray[Any] | None,
    weights: list[torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Give the optimiser its moments, and torch its random state."""
    moments = _moments(found, weights)
    if random is None:
        raise FormatError("the checkpoint lacks the random generator's state")
    try:
        optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
        torch.set_rng_state(torch.from_numpy(random.astype(np.uint8)))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise FormatError(f"the checkpoint's random state or moments are damaged: {error!r}") from None


def _check_alike(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    kinds = [{(name, t.shape, t.dtype) for name, t in tensors.items()} for tensors in (found, expected)]
    if different := sorted({name for name, _, _ in kinds[0] ^ kinds[1]}):
        raise FormatError(f"the checkpoint is of another model: {', '.join(different)} differ")


def _moments(
    found: Mapping[str, torch.Tensor], weights: list[torch.nn.Parameter]
) -> dict[int, dict[str, torch.Tensor]]:
    """The optimiser's tensors by parameter and name: all parameters have the same ones, or none has any."""
    moments: dict[int, dict[str, torch.Tensor]] = {index: {} for index in range(len(weights))}
    for name, tensor in found.items():
        index, _, key = name.partition(".")
        if not index.isdecimal() or int(index) not in moments:
            raise FormatError(f"the checkpoint's moment {name} belongs to no parameter")
        if tensor.shape not in ((), weights[int(index)].shape):
            raise FormatError(f"the checkpoint's moment {name} has the shape {list(tensor.shape)} of no parameter")
        moments[int(index)][key] = tensor
    if len({frozenset(each) for each in moments.values()}) > 1:
        raise FormatError("the checkpoint lacks moments of some parameters")
    return moments if found else {}


def _state(found: Mapping[str, torch.Tensor], network: Network, batch: int) -> State | None:
    if not found:
        return None
    recurrent = network.recurrent
    layers, ports = recurrent.num_layers * recurrent.directions, recurrent.graph.states
    expected = {port.name: (layers, batch, recurrent.sizes.get(port.size, 1)) for port in ports}
    if {name: tuple(tensor.shape) for name, tensor in found.items()} != expected:
        raise FormatError("the checkpoint's carried state does not fit the cell")
    return State(found, axis=1, start={port.name: port.start for port in ports})
