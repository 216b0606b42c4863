"""Sequences of unequal length in one array, without padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DtypeError, ShapeError


@dataclass(frozen=True, eq=False)
class Ragged:
    """A batch of sequences laid end to end.

    Attributes:
        values: [N, ...], a numpy array or a torch tensor; sequence s is values[offsets[s]:offsets[s + 1]].
        offsets: int64 [B + 1], from 0 to N, never falling; equal neighbours are an empty sequence.

    Raises:
        ShapeError: the offsets do not fit the values.
        DtypeError: the offsets are not integers, or the values no array.
    """

    values: Any
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        offsets = _integers(self.offsets, "offsets")
        if len(offsets) == 0 or offsets[0] != 0 or bool((np.diff(offsets) < 0).any()):
            raise ShapeError("Ragged: offsets must be [B + 1], begin at 0 and never fall; lengths? use from_lengths")
        rows = _rows(self.values)
        if rows != offsets[-1]:
            raise ShapeError(f"Ragged: offsets end at {offsets[-1]}, but values has {rows} rows")
        offsets.flags.writeable = False
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_lengths(cls, values: Any, lengths: ArrayLike) -> Ragged:
        """Take sequences that already lie end to end in `values` [N, ...], each `lengths` [B] long."""
        counts = _integers(lengths, "lengths")
        if bool((counts < 0).any()):
            raise ShapeError(f"Ragged: lengths must be at least 0, got {counts.min()}")
        if counts.sum() != _rows(values):
            raise ShapeError(f"Ragged: lengths add up to {counts.sum()}, but values has {_rows(values)} rows")
        return cls(values, np.concatenate(([0], np.cumsum(counts))))

    @classmethod
    def from_list(cls, sequences: Sequence[ArrayLike]) -> Ragged:
        """Copy numpy sequences [T_s, ...] into one array. Torch tensors: join with torch.cat and use `from_lengths`."""
        if not isinstance(sequences, Iterable):
            raise DtypeError(f"Ragged.from_list: a list of arrays expected, got {type(sequences).__name__}")
        try:
            arrays = [np.asarray(sequence) for sequence in sequences]
        except (ValueError, TypeError, RuntimeError) as error:
            why = f"a sequence makes no numpy array ({error})"
            raise DtypeError(f"Ragged.from_list: {why}; torch tensors: torch.cat and from_lengths") from error
        if not arrays:
            raise ShapeError("Ragged.from_list: at least one sequence is needed to know the shape of a step")
        if any(array.ndim == 0 for array in arrays):
            raise ShapeError("Ragged.from_list: each sequence needs an axis of steps, [T_s, ...], got a single number")
        shapes = {array.shape[1:] for array in arrays}
        if len(shapes) > 1:
            raise ShapeError(f"Ragged.from_list: steps must have one shape, got {sorted(map(list, shapes))}")
        return cls.from_lengths(np.concatenate(arrays), [len(array) for array in arrays])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each sequence, [B]."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Any:
        """The steps of one sequence, a view of the values."""
        if not isinstance(index, Integral):
            raise DtypeError(f"Ragged: an index is a whole number, got {index!r:.60}; slice .values or .offsets")
        if not -len(self) <= index < len(self):
            raise IndexError(f"Ragged holds {len(self)} sequences; there is no sequence {index}")
        index %= len(self)
        return self.values[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def with_values(self, values: Any) -> Ragged:
        """Give other values [N, ...] with the same lengths."""
        return Ragged(values, self.offsets)


def _integers(numbers: Any, name: str) -> NDArray[np.int64]:
    """A copy of integers along one axis."""
    try:
        array = np.asarray(numbers)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DtypeError(f"Ragged: {name} must be integers, one a sequence, got {numbers!r:.60}") from error
    if array.ndim != 1:
        raise ShapeError(f"Ragged: {name} must have one axis, one number a sequence, got shape {list(array.shape)}")
    if array.size and array.dtype.kind not in "iu":
        raise DtypeError(f"Ragged: {name} must be integers, got {array.dtype}")
    return array.astype(np.int64)


def _rows(values: Any) -> int:
    """N."""
    if not hasattr(values, "shape") or len(values.shape) == 0:
        got = "a single number" if hasattr(values, "shape") else type(values).__name__
        raise DtypeError(f"Ragged: values must be a numpy array or a torch tensor [N, ...], got {got}")
    return int(values.shape[0])
