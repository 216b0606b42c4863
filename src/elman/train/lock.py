"""One process a run folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ConfigError(f"{path.parent}: cannot be locked: {error.strerror}") from None
    try:
        _take(handle, path)
        os.truncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(handle, 20, 0).decode("ascii", "replace") or "of unknown number"
        raise ConfigError(
            f"{path.parent}: process {owner} is training there: wait until it ends, stop it (kill {owner}), or choose "
            "another folder with `run`"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: cannot be locked: {error.strerror}; choose a folder on a local disk"
        ) from None
