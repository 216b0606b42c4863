"""Sequences of unequal length in one array, without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DtypeError, ShapeError
from elman.sequences.lanes import LanePlan, ragged


@dataclass(frozen=True, eq=False)
class Ragged:
    """A batch of sequences laid end to end.

    Attributes:
        values: [N, ...], a numpy array or a torch tensor; sequence s is values[offsets[s]:offsets[s + 1]].
        offsets: int64 [B + 1], from 0 to N, never falling; equal neighbours are an empty sequence.

    Raises:
        ShapeError: the offsets do not fit the values.
        DtypeError: the offsets are not integers.
    """

    values: Any
    offsets: NDArray[np.int64]
    _plans: dict[bool, LanePlan] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        offsets = np.asarray(self.offsets)
        if offsets.dtype.kind not in "iu":
            raise DtypeError(f"Ragged: offsets must be integers, got {offsets.dtype}")
        offsets = offsets.astype(np.int64)  # a copy: the plans are kept with it
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or bool((np.diff(offsets) < 0).any()):
            raise ShapeError("Ragged: offsets must be [B + 1], begin at 0 and never fall; lengths? use from_lengths")
        if len(self.values) != offsets[-1]:
            raise ShapeError(f"Ragged: offsets end at {offsets[-1]}, but values has {len(self.values)} rows")
        offsets.flags.writeable = False
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_lengths(cls, values: Any, lengths: ArrayLike) -> Ragged:
        """Take sequences that already lie end to end in `values` [N, ...], each `lengths` [B] long."""
        counts = np.asarray(lengths)
        if counts.size == 0:
            counts = counts.astype(np.int64)
        return cls(values, np.concatenate((np.zeros(1, counts.dtype), np.cumsum(counts))))

    @classmethod
    def from_list(cls, sequences: Sequence[ArrayLike]) -> Ragged:
        """Copy numpy sequences [T_s, ...] into one array. Torch tensors: join with torch.cat and use `from_lengths`."""
        if len(sequences) == 0:
            raise ShapeError("Ragged.from_list: at least one sequence is needed to know the shape of a step")
        arrays = [np.asarray(sequence) for sequence in sequences]
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
        if not -len(self) <= index < len(self):
            raise IndexError(f"Ragged holds {len(self)} sequences; there is no sequence {index}")
        index %= len(self)
        return self.values[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def with_values(self, values: Any) -> Ragged:
        """Give other values [N, ...] with the same lengths; the plans already made are kept."""
        other = Ragged(values, self.offsets)
        other._plans.update(self._plans)
        return other

    def plan(self, reverse: bool = False) -> LanePlan:
        """The lane plan of these lengths, made once."""
        if reverse not in self._plans:
            self._plans[reverse] = ragged(self.offsets, reverse)
        return self._plans[reverse]
