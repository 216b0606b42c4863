"""What the machine gives at most, measured: operations in registers, and reads from each level of memory."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from elman.kernels import _kernels

_TURN = 5e-3  # seconds of one measurement: long beside a thread's wake-up, short beside a time slice
_ALIGNMENT = 64
_GRAIN = 1024  # bytes that the reading loop takes at a time


def compute_rate(threads: int, *, bfloat16: bool = False, seconds: float = 0.2) -> float:
    """The most operations per second that `threads` do together, an FMA counted as two; 0 without such instructions.

    Args:
        threads: how many cores work.
        bfloat16: dot products of bfloat16 summed in float32, rather than multiply-adds of float32.
        seconds: how long to look for the most.
    """
    if _kernels.ceiling_compute(bfloat16, 1, threads) == 0:
        return 0.0
    return _best(lambda rounds: _kernels.ceiling_compute(bfloat16, rounds, threads), seconds)


def read_rate(bytes_each: int, threads: int, *, seconds: float = 0.2) -> float:
    """The most bytes per second that `threads` read together, each again and again the same `bytes_each` of its own.

    Args:
        bytes_each: the working set of a thread; rounded down to what the loop takes at a time.
        threads: how many cores read.
        seconds: how long to look for the most.
    """
    share = max(_GRAIN, bytes_each // _GRAIN * _GRAIN)
    memory = np.ones(share * threads + _ALIGNMENT, np.uint8)
    address = memory.ctypes.data + -memory.ctypes.data % _ALIGNMENT
    return _best(lambda rounds: _kernels.ceiling_read(address, share, rounds, threads), seconds)


def _best(work: Callable[[int], int], seconds: float) -> float:
    """The highest rate of several turns; other work on the machine only ever lowers it."""
    rounds, best, end = 1, 0.0, perf_counter() + seconds
    while perf_counter() < end:
        begin = perf_counter()
        amount = work(rounds)
        best = max(best, amount / (perf_counter() - begin))
        rounds = max(1, min(int(_TURN * best * rounds / amount), 16 * rounds))
    return best
