"""A trained model, read from its file: no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from elman.checks import as_path, of_kind, whole
from elman.data.vocabulary import Vocabulary
from elman.errors import ConfigError
from elman.formats import model_file
from elman.formats.model_file import IN_FOLDER, ModelFile
from elman.runtime.pipeline import Pipeline
from elman.runtime.room import MOST_ROWS
from elman.runtime.stream import Stream
from elman.runtime.team import Team


@dataclass(frozen=True, eq=False)
class Model:
    """A model that streams. It carries its own equations, so that any cell runs, known here or not."""

    file: ModelFile

    def __post_init__(self) -> None:
        """Weights never change, since streams share them and have parts of them laid out anew."""
        of_kind("file", self.file, ModelFile, "a ModelFile (elman.load reads one)")
        tensors = {name: _unchanging(tensor) for name, tensor in self.file.tensors.items()}
        object.__setattr__(self, "file", replace(self.file, tensors=tensors))

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What the tokens mean; None for a model of numbers."""
        return self.file.vocabulary

    @property
    def cell(self) -> str:
        """The name of the first layer's cell."""
        return self.file.graphs[self.file.layers[0][0].cell].name

    def stream(self, batch: int = 1, *, reference: bool = False, threads: int = 0) -> Stream:
        """Begin `batch` sequences side by side; streams of one model share its weights.

        Args:
            batch: B.
            reference: step through the equations in numpy rather than on the kernels: slower, and to compare with.
            threads: that a step may take; 0: by the work, and at most ELMAN_NUM_THREADS or the cores there are.

        Raises:
            ConfigError: the model reads a sequence from its end as well, its cell has several inputs, memory does not
                suffice for so many sequences, or an argument is of the wrong kind.
        """
        of_kind("reference", reference, bool, "True or False")
        batch, team = whole("batch", batch, 1, MOST_ROWS), Team(threads)
        return Stream(self.reference if reference else self.pipeline, batch, team)

    @cached_property
    def pipeline(self) -> Pipeline:
        """What its streams and steppers share."""
        return Pipeline.of(self.file)

    @cached_property
    def reference(self) -> Pipeline:
        """The same through the equations."""
        return Pipeline.of(self.file, reference=True)


def model_path(path: str | os.PathLike[str]) -> Path:
    """Where a model lies: the file itself, or what is written into the folder of a run."""
    path = as_path("path", path)
    return path / IN_FOLDER if path.is_dir() else path


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model.

    Args:
        path: a model file, or the folder of a run.

    Raises:
        FormatError: the file is missing or is no model.
        ConfigError: the folder holds no model yet, or this is no path.
    """
    place = model_path(path)
    if Path(path).is_dir() and not place.exists():
        raise ConfigError(f"{path}: no {IN_FOLDER} in this folder; a run writes it when it is first validated")
    file = model_file.load(place)
    for tensor in file.tensors.values():
        tensor.flags.writeable = False
    return Model(file)


def _unchanging(tensor: NDArray[Any]) -> NDArray[Any]:
    """The array, or if it may be written a copy that may not."""
    if tensor.flags.writeable:
        tensor = tensor.copy()
        tensor.flags.writeable = False
    return tensor
