"""The standard streams as a program may find them: closed, or without most characters."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast


def settle() -> None:
    """Let all streams be there, and let no character stop them.

    What is written to a stream that was closed before the program began goes nowhere: whoever closed it wants nothing.
    A closed input is an empty one.
    Characters that a terminal's encoding lacks are written as escapes.
    """
    sys.stdin = sys.stdin or _nowhere("r")
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def release_stdout() -> None:
    """Write out what waits, or let it go nowhere, so that the interpreter's last flush cannot fail once more."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nowhere(mode: str = "w") -> TextIO:
    return cast("TextIO", io.open(os.devnull, mode, encoding="utf-8"))  # noqa: UP020
