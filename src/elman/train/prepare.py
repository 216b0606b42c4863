"""From a configuration to all that a run works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from elman import tasks
from elman.cells.from_file import find_cell, settled
from elman.data import readers, splits
from elman.errors import ConfigError
from elman.models import Network, Stack
from elman.tasks.task import Columns, Task
from elman.train.config import Config
from elman.train.memory import check_memory


@dataclass(frozen=True, eq=False)
class Experiment:
    """What a run works on.

    Attributes:
        config: good from any folder, with the digest of the data and the hash of the equations.
        task: what is to be learned.
        network: trained in place.
        training, held_out: the two parts of the data.
    """

    config: Config
    task: Task
    network: Network
    training: Columns
    held_out: Columns


def absolute(config: Config) -> Config:
    """The same configuration, good from any folder, with the number of threads that a run by steps keeps."""
    budget = config.budget
    return config.replaced(
        {
            "cell": settled(config.network.cell),
            "source": None if config.source is None else _absolute(config.source),
            "threads": budget.threads or (torch.get_num_threads() if budget.steps else 0),
        }
    )


def prepare(config: Config) -> Experiment:
    """Read the data and build the network.

    Raises:
        ElmanError: the data, the cell or the sizes cannot be used.
    """
    kind = tasks.get(config.task)
    dataset = readers.read(config.source, bytes=config.data.bytes)
    task = kind.of(dataset)
    training, held_out = (task.columns(part) for part in splits.hold_out_end(dataset, config.data.validation))
    network = _network(config, task, len(training.inputs))
    made_of = {"digest": dataset.digest, "equations": network.recurrent.graph.hash}
    return Experiment(absolute(config).replaced(made_of), task, network, training, held_out)


def _network(config: Config, task: Task, steps: int) -> Network:
    asked = config.network
    stack = Stack(find_cell(asked.cell), asked.hidden, asked.layers, asked.dropout, asked.sizes)
    check_memory(task.input.size, stack, task.head, min(steps, config.optimiser.batch * config.optimiser.chunk))
    torch.manual_seed(config.optimiser.seed)
    try:
        return Network(task.input, stack, task.head)
    except (MemoryError, RuntimeError):  # torch's allocator raises the latter
        raise ConfigError(
            f"`hidden` {asked.hidden} in `layers` {asked.layers}: a model of that size does not fit into memory"
        ) from None


def _absolute(source: str) -> str:
    return str(Path(source).resolve()) if source else source
