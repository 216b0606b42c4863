"""What the machine gives at most, measured: operations in registers, and reads from each level of memory."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from elman.kernels import _kernels

_TURN = 5e-3  # seconds of one measurement: long beside a thread's wake-up, short beside a time slice
_FEWEST_TURNS = 10
_ALIGNMENT = 64
_GRAIN = 1024  # bytes that the reading loop takes at a time

Work = Callable[[int, int], int]  # rounds, threads → what was done


def compute_rate(threads: int, *, bfloat16: bool = False, seconds: float = 0.2) -> float:
    """The most operations per second that `threads` do together, an FMA counted as two; 0 without such instructions.

    Args:
        threads: how many cores work.
        bfloat16: dot products of bfloat16 summed in float32, rather than multiply-adds of float32.
        seconds: how long to look for the most.
    """
    if _kernels.ceiling_compute(bfloat16, 1, threads) == 0:
        return 0.0
    return _best(lambda rounds, team: _kernels.ceiling_compute(bfloat16, rounds, team), threads, seconds)


def read_rate(bytes_each: int, threads: int, *, seconds: float = 0.2) -> float:
    """The most bytes per second that `threads` read together, each again and again the same `bytes_each` of its own.

    Args:
        bytes_each: the working set of a thread; rounded down to what the loop takes at a time.
        threads: how many cores read.
        seconds: how long to look for the most.
    """
    share = max(_GRAIN, bytes_each // _GRAIN * _GRAIN)
    memory = np.ones(share * threads + _ALIGNMENT, np.uint8)
    aligned = memory[-memory.ctypes.data % _ALIGNMENT :]
    return _best(lambda rounds, team: _kernels.ceiling_read(aligned, share, rounds, team), threads, seconds)


def _best(work: Work, threads: int, seconds: float) -> float:
    """The highest rate of many turns; other work on the machine only ever lowers it."""
    rounds = 1
    while min(_rate(work, rounds, 1)[1] for _ in range(3)) < _TURN:
        rounds *= 2
    best, turns, end = 0.0, 0, perf_counter() + seconds
    while turns < _FEWEST_TURNS or perf_counter() < end:
        best, turns = max(best, _rate(work, rounds, threads)[0]), turns + 1
    return best


def _rate(work: Work, rounds: int, threads: int) -> tuple[float, float]:
    """What one turn does in a second, and its seconds."""
    begin = perf_counter()
    amount = work(rounds, threads)
    took = perf_counter() - begin
    return amount / took, took
