"""Patterns become automata: Thompson's construction, then that of subsets."""

from __future__ import annotations

import numpy as np

from elman.decode.constraints.automaton import Automaton, check_size
from elman.decode.constraints.pattern import Chars, Either, Join, Name, Pattern, Repeat, utf8
from elman.decode.roles import Integers
from elman.errors import ConfigError

_MOST = 200_000


class Nfa:
    """States with edges over ranges of units, over names, or over nothing.

    Args:
        is_bytes: units are bytes of UTF-8, not code points.
    """

    def __init__(self, is_bytes: bool) -> None:
        self.is_bytes = is_bytes
        self.free: list[list[int]] = []
        self.edges: list[list[tuple[int, int, int]]] = []  # (low, high, target)
        self.names: list[list[tuple[str, int]]] = []

    def state(self) -> int:
        """A new state."""
        if len(self.free) >= _MOST:
            raise ConfigError(f"the pattern needs more than {_MOST:,} states: make its repetitions smaller")
        self.free.append([])
        self.edges.append([])
        self.names.append([])
        return len(self.free) - 1

    def add(self, pattern: Pattern, begin: int) -> int:
        """Lay a pattern behind a state; gives the state behind it."""
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
        return self._repeat(pattern, begin)

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
        for low, high in pattern.ranges:
            for sequence in utf8(low, high) if self.is_bytes else ([(low, high)],):
                at = begin
                for first, last in sequence[:-1]:
                    after = self.state()
                    self.edges[at].append((first, last, after))
                    at = after
                self.edges[at].append((*sequence[-1], end))
        return end

    def closure(self, states: set[int]) -> frozenset[int]:
        """These states and those behind them that need no symbol."""
        found, waiting = set(states), list(states)
        while waiting:
            for target in self.free[waiting.pop()]:
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return frozenset(found)


def automaton(pattern: Pattern, alphabet: Integers, is_bytes: bool) -> Automaton:
    """The automaton of a pattern without names.

    Args:
        pattern: matches the whole text.
        alphabet: the units that there are, sorted; symbol k is unit alphabet[k].
        is_bytes: they are bytes of UTF-8, not code points.
    """
    nfa = Nfa(is_bytes)
    begin = nfa.state()
    end = nfa.add(pattern, begin)
    classes, count = _classes(nfa, alphabet)
    order = {frozenset[int](): 0, nfa.closure({begin}): 1}
    rows: list[list[int]] = []
    for subset in (waiting := list(order)):
        targets: list[set[int]] = [set() for _ in range(count)]
        for state in subset:
            for low, high, target in nfa.edges[state]:
                for k in _symbols(alphabet, classes, low, high):
                    targets[k].add(target)
        row = []
        for target_set in targets:
            closed = nfa.closure(target_set)
            if closed not in order:
                order[closed] = len(order)
                waiting.append(closed)
                check_size(len(order), len(alphabet))
            row.append(order[closed])
        rows.append(row)
    accept = np.array([end in subset for subset in order])
    return Automaton.make(np.array(rows, np.int32).reshape(len(rows), count)[:, classes], accept)


def _classes(nfa: Nfa, alphabet: Integers) -> tuple[Integers, int]:
    """The class of each symbol: symbols that no edge tells apart are one."""
    borders = {0, len(alphabet)}
    for edges in nfa.edges:
        for low, high, _ in edges:
            borders |= {int(np.searchsorted(alphabet, low)), int(np.searchsorted(alphabet, high, side="right"))}
    starts = np.array(sorted(borders)[:-1])
    classes = np.searchsorted(starts, np.arange(len(alphabet)), side="right") - 1
    return classes, len(starts)


def _symbols(alphabet: Integers, classes: Integers, low: int, high: int) -> range:
    """The classes that lie in a range of units."""
    first, behind = np.searchsorted(alphabet, low), np.searchsorted(alphabet, high, side="right")
    return range(int(classes[first]), int(classes[behind - 1]) + 1) if first < behind else range(0)
