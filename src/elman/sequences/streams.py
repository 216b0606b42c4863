"""Truncated backpropagation through time: a long text as parallel streams, cut into chunks.

Reference: Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent networks".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some steps of every stream.

    Attributes:
        inputs: int64 [K, B], tokens.
        targets: int64 [K, B], each the token that follows.
        first: whether the streams begin here, so that no state is carried in.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    first: bool


class Streams:
    """Tokens laid out as B contiguous streams side by side, read K steps at a time.

    Stream b holds the targets b * length + 1 ... (b + 1) * length, so the state after a chunk is the state that the
    next chunk begins with. At most B - 1 tokens at the end of the text are left out; the last chunk of an epoch may be
    shorter. Iterating gives the rest of the current epoch; the position can be saved and restored.

    Args:
        tokens: integers [N].
        batch: B, streams.
        steps: K, steps of a chunk.

    Raises:
        ConfigError: batch or steps below 1.
        DataError: too few tokens for the streams.
    """

    def __init__(self, tokens: ArrayLike, batch: int, steps: int) -> None:
        if batch < 1 or steps < 1:
            raise ConfigError(f"streams: batch and steps must be >= 1, got {batch} and {steps}")
        array = np.asarray(tokens)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise DataError(f"streams: one axis of integer tokens expected, got {array.dtype} {list(array.shape)}")
        if len(array) <= batch:
            raise DataError(
                f"streams: {batch} streams need at least {batch + 1} tokens, got {len(array)}; use a smaller batch"
            )
        self.batch, self.steps = batch, steps
        self.length = (len(array) - 1) // batch
        self._inputs = array[: batch * self.length].reshape(batch, self.length)
        self._targets = array[1 : batch * self.length + 1].reshape(batch, self.length)
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
            DataError: it was saved over other tokens or another batch, where going on would repeat and skip text.
        """
        expected = self.state_dict()
        if missing := sorted(expected.keys() - state.keys()):
            raise DataError(f"streams: the saved position lacks {', '.join(missing)}")
        for name in ("batch", "length", "checksum"):
            if state[name] != expected[name]:
                raise DataError(
                    f"streams: the saved position belongs to {name} {state[name]}, this text has {expected[name]}"
                )
        if not 0 <= state["position"] < self.length or state["epoch"] < 0:
            raise DataError(f"streams: a position from 0 to {self.length - 1} expected, got {state['position']}")
        self.epoch, self.position = state["epoch"], state["position"]

    @staticmethod
    def _columns(grid: NDArray[np.integer], begin: int, end: int) -> NDArray[np.int64]:
        return np.ascontiguousarray(grid[:, begin:end].T, dtype=np.int64)

    @cached_property
    def _checksum(self) -> int:
        whole = zlib.crc32(np.ascontiguousarray(self._inputs, dtype="<i8").data)
        return zlib.crc32(np.ascontiguousarray(self._targets[-1:, -1], dtype="<i8").data, whole)
