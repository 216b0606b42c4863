"""Files that a command writes at its end: whether they can be written is asked at its beginning."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from elman.errors import ConfigError
from elman.formats.atomic import is_device


def check_target(option: str, path: Path | None) -> None:
    """Raise ConfigError where no file can be written, if one is asked for."""
    if path is None or is_device(path):  # what is there is written to; nothing is made beside it
        return
    if path.is_dir():
        raise ConfigError(f"{option} {path}: a file to write expected, got a folder")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: the folder {path.parent} cannot be written")


def check_output(path: Path, what: str, *, overwrite: bool, reads: Iterable[Path]) -> None:
    """Raise ConfigError unless a command may write its one file, which option `--output` names.

    Args:
        path: the file.
        what: the file's name in a message.
        overwrite: whether a file that is there may be replaced.
        reads: what the command reads: never replaced.
    """
    check_target("--output", path)
    if not path.exists() or is_device(path):
        return
    if any(other.exists() and path.samefile(other) for other in reads):
        raise ConfigError(f"--output {path}: this file is read, so it cannot be replaced: name another for {what}")
    if not overwrite:
        raise ConfigError(f"{path} is there already: replace it with --overwrite, or name {what} with --output")
