"""Where things lie: addresses and strides, which the kernels borrow for one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elman.emit import Array
from elman.kernels._kernels import Rows, StateMemory, Targets, Weight
from elman.kernels.encode import size_of

__all__ = ["Block", "Rows", "StateMemory", "Targets", "Weight"]


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
