"""The state of a recurrent network as a value: named arrays that can be saved, forked, selected and reset."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import FormatError, ShapeError
from elman.formats import safetensors

_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class State(Mapping[str, Any]):
    """Named arrays, numpy or torch, that share one batch axis. No verb changes a state: each gives a new one.

    Attributes:
        arrays: by name, e.g. {"h": [layers, B, H], "c": [layers, B, H]}.
        axis: the batch axis of every array (1 for stacks [layers, B, size]).
        start: the number that each state of the cell begins with; 0 where it is not named.

    Raises:
        ShapeError: an array without that axis, or batches of unlike size.
    """

    arrays: Mapping[str, Any]
    axis: int = 1
    start: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arrays, axis = dict(self.arrays), self.axis
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "start", {name: float(self.start.get(name, 0.0)) for name in arrays})
        if axis < 0 or any(array.ndim <= axis for array in arrays.values()):
            raise ShapeError(f"State: every array needs a batch axis {axis}, got {self!r}")
        if len({array.shape[axis] for array in arrays.values()}) > 1:
            raise ShapeError(f"State: arrays must have one size along axis {axis}, got {self!r}")

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __repr__(self) -> str:
        parts = [f"{name} {list(array.shape)}" for name, array in self.arrays.items()]
        return f"State({', '.join(parts)}; batch axis {self.axis})"

    @property
    def batch(self) -> int:
        """Sequences, B; 0 for a state without arrays."""
        return next((int(array.shape[self.axis]) for array in self.arrays.values()), 0)

    def select(self, indices: ArrayLike | slice) -> State:
        """Give the states of some sequences, in the order asked for (a beam search picks the survivors this way).

        Args:
            indices: integers (repeats allowed), a slice, or bool [B].

        Raises:
            ShapeError: an index outside the batch.
        """
        chosen = self._indices(indices)
        return self._map(lambda name, array: array[(slice(None),) * self.axis + (chosen,)])

    def fork(self) -> State:
        """Give a copy that shares no memory; torch arrays keep their place in autograd's graph."""
        return self._map(lambda name, array: array.clone() if _is_torch(array) else array.copy())

    def reset(self, where: ArrayLike | slice, start: Mapping[str, Any] | None = None) -> State:
        """Give a state in which some sequences begin anew.

        Args:
            where: which ones: bool [B], integers, or a slice.
            start: value by name, a number or an array of the state's kind that broadcasts against
                [..., chosen, size]; for a name that is left out, this state's own `start`.
        """
        chosen = self._indices(where)
        values = {**self.start, **(start or {})}
        if unknown := sorted(values.keys() - self.keys()):
            raise ShapeError(f"State: there is no {', '.join(unknown)} to reset, the names are {', '.join(self)}")
        begun = self.fork()
        for name, array in begun.items():
            value = values[name]
            array[(slice(None),) * self.axis + (chosen,)] = value.to(array) if _is_torch(value) else value
        return begun

    def detach(self) -> State:
        """Give the same values outside autograd's graph (truncated backpropagation cuts here)."""
        return self._map(lambda name, array: array.detach() if _is_torch(array) else array)

    def to_bytes(self) -> bytes:
        """Give the state in the safetensors layout."""
        return safetensors.dumps({name: _to_numpy(array) for name, array in self.items()}, self._metadata())

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Read `to_bytes` back, as numpy arrays. Raises FormatError where the bytes are no state."""
        return cls._from_tensors(*safetensors.loads(data), "these bytes")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, whole or not at all."""
        safetensors.save(path, {name: _to_numpy(array) for name, array in self.items()}, self._metadata())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> State:
        """Read a saved state, as numpy arrays. Raises FormatError where the file is none."""
        return cls._from_tensors(*safetensors.load(path), str(path))

    def _map(self, change: Callable[[str, Any], Any]) -> State:
        return State({name: change(name, array) for name, array in self.items()}, self.axis, self.start)

    def _indices(self, indices: ArrayLike | slice) -> NDArray[np.int64]:
        asked = indices if isinstance(indices, slice) else _to_numpy(indices)
        if isinstance(asked, np.ndarray) and asked.size == 0 and asked.dtype.kind == "f":  # an empty list
            asked = asked.astype(np.int64)
        try:
            # Copied, because torch takes no indices with negative strides.
            return np.array(np.arange(self.batch)[asked], ndmin=1)
        except IndexError as error:
            raise ShapeError(f"State: cannot choose these of a batch of {self.batch}: {error}") from None

    def _metadata(self) -> dict[str, str]:
        # The layout does not keep the order of its tensors, so the names are listed.
        about = {"version": _VERSION, "axis": self.axis, "names": list(self), "start": dict(self.start)}
        return {"elman.state": json.dumps(about)}

    @classmethod
    def _from_tensors(cls, tensors: Mapping[str, Any], metadata: Mapping[str, str], source: str) -> State:
        if "elman.state" not in metadata:
            raise FormatError(f"{source}: not a saved state (a safetensors file of something else?)")
        try:
            about = json.loads(metadata["elman.state"])
            if about["version"] != _VERSION:
                raise FormatError(f"{source}: a state of version {about['version']}, this release reads {_VERSION}")
            return cls({name: tensors[name] for name in about["names"]}, about["axis"], about["start"])
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise FormatError(f"{source}: a damaged state: {error!r}") from None


def _is_torch(array: Any) -> bool:
    return hasattr(array, "detach")  # so that torch need not be imported to know its tensors


def _to_numpy(array: Any) -> NDArray[Any]:
    return np.asarray(array.detach().cpu() if _is_torch(array) else array)
