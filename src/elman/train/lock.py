"""One process a run folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from elman.errors import ConfigError

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no such locks; there nothing is held
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, which is made and stays; it holds the number of the process.

    Raises:
        ConfigError: another process, or another run in this one, holds it; or the file cannot be made.
    """
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise ConfigError(f"{path.parent}: cannot be locked: {error.strerror}") from None
    with file:
        _take(file, path)
        with suppress(OSError):  # a full disk: the lock holds without the number
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        yield


def _take(file: BinaryIO, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().decode("ascii", "replace")
        cure = f"stop it (kill {owner})" if owner else "stop it"
        raise ConfigError(
            f"{path.parent}: process {owner or '(its number is not known)'} is training there: wait until it ends, "
            f"{cure}, or choose another folder with `run`"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: cannot be locked: {error.strerror}; choose a folder on a local disk"
        ) from None
