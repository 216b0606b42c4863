"""The folder of a run, and the names in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from elman.errors import ConfigError
from elman.formats.atomic import atomic_write, clear_leftovers
from elman.formats.model_file import IN_FOLDER
from elman.train import lock


class RunFolder:
    """A run on the disk: config.toml, metrics.jsonl, the last two checkpoints, model.safetensors.

    Args:
        path: of the folder.

    Raises:
        ConfigError: the path is empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise ConfigError("the name of the run's folder is empty: is a variable unset?")
        self.path = Path(path)
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.previous = self.path / "checkpoint.previous.safetensors"
        self.model = self.path / IN_FOLDER
        self._lock = self.path / ".lock"

    @property
    def _own(self) -> tuple[Path, ...]:
        return self.checkpoint, self.previous, self.model, self.metrics, self.config

    def check(self, overwrite: bool = False) -> None:
        """Raise ConfigError where no run may begin.

        That is in a file; in a folder that another process trains in; and, unless `overwrite`, in a folder with
        something in it.
        """
        if not self.path.is_dir():
            if self.path.exists():
                raise ConfigError(f"{self.path}: a folder for the run expected, got a file; choose another with `run`")
            return
        if self._lock.exists():
            with self.locked():
                self.clear_leftovers()
        self._check_empty(overwrite)

    def _check_empty(self, overwrite: bool) -> None:
        if not overwrite and any(path != self._lock for path in self.path.iterdir()):
            raise ConfigError(
                f"{self.path} is not empty: continue its run with `resume`, begin anew with `overwrite`, "
                "or choose another folder with `run`"
            )

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes out while the block runs. Raises ConfigError where one is in."""
        return lock.locked(self._lock)

    def create(self) -> None:
        """Make the folder. Raises ConfigError where it cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be made a run's folder: {error.strerror}") from None

    def clear(self, overwrite: bool) -> None:
        """Take the files of an earlier run out of the folder; other files stay. The lock must be held.

        Raises:
            ConfigError: there is something, and `overwrite` is not set; or it cannot be removed.
        """
        self._check_empty(overwrite)
        try:
            for path in self._own:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path}: the earlier run cannot be removed: {error.strerror}") from None
        self.clear_leftovers()

    def clear_leftovers(self) -> None:
        """Remove what processes that were killed while they wrote have left. The lock must be held."""
        for path in self._own:
            clear_leftovers(path)

    def check_resumable(self) -> None:
        """Raise ConfigError unless a run can be continued here."""
        if not self.config.is_file():
            raise ConfigError(f"{self.path}: no run to resume (no {self.config.name} there); start without `resume`")

    def write_checkpoint(self, data: bytes) -> None:
        """Write a checkpoint; the one before it is kept."""
        with atomic_write(self.checkpoint, keep=self.previous) as file:
            file.write(data)

    def checkpoint_is_lost(self) -> None:
        """Put the checkpoint before in the place of the last one, which is damaged or was never finished."""
        self.previous.replace(self.checkpoint)

    def write_model(self, data: bytes) -> None:
        """Write the model file."""
        with atomic_write(self.model) as file:
            file.write(data)

    def restore_model(self, data: bytes) -> None:
        """Write the model file where it is not these bytes."""
        if not self.model.exists() or self.model.read_bytes() != data:
            self.write_model(data)

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
