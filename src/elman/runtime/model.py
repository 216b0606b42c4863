"""A trained model, read from its file: no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from elman.errors import ConfigError
from elman.formats import model_file
from elman.formats.model_file import ModelFile
from elman.runtime.stream import Stream
from elman.sequences.vocabulary import Vocabulary

_IN_FOLDER = "model.safetensors"


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

    def stream(self, batch: int = 1) -> Stream:
        """Begin `batch` sequences side by side; streams of one model share its weights.

        Raises:
            ConfigError: the model reads a sequence from its end as well, or its cell has several inputs.
        """
        return Stream(self.file, batch)


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model.

    Args:
        path: a model file, or the folder of a run.

    Raises:
        FormatError: the file is missing or is no model.
        ConfigError: the folder holds no model yet.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / _IN_FOLDER).exists():
            raise ConfigError(f"{path}: no {_IN_FOLDER} in this folder; a run writes it when it is first validated")
        path = path / _IN_FOLDER
    return Model(model_file.load(path))
