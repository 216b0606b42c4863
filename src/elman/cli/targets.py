"""Files that a command writes at its end: whether they can be written is asked at its beginning."""

from __future__ import annotations

import os
from pathlib import Path

from elman.errors import ConfigError


def check_target(option: str, path: Path | None) -> None:
    """Raise ConfigError where no file can be written, if one is asked for."""
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{option} {path}: a file to write expected, got a folder")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: the folder {path.parent} cannot be written")
