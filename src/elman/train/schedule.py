"""How far a run is, and the learning rate that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class RunBudget:
    """What ends a run: a number of steps, a time in seconds, or whichever comes first of both."""

    steps: int | None = None
    seconds: float | None = None

    def progress(self, steps: int, seconds: float) -> float:
        """The share of the budget that is used, 0 … 1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(steps / self.steps)
        if self.seconds is not None:
            shares.append(seconds / self.seconds)
        return min(1.0, max(shares))

    def seconds_left(self, steps: int, seconds: float) -> float:
        """The time that the run will still take at its pace so far; infinite before its first step."""
        share = self.progress(steps, seconds)
        return seconds * (1 - share) / share if share > 0 else math.inf


def learning_rate(progress: float, highest: float, warmup: float) -> float:
    """A straight rise over the first `warmup` of the run, then half a cosine down to 0.

    Reference: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    rise = min(1.0, progress / warmup) if warmup > 0 else 1.0
    return highest * rise * 0.5 * (1 + math.cos(math.pi * progress))


def passes(before: float, after: float, times: int) -> bool:
    """Whether one of `times` evenly spaced marks, the last at 1, lies after `before` and not after `after`."""
    return math.floor(after * times) > math.floor(before * times)
