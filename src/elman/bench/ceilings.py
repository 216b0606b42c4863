"""The machine's ceilings, and which of them a working set lies under."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elman.kernels.ceilings import compute_rate, read_rate

MEMORY = "memory"
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # where the system does not tell
_PRIVATE = ("L1", "L2")  # each core has its own
_UNITS = {"K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True)
class Ceilings:
    """Measured limits.

    Attributes:
        caches: bytes of each cache by level ("L1", "L2", "L3"); private ones for one core.
        compute: operations per second by dtype and thread count; a dtype without instructions of its own is missing.
        bandwidth: bytes read per second by level (the caches and "memory") and thread count, all threads together.
    """

    caches: Mapping[str, int]
    compute: Mapping[str, Mapping[int, float]]
    bandwidth: Mapping[str, Mapping[int, float]]

    def level(self, size: int, threads: int) -> str:
        """Where `size` bytes lie that are read again and again, shared out over `threads`."""
        for name, capacity in self.caches.items():
            if size <= capacity * (threads if name in _PRIVATE else 1):
                return name
        return MEMORY


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(threads: Sequence[int], seconds: float = 0.2) -> Ceilings:
    """Measure all ceilings, each for `seconds`."""
    caches = cache_sizes()
    compute = {"float32": {count: compute_rate(count, seconds=seconds) for count in threads}}
    half = {count: compute_rate(count, bfloat16=True, seconds=seconds) for count in threads}
    if all(half.values()):
        compute["bfloat16"] = half
    bandwidth = {
        level: {count: read_rate(_share(level, caches, count), count, seconds=seconds) for count in threads}
        for level in (*caches, MEMORY)
    }
    return Ceilings(caches, compute, bandwidth)


def _share(level: str, caches: Mapping[str, int], threads: int) -> int:
    """A thread's working set that lies in this level and not in the one before: half a private cache, a quarter of the
    shared one, which others use too, and four times that one for memory."""
    if level in _PRIVATE:
        return caches[level] // 2
    if level == MEMORY:
        return 4 * max(caches.values()) // threads
    return caches[level] // 4 // threads


def cache_sizes(folder: Path = _CACHES) -> dict[str, int]:
    """Bytes of the data caches of a core by level, smallest first; usual ones where the system does not tell."""
    found = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction" and size[:-1].isdigit() and size[-1] in _UNITS:
            found[f"L{level}"] = int(size[:-1]) * _UNITS[size[-1]]
    return found or dict(_USUAL)
