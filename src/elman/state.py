"""The state of a recurrent network as a value: named arrays that can be saved, forked, selected and reset."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.arrays import as_array
from elman.checks import as_float, as_path, of_kind, shown, whole
from elman.errors import ConfigError, DtypeError, FormatError, ShapeError
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
        DtypeError, ConfigError: what should be arrays are none, or names or numbers are of another kind.
    """

    arrays: Mapping[str, Any]
    axis: int = 1
    start: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arrays, axis = _checked_arrays(self.arrays), self.axis
        if type(axis) is not int:
            axis = whole("State: axis", axis)
            object.__setattr__(self, "axis", axis)
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "start", _checked_start(self.start, arrays))
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
            DtypeError: no integers, slice or bool.
        """
        chosen = self._indices(indices)
        return self._map(lambda name, array: array[(slice(None),) * self.axis + (chosen,)])

    def fork(self) -> State:
        """Give a copy that shares no memory; torch arrays keep their place in autograd's graph."""
        return self._map(lambda name, array: array.clone() if is_torch(array) else array.copy())

    def reset(self, where: ArrayLike | slice, start: Mapping[str, Any] | None = None) -> State:
        """Give a state in which some sequences begin anew.

        Args:
            where: which ones: bool [B], integers, or a slice.
            start: value by name, a number or an array of the state's kind that broadcasts against
                [..., chosen, size]; for a name that is left out, this state's own `start`.

        Raises:
            ShapeError: an index outside the batch, an unknown name, or a value that does not broadcast.
            DtypeError, ConfigError: arguments of another kind.
        """
        chosen = self._indices(where)
        of_kind("start", {} if start is None else start, Mapping, "values by name, or None")
        values = {**self.start, **(start or {})}
        if unknown := sorted(map(str, values.keys() - self.keys())):
            raise ShapeError(f"State: there is no {', '.join(unknown)} to reset, the names are {', '.join(self)}")
        begun = self.fork()
        for name, array in begun.items():
            value = values[name]
            place = (slice(None),) * self.axis + (chosen,)
            try:
                array[place] = value.to(array) if is_torch(value) else value
            except (OverflowError, RuntimeError, TypeError, ValueError) as error:
                raise ShapeError(f"State: {name} cannot begin with {shown(value)}: {error}") from None
        return begun

    def detach(self) -> State:
        """Give the same values outside autograd's graph (truncated backpropagation cuts here)."""
        return self._map(lambda name, array: array.detach() if is_torch(array) else array)

    def to_bytes(self) -> bytes:
        """Give the state in the safetensors layout."""
        return safetensors.dumps({name: to_numpy(array) for name, array in self.items()}, self._metadata())

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Read `to_bytes` back, as numpy arrays. Raises FormatError where the bytes are no state."""
        of_kind("data", data, bytes | bytearray | memoryview, "bytes")
        return cls._from_tensors(*safetensors.loads(data), "these bytes")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, whole or not at all."""
        safetensors.save(
            as_path("path", path), {name: to_numpy(array) for name, array in self.items()}, self._metadata()
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> State:
        """Read a saved state, as numpy arrays. Raises FormatError where the file is none."""
        return cls._from_tensors(*safetensors.load(as_path("path", path)), str(path))

    def _map(self, change: Callable[[str, Any], Any]) -> State:
        return State({name: change(name, array) for name, array in self.items()}, self.axis, self.start)

    def _indices(self, indices: ArrayLike | slice) -> NDArray[np.int64]:
        if isinstance(indices, slice):
            try:
                return np.arange(self.batch)[indices].copy()  # copied: torch takes no indices with negative strides
            except TypeError as error:
                raise DtypeError(f"State: cannot choose {indices}: {error}") from None
        asked = as_array(to_numpy(indices) if is_torch(indices) else indices)
        if asked is None:
            raise DtypeError(f"State: integers, bool or a slice choose, got {shown(indices)}")
        if asked.size == 0 and asked.dtype.kind == "f":  # an empty list
            asked = asked.astype(np.int64)
        if asked.dtype.kind not in "iub" or asked.ndim > 1 or (asked.ndim == 0 and asked.dtype.kind == "b"):
            raise DtypeError(f"State: integers [n], bool [{self.batch}] or a slice choose, got {shown(indices)}")
        try:
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
        except (AttributeError, ConfigError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise FormatError(f"{source}: a damaged state: {error!r}") from None


def is_torch(array: Any) -> bool:
    """Whether it is a tensor of torch, which need not be imported for that."""
    return hasattr(array, "detach")


def to_numpy(array: Any) -> NDArray[Any]:
    """The values as a numpy array."""
    return np.asarray(array.detach().cpu() if is_torch(array) else array)


def _checked_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the mapping, if it holds arrays by name."""
    of_kind("State: arrays", arrays, (dict, Mapping), "arrays by name")
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise ConfigError(f"State: names must be text, got {shown(name)}")
        is_array = isinstance(array, np.ndarray)
        if not is_array and not is_torch(array):
            raise DtypeError(f"State: {name} must be an array of numbers, got {shown(array)}")
        if is_array and array.dtype.kind not in "fiubc":
            raise DtypeError(f"State: {name} must be an array of numbers, got an array of {array.dtype}")
    return dict(arrays)


def _checked_start(start: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """A number for each name."""
    of_kind("State: start", start, (dict, Mapping), "numbers by name")
    numbers = {name: as_float(start[name]) if name in start else 0.0 for name in names}
    if wrong := [name for name, number in numbers.items() if number is None]:
        raise ConfigError(f"State: {wrong[0]} must start with a number, got {shown(start[wrong[0]])}")
    return numbers  # type: ignore[return-value]
