"""Truncated backpropagation through time: a long sequence as parallel streams, cut into chunks.

Reference: Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent networks".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some steps of every stream.

    Attributes:
        inputs: [K, B, ...].
        targets: [K, B, ...], what each step is to give.
        first: whether the streams begin here, so that no state is carried in.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    first: bool


class Streams:
    """One long sequence laid out as B contiguous streams side by side, read K steps at a time.

    Stream b holds the steps b * length ... (b + 1) * length - 1, so the state after a chunk is the state that the next
    chunk begins with. At most B - 1 steps at the end are left out; the last chunk of an epoch may be shorter.
    Iterating gives the rest of the current epoch; the position can be saved and restored.

    Args:
        inputs: [N, ...], integers stand for tokens.
        targets: [N, ...].
        batch: B, streams.
        steps: K, steps of a chunk.

    Raises:
        ConfigError: batch or steps below 1.
        DataError: inputs and targets of unlike length; too few steps for the streams.
    """

    def __init__(self, inputs: ArrayLike, targets: ArrayLike, batch: int, steps: int) -> None:
        if batch < 1 or steps < 1:
            raise ConfigError(f"streams: `batch` and `steps` must be >= 1, got {batch} and {steps}")
        columns = [np.asarray(column) for column in (inputs, targets)]
        if any(column.ndim < 1 or len(column) != len(columns[0]) for column in columns):
            shapes = " and ".join(str(list(column.shape)) for column in columns)
            raise DataError(f"streams: inputs and targets of one length expected, got {shapes}")
        if len(columns[0]) < batch:
            raise DataError(
                f"{batch} streams side by side need at least {batch} steps to train on, got {len(columns[0])}; "
                "a longer sequence, or a smaller `batch`"
            )
        self.batch, self.steps = batch, steps
        self.length = len(columns[0]) // batch
        self._inputs, self._targets = (
            column[: batch * self.length].reshape(batch, self.length, *column.shape[1:]) for column in columns
        )
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Chunks in a whole epoch."""
        return -(-self.length // self.steps)

    def __iter__(self) -> Iterator[Chunk]:
        """The chunks from the position to the end of the epoch; the position moves on before a chunk is given."""
        epoch = self.epoch
        while self.epoch == epoch:
            begin = self.position
            end = min(begin + self.steps, self.length)
            self.position = end % self.length
            self.epoch += end == self.length
            yield Chunk(self._columns(self._inputs, begin, end), self._columns(self._targets, begin, end), begin == 0)

    def state_dict(self) -> dict[str, int]:
        """The position, and what it is a position in, as plain numbers."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "batch": self.batch,
            "length": self.length,
            "checksum": self._checksum,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to a saved position.

        Raises:
            DataError: it was saved over other steps or another batch, where going on would repeat and skip steps.
        """
        expected = self.state_dict()
        if missing := sorted(expected.keys() - state.keys()):
            raise DataError(f"streams: the saved position lacks {', '.join(missing)}")
        for name in ("batch", "length", "checksum"):
            if state[name] != expected[name]:
                raise DataError(
                    f"streams: the saved position belongs to {name} {state[name]}, this one has {expected[name]}"
                )
        if not 0 <= state["position"] < self.length or state["epoch"] < 0:
            raise DataError(f"streams: a position from 0 to {self.length - 1} expected, got {state['position']}")
        self.epoch, self.position = state["epoch"], state["position"]

    @staticmethod
    def _columns(grid: NDArray[Any], begin: int, end: int) -> NDArray[Any]:
        return np.ascontiguousarray(grid[:, begin:end].swapaxes(0, 1))

    @cached_property
    def _checksum(self) -> int:
        whole = 0
        for grid in (self._inputs, self._targets):
            whole = zlib.crc32(np.ascontiguousarray(grid, dtype=grid.dtype.newbyteorder("<")).data.cast("B"), whole)
        return whole
