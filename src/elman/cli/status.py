"""What the program's exit status means."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """0 is success; from 128 on, 128 + the number of the signal that ended the program."""

    OK = 0
    ERROR = 1
    USAGE = 2
    HUNG_UP = 129
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143
