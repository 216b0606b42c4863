"""The small parts of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from elman.train.schedule import RunBudget, learning_rate, passes
from elman.train.threads import FastestThreads


def test_budget_takes_what_comes_first() -> None:
    both = RunBudget(steps=100, seconds=10.0)
    assert both.progress(50, 1.0) == 0.5
    assert both.progress(10, 8.0) == 0.8
    assert both.progress(10, 80.0) == 1.0
    assert both.seconds_left(50, 1.0) == pytest.approx(1.0)
    assert both.seconds_left(0, 0.0) == math.inf


def test_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(p / 1000, 2.0, 0.1) for p in range(1001)]
    top = int(np.argmax(rates))
    assert 90 <= top <= 100
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert max(rates) <= 2.0
    assert learning_rate(0.0, 2.0, 0.0) == 2.0


@pytest.mark.parametrize(("steps", "times"), [(24, 4), (1000, 10), (7, 10), (1, 3)])
def test_marks_are_passed_once_each(steps: int, times: int) -> None:
    passed = [step for step in range(1, steps + 1) if passes((step - 1) / steps, step / steps, times)]
    assert len(passed) == min(steps, times)
    assert passed[-1] == steps


def total(seconds: Callable[[int, int], float], steps: int, most: int = 4) -> tuple[float, FastestThreads]:
    """Seconds of a run whose step i takes seconds(i, threads), and the choice at its end."""
    threads = FastestThreads(most)
    whole = 0.0
    for i in range(steps):
        taken = seconds(i, threads.next)
        threads.took(taken)
        whole += taken
    return whole, threads


def test_a_free_machine_gets_all_threads_at_little_cost() -> None:
    whole, threads = total(lambda i, n: 1 / n, 2000)
    assert threads.chosen == 4
    assert whole < 1.02 * 2000 / 4


def test_a_busy_machine_gets_one_thread_soon() -> None:
    """There every larger team is ten times slower than one thread."""
    whole, threads = total(lambda i, n: 1.0 if n == 1 else 10.0, 1000)
    assert threads.chosen == 1
    assert whole < 1.3 * 1000


def test_a_machine_that_becomes_free() -> None:
    whole, threads = total(lambda i, n: (1.0 if n == 1 else 10.0) if i < 1000 else 1 / n, 4000)
    assert threads.chosen == 4
    assert whole < 1.3 * 1000 + 0.5 * 3000


def test_equal_times_change_nothing() -> None:
    noise = np.random.default_rng(0).uniform(0.97, 1.03, 5000)
    _, threads = total(lambda i, n: noise[i], 5000)
    assert threads.chosen == 4


def test_one_thread_leaves_no_choice() -> None:
    _, threads = total(lambda i, n: float(n), 100, most=1)
    assert threads.chosen == threads.next == 1
