"""A context-free grammar in force: Earley's recogniser, whose sets are kept and met again.

A set says what may come next; it is named by a number, and a sequence's state is that number. Sets refer to the sets in
which their rules began, not to positions, so that the same situation at another place in the text is the same set, and
what it allows is computed once. Rules are automata, so that repetitions cost no derivations.
Reference: Earley 1970; Jim & Mandelbaum 2010 (rules as automata).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.decode import ebnf
from elman.decode.nfa import Nfa
from elman.decode.options import Options
from elman.decode.roles import Booleans, Integers
from elman.decode.spelling import Spelling
from elman.errors import ConfigError

_HERE, _ROOT = -1, -2  # origins: this set itself, and the beginning of the text
_FAR = 1 << 40
_MOST_SETS = 1_000_000

Item = tuple[int, int]  # state of a rule's automaton, and the set in which the rule began


@dataclass(frozen=True)
class Grammar:
    """The text is derived from a context-free grammar in EBNF (`elman.decode.ebnf`)."""

    source: str

    def __post_init__(self) -> None:
        ebnf.parse(self.source)

    def over_grammar(self, spelling: Spelling, options: Options) -> Recogniser:
        """Compile it for a vocabulary."""
        return Recogniser(Rules(self.source, spelling), spelling, options)


class Rules:
    """A grammar's rules as automata, and how much each still needs.

    Attributes:
        nfa: the states of all rules.
        begin, end: by rule.
        rule: of each state.
        needs: of each state, units at least to the end of its rule; _FAR where no tokens write that.
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

    def _shortest(self) -> list[int]:
        needs = [0 if state in self.ends else _FAR for state in range(len(self.nfa.free))]
        changed = True
        while changed:
            changed = False
            for state in reversed(range(len(needs))):
                ways = [needs[target] for target in self.nfa.free[state]]
                ways += [1 + needs[target] for _, _, target in self.edges[state]]
                ways += [needs[self.begin[name]] + needs[target] for name, target in self.nfa.names[state]]
                if (least := min(ways, default=_FAR)) < needs[state]:
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
    """

    def __init__(self, number: int, kernel: frozenset[Item], rules: Rules, sets: list[EarleySet]) -> None:
        self.number, self._rules, self._sets = number, rules, sets
        self.waiting: dict[str, list[Item]] = {}
        self._completed: set[str] = set()
        self._items: set[Item] = set()
        self._agenda = list(kernel)
        while self._agenda:
            item = self._agenda.pop()
            if item not in self._items:
                self._items.add(item)
                self._visit(item)
        self.accepted = (rules.end[rules.first], _ROOT) in self._items
        self._after = self._what_follows()
        self.edges = [
            (
                low,
                high,
                (target, number if origin == _HERE else origin),
                rules.needs[target] + self._behind(state, origin),
            )
            for state, origin in self._items
            for low, high, target in rules.edges[state]
        ]

    def _visit(self, item: Item) -> None:
        (state, origin), rules = item, self._rules
        self._agenda += [(target, origin) for target in rules.nfa.free[state]]
        for name, target in rules.nfa.names[state]:
            self.waiting.setdefault(name, []).append((target, origin))
            self._agenda.append((rules.begin[name], _HERE))
            if name in self._completed:
                self._agenda.append((target, origin))
        if state in rules.ends:
            name = rules.rule[state]
            if origin == _HERE:
                self._completed.add(name)
                self._agenda += self.waiting.get(name, [])
            elif origin != _ROOT:
                self._agenda += [(t, origin if o == _HERE else o) for t, o in self._sets[origin].waiting.get(name, [])]

    def _what_follows(self) -> dict[str, int]:
        """For each rule that began here: units needed behind it at least."""
        after = dict.fromkeys(self.waiting, _FAR)
        changed = True
        while changed:
            changed = False
            for name, items in self.waiting.items():
                for target, origin in items:
                    rest = self._rules.needs[target]
                    rest += (
                        after.get(self._rules.rule[target], _FAR) if origin == _HERE else self._outside(target, origin)
                    )
                    if rest < after[name]:
                        after[name], changed = rest, True
        return after

    def _behind(self, state: int, origin: int) -> int:
        """Units needed behind the rule of an item."""
        if origin == _HERE:
            return self._after.get(self._rules.rule[state], _FAR)
        return self._outside(state, origin)

    def _outside(self, state: int, origin: int) -> int:
        return 0 if origin == _ROOT else self._sets[origin]._after[self._rules.rule[state]]

    def over(self, unit: int) -> frozenset[Item]:
        """The kernel behind a unit."""
        return frozenset(item for low, high, item, need in self.edges if low <= unit <= high and need < _FAR)


class Recogniser:
    """A grammar in force over tokens; a `Part`.

    Raises:
        ConfigError: no text that these tokens can write follows the grammar, or none that is short enough.
    """

    def __init__(self, rules: Rules, spelling: Spelling, options: Options) -> None:
        self._rules, self._units = rules, spelling.units
        self._limit, self._least = options.max_length, options.min_length
        self._ends_when_accepted, self._has_stops = options.stop_when_accepted, bool(options.stop_tokens)
        self._sets: list[EarleySet] = []
        self._number: dict[frozenset[Item], int] = {}
        self._next: dict[tuple[int, int], int] = {}
        self._needs: dict[int, Integers] = {}
        self._ends: dict[int, Booleans] = {}
        self.begin = self._intern(frozenset({(rules.begin[rules.first], _ROOT)}))
        shortest = rules.needs[rules.begin[rules.first]]
        if shortest >= _FAR:
            raise ConfigError("the grammar derives no text that these tokens can write: it can never be met")
        if shortest > self._limit and max(map(len, self._units)) == 1:
            raise ConfigError(f"the grammar's shortest text has {shortest} tokens, at most {self._limit} may come")

    def allowed(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        needs = np.stack([self._needed(state) for state in states.tolist()])
        allowed: Booleans = needs <= self._limit - length - 1
        return allowed

    def ends(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        if length + 1 < self._least:
            return np.zeros((len(states), len(self._units)), bool)
        return np.stack([self._ending(state) for state in states.tolist()])

    def advance(self, states: Integers, tokens: Integers) -> Integers:
        """See `Part`."""
        pairs = zip(states.tolist(), tokens.tolist(), strict=True)
        return np.array([self._behind(state, token) for state, token in pairs], np.int64)

    def accepts(self, states: Integers) -> Booleans:
        """See `Part`."""
        return np.array([self._sets[state].accepted for state in states.tolist()], bool)

    def exhausted(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        done = [length >= self._least and self._is_final(state) for state in states.tolist()]
        return np.array(done, bool)

    def stopped(self, states: Integers) -> Booleans:
        """See `Part`."""
        return np.zeros(len(states), bool)

    def _intern(self, kernel: frozenset[Item]) -> int:
        number = self._number.get(kernel)
        if number is None:
            number = self._number[kernel] = len(self._sets)
            if number >= _MOST_SETS:
                raise ConfigError(f"the grammar needs more than {_MOST_SETS:,} sets for this text: make it simpler")
            self._sets.append(EarleySet(number, kernel, self._rules, self._sets))
        return number

    def _behind(self, state: int, token: int) -> int:
        """The set behind a token; -1 where it cannot come."""
        key = state, token
        if key not in self._next:
            for unit in self._units[token]:
                kernel = self._sets[state].over(unit)
                if not kernel:
                    self._next[key] = -1
                    break
                state = self._intern(kernel)
            else:
                self._next[key] = state if self._units[token] else -1
        return self._next[key]

    def _needed(self, state: int) -> Integers:
        """For each token, units needed behind it at least."""
        if state not in self._needs:
            edges = self._sets[state].edges
            self._needs[state] = np.array(
                [self._least_behind(state, token, edges) for token in range(len(self._units))]
            )
        return self._needs[state]

    def _least_behind(self, state: int, token: int, edges: list[tuple[int, int, Item, int]]) -> int:
        units = self._units[token]
        if len(units) == 1:
            return min((need for low, high, _, need in edges if low <= units[0] <= high), default=_FAR)
        after = self._behind(state, token)
        if after < 0:
            return _FAR
        found = self._sets[after]
        return 0 if found.accepted else min((1 + need for _, _, _, need in found.edges), default=_FAR)

    def _ending(self, state: int) -> Booleans:
        """For each token, whether nothing may come behind it."""
        if state not in self._ends:
            possible = self._needed(state) < _FAR
            tokens = np.flatnonzero(possible)
            possible[tokens] = [self._is_final(self._behind(state, token)) for token in tokens.tolist()]
            self._ends[state] = possible
        return self._ends[state]

    def _is_final(self, state: int) -> bool:
        if not self._sets[state].accepted:
            return False
        return self._ends_when_accepted or not (self._has_stops or (self._needed(state) < _FAR).any())
