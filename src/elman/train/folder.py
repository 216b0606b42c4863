"""The folder of a run, and the names in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import ConfigError
from elman.formats.model_file import IN_FOLDER


class RunFolder:
    """A run on the disk: config.toml, metrics.jsonl, checkpoint.safetensors, model.safetensors."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.model = self.path / IN_FOLDER

    def check(self, overwrite: bool = False) -> None:
        """Raise ConfigError where no run may begin: in a file, or (unless `overwrite`) in a folder with something."""
        if not self.path.is_dir():
            if self.path.exists():
                raise ConfigError(f"{self.path}: a folder for the run expected, got a file; choose another with --run")
        elif not overwrite and any(self.path.iterdir()):
            raise ConfigError(
                f"{self.path} is not empty: continue its run with --resume, begin anew with --overwrite, "
                "or choose another folder with --run"
            )

    def create(self) -> None:
        """Make the folder, or take the files of an earlier run out of it; other files stay.

        Raises:
            ConfigError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for path in (self.checkpoint, self.model, self.metrics, self.config):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be made a run's folder: {error.strerror}") from None

    def open(self) -> None:
        """Raise ConfigError unless a run can be continued here."""
        if not self.config.is_file():
            raise ConfigError(f"{self.path}: no run to resume (no {self.config.name} there); start without --resume")

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Add one line to the metrics."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values, separators=(",", ":")) + "\n")

    def metrics_size(self) -> int:
        """Bytes of metrics so far."""
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def cut_metrics(self, size: int) -> None:
        """Forget the lines after the first `size` bytes: the steps that they tell of are done again."""
        if self.metrics_size() > size:
            os.truncate(self.metrics, size)
