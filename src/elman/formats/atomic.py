"""Files that are either whole or not there."""

from __future__ import annotations

import glob
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, keep: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when it is complete and on the disk.

    The bytes go to a temporary file in the same folder, which replaces `path` when the block ends. If the block
    raises, or the process is killed, `path` is as it was before. A link is followed; permissions are kept. A device or
    a pipe is never replaced: it is given all bytes when the block ends.

    Args:
        path: of the file.
        keep: where the file that was there goes; between the two renames there is no file at `path`.

    Raises:
        OSError: the folder cannot be written.
    """
    if is_device(path):
        buffer = io.BytesIO()
        yield buffer
        with Path(path).open("wb") as device:
            device.write(buffer.getbuffer())
        return
    with _replacing(Path(path).resolve(), keep) as file:
        yield file


def is_device(path: str | os.PathLike[str]) -> bool:
    """Whether a device, a pipe, or this process's standard output is there: something to write to, not to replace."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):  # ValueError: a name with a null character
        return False
    if not stat.S_ISREG(found.st_mode):
        return not stat.S_ISDIR(found.st_mode)
    try:
        return os.path.samestat(found, os.fstat(1))  # /dev/stdout, where a shell has led it into a file
    except OSError:  # closed
        return False


@contextmanager
def _replacing(target: Path, keep: Path | None) -> Iterator[BinaryIO]:
    """A temporary file that takes the target's place when the block ends."""
    # Opened by hand, because tempfile's files can be read by their owner only, whatever the umask says.
    temporary = target.with_name(f"{_stem(target)}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(target.stat().st_mode & 0o7777)
        if keep is not None and target.exists():
            target.replace(keep)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def clear_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while they wrote `path` have left beside it.

    The caller holds what keeps others from writing `path`: what bears the number of this process is of an earlier one.
    """
    target = Path(path).resolve()
    for leftover in target.parent.glob(f"{glob.escape(_stem(target))}.*.tmp"):
        owner = leftover.name.removeprefix(_stem(target)).split(".")[1]
        if not (owner.isdecimal() and int(owner) != os.getpid() and _lives(int(owner))):
            leftover.unlink(missing_ok=True)


def _stem(target: Path) -> str:
    """How the names of a file's temporary files begin."""
    return f".{target.name[:100]}"


def _lives(process: int) -> bool:
    """Whether there is a process of this number; only POSIX answers."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk; only POSIX opens folders."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
