"""Times are taken in turns, and come out as medians of neighbours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from elman.bench import pairs
from elman.bench.pairs import time_pair


class Clock:
    """A clock that only work moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.log: list[str] = []
        monkeypatch.setattr(pairs, "perf_counter", lambda: self.now)

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        """Work that takes these times in turn, then the last again and again."""
        times = list(seconds)

        def run() -> None:
            self.now += times.pop(0) if len(times) > 1 else times[0]
            self.log.append(name)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_long_work_alternates_call_by_call(clock: Clock) -> None:
    pair = time_pair(clock.work("theirs", 3.0), clock.work("ours", 2.0), seconds=0.0, least=4)
    assert (pair.theirs, pair.ours, pair.ratio, pair.count) == (3.0, 2.0, 1.5, 4)
    assert clock.log == ["theirs"] * 2 + ["ours"] * 2 + ["theirs", "ours"] * 4


def test_the_ratio_is_the_median_of_neighbours_and_not_the_ratio_of_medians(clock: Clock) -> None:
    """The machine is slow in the second pair for both, in the third for one: 2, 20, 2, 2 and 1, 10, 10, 1 seconds."""
    theirs, ours = clock.work("t", 1, 1, 2, 20, 2, 2), clock.work("o", 1, 1, 1, 10, 10, 1)
    pair = time_pair(theirs, ours, seconds=0.0, least=4)
    assert pair.ratio == 2.0  # of 2, 2, 0.2, 2
    assert (pair.theirs, pair.ours) == (2.0, 5.5)


@pytest.mark.parametrize(("seconds", "spread"), [((1.0,), 0.0), ((4.0, 4.0), 0.0), ((2.0, 3.0, 4.0, 5.0, 6.0), 0.25)])
def test_the_spread_is_half_the_distance_of_the_quartiles(seconds: tuple[float, ...], spread: float) -> None:
    assert pairs._pair([(theirs, 1.0) for theirs in seconds]).spread == spread  # of the last: 3 and 5 around 4


def test_it_goes_on_for_the_time_that_is_given(clock: Clock) -> None:
    assert time_pair(clock.work("t", 1.0), clock.work("o", 1.0), seconds=20.0, least=2).count == 10


def test_short_work_is_timed_many_calls_together_after_a_warm_up(clock: Clock) -> None:
    pair = time_pair(clock.work("t", 1e-5), clock.work("o", 1e-5), seconds=0.0, least=1)
    calls = round(pairs.TURN / 1e-5)
    warm = round(pairs.TURN / 2 / 1e-5)
    assert clock.log.count("t") == pytest.approx(2 + warm + calls, abs=3)
    assert pair.ratio == pytest.approx(1.0)


def test_with_rest_each_turn_begins_with_untimed_calls(clock: Clock) -> None:
    """Until the other side's threads sleep, in long work too."""
    first_calls = [9.0] * 2
    pair = time_pair(clock.work("t", *first_calls, 0.5, 0.1), clock.work("o", 1.0), seconds=0.0, least=1, rest=True)
    assert pair.theirs == pytest.approx(0.1)  # the call of 0.5 s, slowed down by a neighbour, was not timed
    assert clock.log == ["t"] * 2 + ["o"] * 2 + ["t"] * 2 + ["o"] * 2
