"""Stop strings: the text ends before the one that is completed first, and of several completed at once, the longest.

So it does not matter in which tokens a text is written. As part of an automaton, the text before it must be accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.decode.constraints.automaton import BEGIN, DEAD, Automaton
from elman.decode.constraints.budget import WorkBudget
from elman.decode.roles import Integers

# Where a text with stop strings has got to: the state of the text's automaton; how much of a stop string may have
# begun; and, in bits, whether the text was acceptable now, one symbol ago, two ago, … as far back as that beginning.
# Behind a stop string: -1, and how many symbols are no part of the text.
Place = tuple[int, int, int]


def before(text: str, stops: Sequence[str]) -> int | None:
    """Where a text ends before a stop string; None if it has none."""
    found = [(place + len(stop), -len(stop)) for stop in stops if (place := text.find(stop)) >= 0]
    return sum(min(found)) if found else None


def with_stops(text: Automaton, stops: Sequence[Sequence[int]], longest: int, budget: WorkBudget) -> Automaton:
    """The automaton of texts that end before a stop string, or have none.

    Args:
        text: what may stand before.
        stops: not empty each, as symbols.
        longest: symbols of a token.
        budget: of states.
    """
    longest += max(map(len, stops))
    search = _Search(stops, text.next.shape[1])
    classes, columns = _classes(np.concatenate((text.next, search.next)))
    begin: Place = (BEGIN, 0, int(text.accept[BEGIN]))
    order: dict[Place, int] = {(DEAD, 0, 0): 0, begin: 1}
    rows = []
    for place in (waiting := list(order)):
        row = []
        for symbol in columns:
            after = _after(place, int(symbol), text, search) if place[0] >= 0 else (-1, min(place[1] + 1, longest), 0)
            if after not in order:
                order[after] = len(order)
                waiting.append(after)
                budget.states()
            row.append(order[after])
        budget.work(len(row))
        rows.append(row)
    budget.table(len(rows), len(classes))
    tail = np.array([place[1] if place[0] < 0 else 0 for place in order], np.int32)
    accept = np.array([place[0] > 0 and bool(text.accept[place[0]]) for place in order])
    return Automaton(np.array(rows, np.int32)[:, classes], accept, tail)


def _after(place: Place, symbol: int, text: Automaton, search: _Search) -> Place:
    state, begun, accepted = place
    state = int(text.next[state, symbol])
    begun = int(search.next[begun, symbol])
    accepted = accepted << 1 | int(text.accept[state])
    if search.longest[begun]:
        return (-1, search.longest[begun], 0) if accepted >> search.longest[begun] & 1 else (DEAD, 0, 0)
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
