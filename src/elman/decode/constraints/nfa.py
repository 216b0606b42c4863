"""Patterns become automata: Thompson's construction, then that of subsets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from elman.decode.constraints.automaton import Automaton
from elman.decode.constraints.budget import WorkBudget
from elman.decode.constraints.pattern import LAST, Chars, Either, Join, Minus, Name, Pattern, Ranges, Repeat, utf8
from elman.decode.roles import Integers
from elman.errors import ConfigError

ByteRanges = tuple[tuple[int, int], ...]


class Nfa:
    """States with edges over ranges of units, over names, or over nothing.

    Args:
        is_bytes: units are bytes of UTF-8, not code points.
        budget: of states.
    """

    def __init__(self, is_bytes: bool, budget: WorkBudget) -> None:
        self.is_bytes, self.budget = is_bytes, budget
        self.free: list[list[int]] = []
        self.edges: list[list[tuple[int, int, int]]] = []  # (low, high, target)
        self.names: list[list[tuple[str, int]]] = []

    def state(self) -> int:
        """A new state."""
        self.budget.states()
        self.free.append([])
        self.edges.append([])
        self.names.append([])
        return len(self.free) - 1

    def add(self, pattern: Pattern, begin: int) -> int:
        """Lay a pattern behind a state; gives the state behind it."""
        self.budget.work(1)
        if isinstance(pattern, Chars):
            return self._chars(pattern, begin)
        if isinstance(pattern, Name):
            end = self.state()
            self.names[begin].append((pattern.name, end))
            return end
        if isinstance(pattern, Join):
            for part in pattern.parts:
                begin = self.add(part, begin)
            return begin
        if isinstance(pattern, Either):
            end = self.state()
            for part in pattern.parts:
                self.free[self.add(part, self._after(begin))].append(end)
            return end
        return self._minus(pattern, begin) if isinstance(pattern, Minus) else self._repeat(pattern, begin)

    def _after(self, begin: int) -> int:
        state = self.state()
        self.free[begin].append(state)
        return state

    def _repeat(self, pattern: Repeat, begin: int) -> int:
        for _ in range(pattern.least):
            begin = self.add(pattern.part, begin)
        if pattern.most is None:
            loop = self._after(begin)
            self.free[self.add(pattern.part, loop)].append(loop)
            return self._after(loop)
        end = self.state()
        for _ in range(pattern.most - pattern.least):
            self.free[begin].append(end)
            begin = self.add(pattern.part, self._after(begin))
        self.free[begin].append(end)
        return end

    def _chars(self, pattern: Chars, begin: int) -> int:
        end = self.state()
        if not self.is_bytes:
            self.edges[begin] += [(low, high, end) for low, high in pattern.ranges]
            return end
        behind: dict[ByteRanges, int] = {(): end}
        for sequence in _sequences(pattern.ranges):
            target = end
            for place in range(len(sequence) - 1, 0, -1):  # forms that end alike share their ends
                rest = sequence[place:]
                if rest not in behind:
                    behind[rest] = self.state()
                    self.edges[behind[rest]].append((*rest[0], target))
                target = behind[rest]
            self.edges[begin].append((*sequence[0], target))
        return end

    def _minus(self, pattern: Minus, begin: int) -> int:
        both = Nfa(self.is_bytes, self.budget)
        start = both.state()
        whole, without = (both.add(part, both._after(start)) for part in (pattern.part, pattern.without))
        if any(both.names):
            raise ConfigError("a difference A - B needs parts that do not recur")
        units = both.borders()
        subsets, rows = both.subsets(start, units)
        states, end = [self.state() for _ in subsets], self.state()
        self.free[begin].append(states[1])
        last = 0xFF if self.is_bytes else LAST
        for state, subset, row in zip(states, subsets, rows, strict=True):
            if whole in subset and without not in subset:
                self.free[state].append(end)
            highs = [*(unit - 1 for unit in units[1:]), last]
            self.edges[state] += [
                (low, high, states[k]) for low, high, k in zip(units, highs, row, strict=True) if k and low <= high
            ]
        return end

    def borders(self) -> list[int]:
        """Units at which what the edges tell apart begins, rising from 0."""
        return sorted({0} | {border for edges in self.edges for low, high, _ in edges for border in (low, high + 1)})

    def closure(self, states: set[int]) -> frozenset[int]:
        """These states and those behind them that need no symbol."""
        found, waiting = set(states), list(states)
        while waiting:
            for target in self.free[waiting.pop()]:
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        self.budget.work(len(found))
        return frozenset(found)

    def over(self, units: Sequence[int]) -> list[list[tuple[int, int, int]]]:
        """The edges of each state over places in a rising list of units: (first place, place behind, target)."""
        self.budget.work(sum(map(len, self.edges)))
        found = [
            [(bisect_left(units, low), bisect_right(units, high), target) for low, high, target in edges]
            for edges in self.edges
        ]
        return [[edge for edge in edges if edge[0] < edge[1]] for edges in found]

    def subsets(self, begin: int, units: Sequence[int]) -> tuple[list[frozenset[int]], list[list[int]]]:
        """The deterministic automaton over some units: its subsets, the empty one and the first in front; its rows."""
        edges = self.over(units)
        order = {frozenset[int](): 0, self.closure({begin}): 1}
        rows: list[list[int]] = []
        for subset in (waiting := list(order)):
            targets: list[set[int]] = [set() for _ in units]
            for state in subset:
                for first, behind, target in edges[state]:
                    self.budget.work(behind - first)
                    for k in range(first, behind):
                        targets[k].add(target)
            row = []
            for target_set in targets:
                closed = self.closure(target_set) if target_set else frozenset[int]()
                if closed not in order:
                    self.budget.states()
                    order[closed] = len(order)
                    waiting.append(closed)
                row.append(order[closed])
            self.budget.work(len(row))
            rows.append(row)
        return list(order), rows


@lru_cache(maxsize=64)
def _sequences(ranges: Ranges) -> tuple[ByteRanges, ...]:
    """The UTF-8 forms of these code points."""
    return tuple(tuple(sequence) for low, high in ranges for sequence in utf8(low, high))


def automaton(pattern: Pattern, alphabet: Integers, is_bytes: bool, budget: WorkBudget) -> Automaton:
    """The automaton of a pattern without names.

    Args:
        pattern: matches the whole text.
        alphabet: the units that there are, sorted; symbol k is unit alphabet[k].
        is_bytes: they are bytes of UTF-8, not code points.
        budget: of states.
    """
    nfa = Nfa(is_bytes, budget)
    begin = nfa.state()
    end = nfa.add(pattern, begin)
    classes, units = classes_of(nfa, alphabet)
    subsets, rows = nfa.subsets(begin, units)
    budget.table(len(rows), len(alphabet))
    accept = np.array([end in subset for subset in subsets])
    return Automaton.make(np.array(rows, np.int32).reshape(len(rows), len(units))[:, classes], accept)


def classes_of(nfa: Nfa, alphabet: Integers) -> tuple[Integers, list[int]]:
    """The class of each symbol, symbols that no edge tells apart being one; and the first unit of each class."""
    starts = np.unique(np.searchsorted(alphabet, nfa.borders()))
    starts = starts[starts < len(alphabet)]
    classes = np.searchsorted(starts, np.arange(len(alphabet)), side="right") - 1
    return classes, alphabet[starts].tolist()
