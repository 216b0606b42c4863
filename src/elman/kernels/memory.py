"""Where things lie: addresses and strides, which the kernels borrow for one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from elman.emit import Array
from elman.kernels.encode import size_of


class Weight(NamedTuple):
    """Where a parameter lies: (row, column) is row * row_stride + column * column_stride elements behind `address`."""

    address: int
    row_stride: int = 1
    column_stride: int = 1


class Rows(NamedTuple):
    """A row for each step: `stride` elements apart. With `tokens` (int64 [N]) the row of step n is tokens[n]."""

    address: int
    stride: int
    tokens: int = 0


class StateMemory(NamedTuple):
    """Memory of one state: every step's value (0: only the last is kept), the rows to begin with, rows for the last."""

    sequence: int = 0
    stride: int = 0
    initial: int = 0
    final: int = 0


@dataclass(frozen=True)
class Block:
    """Arrays that share memory of `width` elements a step: side by side in a row, or one behind the other."""

    arrays: tuple[Array, ...]
    width: int
    offsets: Mapping[Array, int]

    @classmethod
    def of(cls, arrays: Sequence[Array], sizes: Mapping[str, int]) -> Block:
        """Lay arrays out, each on a multiple of 16 elements."""
        offsets, width = {}, 0
        for array in arrays:
            offsets[array] = width
            width += -(-size_of(array.size, sizes) // 16) * 16
        return cls(tuple(arrays), width, offsets)

    def table(self, address: int, is_double: bool, tokens: int) -> dict[Array, Rows]:
        """Where each array lies in a table with a row for each token, which holds all arrays side by side."""
        item = 8 if is_double else 4
        return {array: Rows(address + item * offset, self.width, tokens) for array, offset in self.offsets.items()}

    def rows(self, address: int, is_double: bool, steps: int) -> dict[Array, Rows]:
        """Where each array lies, all its rows together: a stream that the processor fetches ahead."""
        item = 8 if is_double else 4
        ends = [*self.offsets.values(), self.width][1:]
        return {
            array: Rows(address + item * offset * steps, end - offset)
            for (array, offset), end in zip(self.offsets.items(), ends, strict=True)
        }
