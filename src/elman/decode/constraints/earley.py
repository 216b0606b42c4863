"""The sets of Earley's recogniser: what may come next at some place of a text.

Sets refer to the sets in which their rules began, not to positions, so that the same situation at another place in the
text is the same set. Rules are automata, so that repetitions cost no derivations.
Reference: Earley 1970; Jim & Mandelbaum 2010 (rules as automata).
"""

from __future__ import annotations

import numpy as np

from elman.decode.constraints import ebnf
from elman.decode.constraints.nfa import Nfa
from elman.decode.roles import Integers
from elman.decode.spelling import Spelling

HERE, ROOT = -1, -2  # origins: this set itself, and the beginning of the text
FAR = 1 << 40

Item = tuple[int, int]  # state of a rule's automaton, and the set in which the rule began


class Rules:
    """A grammar's rules as automata, and how much each still needs.

    Attributes:
        nfa: the states of all rules.
        begin, end: by rule.
        rule: of each state.
        needs: of each state, units at least to the end of its rule; FAR where no tokens write that.
        reached: of each state, those behind it without a unit where something can happen.
    """

    def __init__(self, source: str, spelling: Spelling) -> None:
        patterns = ebnf.parse(source)
        self.nfa = Nfa(spelling.is_bytes)
        self.first = next(iter(patterns))
        self.begin, self.end, self.rule = dict[str, int](), dict[str, int](), list[str]()
        for name, pattern in patterns.items():
            self.begin[name] = self.nfa.state()
            self.end[name] = self.nfa.add(pattern, self.begin[name])
            self.rule += [name] * (len(self.nfa.free) - len(self.rule))
        self.ends = set(self.end.values())
        units = np.array(sorted({unit for units in spelling.units for unit in units}), np.int64)
        self.edges = [[e for e in edges if _written(units, e[0], e[1])] for edges in self.nfa.edges]
        self.needs = self._shortest()
        closures = [self.nfa.closure({state}) for state in range(len(self.nfa.free))]
        self.reached = [
            [s for s in closure if self.edges[s] or self.nfa.names[s] or s in self.ends] for closure in closures
        ]

    def _shortest(self) -> list[int]:
        needs = [0 if state in self.ends else FAR for state in range(len(self.nfa.free))]
        changed = True
        while changed:
            changed = False
            for state in reversed(range(len(needs))):
                ways = [needs[target] for target in self.nfa.free[state]]
                ways += [1 + needs[target] for _, _, target in self.edges[state]]
                ways += [needs[self.begin[name]] + needs[target] for name, target in self.nfa.names[state]]
                if (least := min(ways, default=FAR)) < needs[state]:
                    needs[state], changed = least, True
        return needs


def _written(units: Integers, low: int, high: int) -> bool:
    return bool(np.searchsorted(units, low) < np.searchsorted(units, high, side="right"))


class EarleySet:
    """All items at some place of a text.

    Attributes:
        number: its own.
        waiting: by rule, the items behind that rule's name: what a completion of it leads to.
        edges: (low, high, target item, units still needed behind it).
        accepted: whether the text may end here.
        need: units at least from here to an end.
    """

    def __init__(self, number: int, kernel: frozenset[Item], rules: Rules, sets: list[EarleySet]) -> None:
        self.number, self._rules, self._sets = number, rules, sets
        self.waiting: dict[str, list[Item]] = {}
        self._completed: set[str] = set()
        self._items: set[Item] = set()
        self._agenda: list[Item] = []
        for state, origin in kernel:
            self._add(state, origin)
        while self._agenda:
            self._visit(*self._agenda.pop())
        self.accepted = (rules.end[rules.first], ROOT) in self._items
        self._after = self._what_follows()
        self.edges = [
            (
                low,
                high,
                (target, number if origin == HERE else origin),
                rules.needs[target] + self._behind(state, origin),
            )
            for state, origin in self._items
            for low, high, target in rules.edges[state]
        ]
        self.need = 0 if self.accepted else min((1 + need for _, _, _, need in self.edges), default=FAR)

    def _add(self, state: int, origin: int) -> None:
        for reached in self._rules.reached[state]:
            item = reached, origin
            if item not in self._items:
                self._items.add(item)
                self._agenda.append(item)

    def _visit(self, state: int, origin: int) -> None:
        rules = self._rules
        for name, target in rules.nfa.names[state]:
            self.waiting.setdefault(name, []).append((target, origin))
            self._add(rules.begin[name], HERE)
            if name in self._completed:
                self._add(target, origin)
        if state in rules.ends:
            name = rules.rule[state]
            if origin == HERE:
                self._completed.add(name)
                for target, before in list(self.waiting.get(name, ())):
                    self._add(target, before)
            elif origin != ROOT:
                for target, before in self._sets[origin].waiting.get(name, ()):
                    self._add(target, origin if before == HERE else before)

    def _what_follows(self) -> dict[str, int]:
        """For each rule that began here: units needed behind it at least."""
        after = dict.fromkeys(self.waiting, FAR)
        changed = True
        while changed:
            changed = False
            for name, items in self.waiting.items():
                for target, origin in items:
                    rest = self._rules.needs[target]
                    rest += (
                        after.get(self._rules.rule[target], FAR) if origin == HERE else self._outside(target, origin)
                    )
                    if rest < after[name]:
                        after[name], changed = rest, True
        return after

    def _behind(self, state: int, origin: int) -> int:
        """Units needed behind the rule of an item."""
        if origin == HERE:
            return self._after.get(self._rules.rule[state], FAR)
        return self._outside(state, origin)

    def _outside(self, state: int, origin: int) -> int:
        return 0 if origin == ROOT else self._sets[origin]._after[self._rules.rule[state]]

    def over(self, unit: int) -> frozenset[Item]:
        """The kernel behind a unit."""
        return frozenset(item for low, high, item, need in self.edges if low <= unit <= high and need < FAR)
