"""Least solutions of equations that refer to one another, found as they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from elman.decode.constraints.budget import WorkBudget

Key = TypeVar("Key")
Value = TypeVar("Value")


class Fixpoint(Generic[Key, Value]):
    """A table of values, each given by an equation of others.

    Args:
        equation: (key, read) → value, where `read` gives the value of another key as far as it is known.
        bottom: what is known of a value at first; equations only ever make more of it.
        budget: of the work.
    """

    def __init__(
        self, equation: Callable[[Key, Callable[[Key], Value]], Value], bottom: Value, budget: WorkBudget
    ) -> None:
        self._equation, self._bottom, self._budget = equation, bottom, budget
        self._values: dict[Key, Value] = {}

    def __call__(self, key: Key) -> Value:
        """The value, solved for together with all that it depends on and is not known yet."""
        if key not in self._values:
            self._solve(key)
        return self._values[key]

    def _solve(self, key: Key) -> None:
        values, readers = self._values, dict[Key, set[Key]]()
        waiting, queued = deque([key]), {key}
        values[key], readers[key] = self._bottom, set()
        reads = 0

        def read(other: Key) -> Value:
            nonlocal reads
            reads += 1
            if other not in values:
                values[other], readers[other] = self._bottom, set()
                waiting.append(other)
                queued.add(other)
            if other in readers:
                readers[other].add(at)
            return values[other]

        try:
            while waiting:
                at = waiting.popleft()
                queued.discard(at)
                value = self._equation(at, read)
                self._budget.work(1 + reads)
                reads = 0
                if value != values[at]:
                    values[at] = value
                    again = readers[at] - queued
                    waiting.extend(again)
                    queued |= again
        except BaseException:
            for each in readers:  # half a solution is none
                del values[each]
            raise
