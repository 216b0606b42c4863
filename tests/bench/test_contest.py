"""Compared before timed: who differs, fails or cannot is told so, and the others get their figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from elman.bench import contest as module
from elman.bench.contest import TOLERANCE, Contest, NoContest, Results, Side, compete, difference
from elman.bench.pairs import TimedPair
from elman.bench.rows import Case, Row
from tests.bench.cases import CEILINGS, case


def side(value: float = 1.0, steps: int = 10, own_threads: bool = False) -> Side:
    """A side that computes one number and does nothing."""
    return Side(lambda: None, steps, lambda: {"output": np.array([value, 1.0])}, own_threads)


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Ours takes 4 s and theirs 6, whatever they do; what is listed is whether there was a rest."""
    calls: list[bool] = []

    def pair(theirs: object, ours: object, seconds: float, *, least: int, rest: bool) -> TimedPair:
        calls.append(rest)
        return TimedPair(6.0, 4.0, 1.5, 0.1, 9)

    monkeypatch.setattr(module, "time_pair", pair)
    return calls


def rows(
    peers: dict[str, Callable[[], Side]], ours: Side | None = None, of: Case | None = None, **work: float
) -> list[Row]:
    return list(compete(Contest(of or case(), ours or side(), peers, **work), CEILINGS, 0.0))  # type: ignore[arg-type]


def test_a_row_holds_the_case_and_its_figures() -> None:
    (row,) = rows({"torch": side}, operations=200.0)
    assert {name: getattr(row, name) for name in Case.__dataclass_fields__} == case().columns()
    assert (row.peer, row.ratio, row.seconds, row.peer_seconds, row.spread, row.pairs) == (
        "torch",
        1.5,
        4.0,
        6.0,
        0.1,
        9,
    )
    assert (row.rows, row.difference, row.refused) == (10, 0.0, None)
    assert row.fraction_of_peak == 200.0 / 4.0 / 100.0
    assert row.fraction_of_bandwidth is None


def test_ratios_are_of_times_per_step() -> None:
    """Theirs takes 6 s for 20 steps, ours 4 s for 10: 0.3 s and 0.4 s a step."""
    (row,) = rows({"dense": lambda: side(steps=20)})
    assert row.ratio == pytest.approx(0.3 / 0.4)


def test_the_peak_is_that_of_threads_and_dtype() -> None:
    assert rows({"torch": side}, of=case(threads=2), operations=200.0)[0].fraction_of_peak == 200.0 / 4.0 / 200.0
    assert rows({"torch": side}, of=case(dtype="bfloat16"), operations=200.0)[0].fraction_of_peak is None


@pytest.mark.parametrize(("size", "bandwidth"), [(900, 80.0), (9000, 40.0), (90_000, 5.0)])
def test_bytes_are_held_against_the_memory_that_they_lie_in(size: int, bandwidth: float) -> None:
    (row,) = rows({"torch": side}, of=case(steps=3), bytes_read=size)
    assert row.fraction_of_bandwidth == pytest.approx(size * 3 / 4.0 / bandwidth)


def test_a_peer_that_differs_gets_no_time(timed: list[bool]) -> None:
    limit = TOLERANCE["float32"]
    found = rows({"wrong": lambda: side(1.0 + 3 * limit), "right": lambda: side(1.0 + limit / 3)})
    assert [(row.peer, row.ratio) for row in found] == [("wrong", None), ("right", 1.5)]
    assert found[0].refused == "its results differ by 9.0e-05, 3e-05 is allowed"
    assert found[0].seconds is None
    assert found[0].difference == pytest.approx(3 * limit, rel=0.01)
    assert len(timed) == 1


def test_bfloat16_is_allowed_more() -> None:
    assert rows({"torch": lambda: side(1.01)}, of=case(dtype="bfloat16"))[0].ratio == 1.5


def test_a_side_may_have_a_tolerance_of_its_own() -> None:
    def strict() -> Side:
        return replace(side(1.01), tolerance=5e-3)

    (row,) = rows({"elman float32": strict}, of=case(dtype="bfloat16"))
    assert (row.ratio, row.refused) == (None, "its results differ by 9.9e-03, 5e-03 is allowed")


def test_a_peer_that_fails_or_cannot_leaves_the_others() -> None:
    def fails() -> Side:
        raise ValueError("no such node\nwith more lines")

    def cannot() -> Side:
        raise NoContest("computes on all cores")

    found = rows({"a": fails, "b": cannot, "c": side})
    assert [row.refused for row in found] == ["ValueError: no such node", "computes on all cores", None]


def test_other_amounts_of_work_are_not_compared() -> None:
    (row,) = rows({"dense": lambda: Side(lambda: None, 10, None)})
    assert (row.ratio, row.difference) == (1.5, None)


@pytest.mark.parametrize(("ours", "theirs"), [(False, False), (True, False), (False, True)])
def test_threads_of_its_own_call_for_a_rest(timed: list[bool], ours: bool, theirs: bool) -> None:
    rows({"torch": lambda: side(own_threads=theirs)}, side(own_threads=ours))
    assert timed == [ours or theirs]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]}, 0.2),
        ({"a": [1.0], "b": [3.0]}, {"a": [1.1], "b": [2.0]}, 0.5),  # the largest
        ({"a": [1.0], "mine": [3.0]}, {"a": [1.0], "yours": [9.0]}, 0.0),
        ({"a": [0.25]}, {"a": [0.0]}, 0.25),  # nothing to be relative to
        ({"a": [1.0]}, {"b": [1.0]}, float("inf")),
        ({"a": [1.0]}, {"a": [[1.0]]}, float("inf")),
        ({"a": [float("nan")]}, {"a": [float("nan")]}, float("inf")),
        ({"a": [float("inf")]}, {"a": [1.0]}, float("inf")),
    ],
)
def test_difference(ours: dict[str, list[float]], theirs: dict[str, list[float]], expected: float) -> None:
    def arrays(values: dict[str, list[float]]) -> Results:
        return {name: np.array(value) for name, value in values.items()}

    assert difference(arrays(ours), arrays(theirs)) == pytest.approx(expected)


def test_results_that_are_no_numbers_are_refused() -> None:
    (row,) = rows({"torch": lambda: side(float("nan"))})
    assert row.refused == "its results differ by inf, 3e-05 is allowed"
    assert row.difference is None  # JSON knows no infinity
