"""Times of two ways to do one thing, in alternating turns, so that a noisy machine is noisy for both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

Work = Callable[[], object]

TURN = 2e-3  # seconds: shorter calls are timed several together
WARM = 5e-2  # seconds: longer calls need no warm-up
REST = 6e-2  # seconds after which idle threads of any pool have stopped spinning (libgomp's: 12 ms, ONNX Runtime's: 40)
_MOST_CALLS = 10_000


@dataclass(frozen=True)
class TimedPair:
    """What many turns come to.

    Attributes:
        theirs, ours: median seconds of a call.
        ratio: the median of the neighbours' theirs / ours.
        spread: half the distance of the quartiles of those, relative to the median.
        count: pairs.
    """

    theirs: float
    ours: float
    ratio: float
    spread: float
    count: int


def time_pair(theirs: Work, ours: Work, seconds: float = 1.0, *, least: int = 5, rest: bool = False) -> TimedPair:
    """Time both in turn.

    Args:
        theirs, ours: the work, again and again the same.
        seconds: about how long to go on.
        least: pairs that are timed however long they take.
        rest: the sides bring threads of their own, which spin for a while when their work is done: begin each turn with
            untimed calls until the neighbour's threads sleep.
    """
    theirs_turn, ours_turn = _Turn(theirs, rest), _Turn(ours, rest)
    times: list[tuple[float, float]] = []
    end = perf_counter() + seconds
    while len(times) < least or perf_counter() < end:
        times.append((theirs_turn(), ours_turn()))
    return _pair(times)


def _pair(times: Sequence[tuple[float, float]]) -> TimedPair:
    theirs, ours = map(statistics.median, zip(*times, strict=True))
    ratios = [a / b for a, b in times]
    ratio = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(times) > 1 else ratios * 3
    return TimedPair(theirs, ours, ratio, (high - low) / 2 / ratio, len(times))


class _Turn:
    """One side's turns: as many calls as fill TURN, timed together, after some that are not."""

    def __init__(self, work: Work, rest: bool) -> None:
        self._work = work
        work()
        first = self._seconds(1)
        self._calls = max(1, min(_MOST_CALLS, math.ceil(TURN / max(first, 1e-9))))
        self._warm = REST if rest else 0.0 if first > WARM else TURN / 2

    def __call__(self) -> float:
        """Seconds of one call."""
        end = perf_counter() + self._warm
        while perf_counter() < end:
            self._work()
        return self._seconds(self._calls)

    def _seconds(self, calls: int) -> float:
        work = self._work
        begin = perf_counter()
        for _ in range(calls):
            work()
        return (perf_counter() - begin) / calls
