"""Whether memory suffices, asked before it is taken: the system gives more than there is, and ends who uses it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from elman.errors import ConfigError

_SURELY = 1 << 26  # bytes that are not worth asking for
MOST_ROWS = (1 << 31) - 1  # lanes are numbered in 32 bits
_GROUP = Path("/sys/fs/cgroup")
_LIMITS = ((_GROUP / "memory.max", _GROUP / "memory.current"),
           (_GROUP / "memory/memory.limit_in_bytes", _GROUP / "memory/memory.usage_in_bytes"))  # fmt: skip


def total_memory() -> int:
    """Bytes of memory that this process can ever have: the machine's, and its control group's; very many if unknown."""
    found = [sys.maxsize]
    with suppress(AttributeError, OSError, ValueError):  # not every system has it
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit, _ in _LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int(limit.read_text()))
    return min(found)


def free_memory() -> int:
    """Bytes that this process may still take: of the machine's memory, and of its control group's."""
    found = [total_memory()]
    with suppress(OSError, ValueError, IndexError):
        rows = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(row.split()[1]) for row in rows if row.startswith("MemAvailable:")]
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(limit.read_text()) - int(used.read_text()))
    return max(0, min(found))


def check_room(batch: int, bytes_each: int) -> None:
    """Raise ConfigError where `batch` sequences of so many bytes each are more than memory holds."""
    needed = batch * bytes_each
    if needed <= _SURELY:
        return
    free = free_memory()
    if needed > free:
        raise ConfigError(
            f"{batch:,} sequences side by side take {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free: "
            "take a smaller batch, one after another"
        )
