"""Times of two ways to do one thing: alternating, so that a noisy machine is noisy for both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Medians of both in seconds, and the median of the ratios of neighbours (above 1: ours is faster)."""

    theirs: float
    ours: float
    ratio: float


def time_pair(theirs: Callable[[], object], ours: Callable[[], object], seconds: float = 1.0, least: int = 7) -> Pair:
    """Time both in turn for about `seconds`, and `least` times at least, after a warm-up of two calls each."""
    for _ in range(2):
        theirs()
        ours()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        times.append((_seconds(theirs), _seconds(ours)))
    columns = list(zip(*times, strict=True))
    ratios = [a / b for a, b in times]
    return Pair(statistics.median(columns[0]), statistics.median(columns[1]), statistics.median(ratios))


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
