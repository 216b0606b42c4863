"""Files of text."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Literal, overload

from elman.errors import DataError


@overload
def read_text(path: str | os.PathLike[str], bytes: Literal[False] = False) -> str: ...
@overload
def read_text(path: str | os.PathLike[str], bytes: Literal[True]) -> bytes: ...
@overload
def read_text(path: str | os.PathLike[str], bytes: bool) -> str | bytes: ...
def read_text(path: str | os.PathLike[str], bytes: bool = False) -> str | bytes:
    """Read a whole file as it stands: line ends are kept; of a text, a byte-order mark at its beginning is no part.

    Args:
        path: a file of text in UTF-8, or any file where `bytes` is set.
        bytes: give the bytes and ask nothing of them.

    Raises:
        DataError: the name is empty; the file is missing, a folder, empty, not readable, or not UTF-8.
    """
    if not os.fspath(path):
        raise DataError("the name of the file is empty: is a variable unset?")
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a file of text expected, got a folder") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise DataError(f"{path!r}: cannot be read: {error}") from None
    if not data or (data == codecs.BOM_UTF8 and not bytes):
        raise DataError(f"{path}: the file is empty")
    if bytes:
        return data
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        position = error.start + len(data) - len(error.object)  # in the file
        line = data.count(b"\n", 0, position) + 1
        raise DataError(
            f"{path}: text in UTF-8 expected, byte 0x{data[position]:02x} at position {position} (line {line}) "
            "is not; convert the file, or set `bytes` to read it as bytes"
        ) from None
