"""How many threads a step is fastest with, found out while training goes on."""

from __future__ import annotations

_FIRST = 4  # steps before each trial until every number was tried: the very first steps warm up
_SHORTEST, _LONGEST = 32, 512  # steps between trials
_GAIN = 0.9  # a trial wins if its time is below this share of the usual one
_MEMORY = 0.8  # of the running mean of step times


class FastestThreads:
    """Takes most steps with the number of threads that was fastest so far, and now and then one with another number.

    On a machine that is busy otherwise, a team that waits for a thread without a core is many times slower than one
    thread alone; on a free machine the largest team is fastest. Trials are steps like any other, so nothing is wasted
    but what a slow one takes longer; lost trials become rarer.

    Args:
        most: the largest number of threads to try; tried are its halves down to 1.
    """

    def __init__(self, most: int) -> None:
        self.candidates = [most]
        while self.candidates[-1] > 1:
            self.candidates.append(self.candidates[-1] // 2)
        self.chosen = most
        self._usual: float | None = None
        self._interval = _SHORTEST
        self._wait = _FIRST
        self._trial: int | None = None
        self._tried = 0

    @property
    def next(self) -> int:
        """Threads for the next step."""
        return self.chosen if self._trial is None else self._trial

    def took(self, seconds: float) -> None:
        """Learn how long the step with `next` threads took, in any unit that steps can be compared by."""
        if self._trial is not None:
            self._judge(self._trial, seconds)
            self._trial = None
            return
        self._usual = seconds if self._usual is None else _MEMORY * self._usual + (1 - _MEMORY) * seconds
        self._wait -= 1
        if self._wait <= 0 and len(self.candidates) > 1:
            others = [count for count in reversed(self.candidates) if count != self.chosen]
            self._trial = others[self._tried % len(others)]
            self._tried += 1

    def _judge(self, trial: int, seconds: float) -> None:
        assert self._usual is not None  # a trial comes after usual steps
        if seconds < _GAIN * self._usual:
            self.chosen, self._usual, self._interval = trial, seconds, _SHORTEST
        else:
            self._interval = min(2 * self._interval, _LONGEST)
        self._wait = _FIRST if self._tried < len(self.candidates) - 1 else self._interval
