"""Stop strings as part of an automaton: the text before one must be accepted, and nothing comes behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.decode.constraints.automaton import BEGIN, DEAD, Automaton, check_size
from elman.decode.roles import Integers

# Where a text with stop strings has got to: the state of the text's automaton; how much of a stop string may have
# begun; and, in bits, whether the text was acceptable now, one symbol ago, two ago, … as far back as that beginning.
Place = tuple[int, int, int]
_STOPPED: Place = (-1, 0, 0)


def with_stops(text: Automaton, stops: Sequence[Sequence[int]]) -> Automaton:
    """The automaton of texts that end before the first stop string in them, or without one.

    Args:
        text: what may stand before.
        stops: not empty each, as symbols.
    """
    search = _Search(stops, text.next.shape[1])
    classes, columns = _classes(np.concatenate((text.next, search.next)))
    begin: Place = (BEGIN, 0, int(text.accept[BEGIN]))
    order: dict[Place, int] = {(DEAD, 0, 0): 0, begin: 1}
    rows = []
    for place in (waiting := list(order)):
        row = []
        for symbol in columns:
            after = _after(place, int(symbol), text, search)
            if after not in order:
                order[after] = len(order)
                waiting.append(after)
                check_size(len(order), len(classes))
            row.append(order[after])
        rows.append(row)
    stopped = np.array([place == _STOPPED for place in order])
    accept = np.array([place[0] > 0 and bool(text.accept[place[0]]) for place in order])
    return Automaton(np.array(rows, np.int32)[:, classes], accept, stopped)


def _after(place: Place, symbol: int, text: Automaton, search: _Search) -> Place:
    if place == _STOPPED:
        return _STOPPED
    state, begun, accepted = place
    state = int(text.next[max(state, 0), symbol])
    begun = int(search.next[begun, symbol])
    accepted = accepted << 1 | int(text.accept[state])
    if search.longest[begun]:
        return _STOPPED if accepted >> search.longest[begun] & 1 else (DEAD, 0, 0)
    accepted &= (1 << (search.depth[begun] + 1)) - 1
    return (state, begun, accepted) if state or accepted else (DEAD, 0, 0)


def _classes(table: Integers) -> tuple[Integers, Integers]:
    """The class of each symbol, and one symbol of each class: those with equal columns are one."""
    _, columns, classes = np.unique(table, axis=1, return_index=True, return_inverse=True)
    return classes.reshape(-1), columns


class _Search:
    """Looks for several strings at once. Reference: Aho & Corasick 1975.

    Attributes:
        next: [K, A].
        depth: [K], symbols of the longest beginning of a stop string that the text ends with.
        longest: [K], length of the longest stop string that it ends with, 0 for none.
    """

    def __init__(self, stops: Sequence[Sequence[int]], symbols: int) -> None:
        rows: list[dict[int, int]] = [{}]
        self.depth, self.longest = [0], [0]
        for stop in stops:
            state = 0
            for symbol in stop:
                if symbol not in rows[state]:
                    rows[state][symbol] = len(rows)
                    rows.append({})
                    self.depth.append(self.depth[state] + 1)
                    self.longest.append(0)
                state = rows[state][symbol]
            self.longest[state] = len(stop)
        self.next = np.zeros((len(rows), symbols), np.int64)
        shorter = [0] * len(rows)
        for state in sorted(range(len(rows)), key=self.depth.__getitem__):
            if state:
                self.next[state] = self.next[shorter[state]]
                self.longest[state] = self.longest[state] or self.longest[shorter[state]]
            for symbol, child in rows[state].items():
                shorter[child] = int(self.next[state, symbol]) if state else 0
                self.next[state, symbol] = child
