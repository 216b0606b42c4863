"""A trained model, read from its file: no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from elman.data.vocabulary import Vocabulary
from elman.equations import Graph
from elman.errors import ConfigError
from elman.formats import model_file
from elman.formats.model_file import IN_FOLDER, ModelFile
from elman.runtime.fused import FusedLayer
from elman.runtime.reference import ReferenceLayer
from elman.runtime.stream import Stream


@dataclass(frozen=True, eq=False)
class Model:
    """A model that streams. It carries its own equations, so that any cell runs, known here or not."""

    file: ModelFile

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What the tokens mean; None for a model of numbers."""
        return self.file.vocabulary

    @property
    def cell(self) -> str:
        """The name of the first layer's cell."""
        return self.file.graphs[self.file.layers[0][0].cell].name

    def stream(self, batch: int = 1, *, reference: bool = False) -> Stream:
        """Begin `batch` sequences side by side; streams of one model share its weights.

        Args:
            batch: B.
            reference: step through the equations in numpy rather than on the kernels: slower, and to compare with.

        Raises:
            ConfigError: the model reads a sequence from its end as well, or its cell has several inputs.
        """
        return Stream(self.file, self._reference if reference else self._fused, batch)

    @cached_property
    def _fused(self) -> tuple[FusedLayer, ...]:
        return tuple(FusedLayer(*layer) for layer in _layers(self.file))

    @cached_property
    def _reference(self) -> tuple[ReferenceLayer, ...]:
        return tuple(ReferenceLayer(*layer) for layer in _layers(self.file))


def _layers(file: ModelFile) -> list[tuple[Graph, Mapping[str, int], dict[str, NDArray[Any]]]]:
    """Graph, sizes and weights of each layer, if they can be streamed."""
    found = []
    for index, directions in enumerate(file.layers):
        graph = file.graphs[directions[0].cell]
        if len(directions) > 1 or directions[0].reverse:
            raise ConfigError(f"layer {index} reads a sequence from its end: it cannot be streamed")
        if len(graph.inputs) != 1:
            names = ", ".join(port.name for port in graph.inputs)
            raise ConfigError(f"layer {index}: {graph.name} takes the inputs {names}; a stream gives one")
        found.append((graph, directions[0].sizes, file.weights(index)))
    return found


def model_path(path: str | os.PathLike[str]) -> Path:
    """Where a model lies: the file itself, or what is written into the folder of a run."""
    path = Path(path)
    return path / IN_FOLDER if path.is_dir() else path


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model.

    Args:
        path: a model file, or the folder of a run.

    Raises:
        FormatError: the file is missing or is no model.
        ConfigError: the folder holds no model yet.
    """
    file = model_path(path)
    if Path(path).is_dir() and not file.exists():
        raise ConfigError(f"{path}: no {IN_FOLDER} in this folder; a run writes it when it is first validated")
    return Model(model_file.load(file))
