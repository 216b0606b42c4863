"""How well a network does on what it has not learned from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from elman.models import Network
from elman.tasks.task import Columns, Task

_STRETCH = 2048  # steps of one stretch at least: what its start without a past costs is then far below 1%
_MOST_STRETCHES = 32
_STEPS = 512


def measure(network: Network, task: Task, columns: Columns) -> dict[str, float]:
    """The task's measures over one long sequence.

    It is read as up to 32 stretches side by side, each with the state carried along from the stretch's beginning; the
    last few steps go on from the last stretch.

    Args:
        network: put into evaluation mode for the time being.
        task: whose measures.
        columns: at least one step.
    """
    count, tally, was_training = len(columns.inputs), task.tally(), network.training
    stretches = max(1, min(_MOST_STRETCHES, count // _STRETCH))
    whole = stretches * (count // stretches)
    state = None
    network.eval()
    try:
        with torch.inference_mode():
            for inputs, targets in _parts(columns, 0, whole, stretches):
                outputs, state = network.outputs(inputs, state)
                tally.add(outputs, targets)
            state = state.select([stretches - 1]) if state is not None else None
            for inputs, targets in _parts(columns, whole, count, 1):
                outputs, state = network.outputs(inputs, state)
                tally.add(outputs, targets)
    finally:
        network.train(was_training)
    return tally.measures()


def _parts(columns: Columns, begin: int, end: int, streams: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The steps from `begin` to `end` as streams side by side, inputs and targets [K, B, ...] at a time."""
    grids = []
    for column in (columns.inputs, columns.targets):
        stretch = column[begin:end]
        grids.append(stretch.reshape(streams, len(stretch) // streams, *stretch.shape[1:]).swapaxes(0, 1))
    for first in range(0, len(grids[0]), _STEPS):
        inputs, targets = (torch.from_numpy(grid[first : first + _STEPS].copy()) for grid in grids)
        yield inputs, targets
