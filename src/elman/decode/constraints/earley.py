"""The sets of Earley's recogniser: what may come next at some place of a text.

Sets refer to the sets in which their rules began, not to positions, so that the same situation at another place in the
text is the same set. Rules are automata, so that repetitions cost no derivations.
Reference: Earley 1970; Jim & Mandelbaum 2010 (rules as automata).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from elman.decode.constraints.constraint import Alphabet
from elman.decode.constraints.fixpoint import Fixpoint
from elman.decode.constraints.nfa import Nfa, classes_of
from elman.decode.constraints.pattern import Pattern

HERE, ROOT = -1, -2  # origins: this set itself, and the beginning of the text
_FREE_VISITS = 1000  # of each set: no grammar that is not very ambiguous needs more

Item = tuple[int, int]  # state of a rule's automaton, and the set in which the rule began


class Rules:
    """A grammar's rules as automata over classes of units: units that no rule tells apart are one.

    Args:
        patterns: by rule, the first one first.
        alphabet: of the vocabulary.

    Attributes:
        first: the rule that texts are derived from.
        begin, end: by rule.
        rule: of each state.
        edges: of each state, (first class, class behind the last, target).
        names: of each state, (rule, target).
        reached: of each state, those behind it without a unit where something can happen.
        classes: of each symbol of the alphabet.
    """

    def __init__(self, patterns: Mapping[str, Pattern], alphabet: Alphabet) -> None:
        nfa = Nfa(alphabet.spelling.is_bytes, alphabet.budget)
        self.first, self.budget = next(iter(patterns)), alphabet.budget
        self.begin, self.end, self.rule = dict[str, int](), dict[str, int](), list[str]()
        for name, pattern in patterns.items():
            self.begin[name] = nfa.state()
            self.end[name] = nfa.add(pattern, self.begin[name])
            self.rule += [name] * (len(nfa.free) - len(self.rule))
        self.ends, self.names = set(self.end.values()), nfa.names
        classes, units = classes_of(nfa, alphabet.units)
        self.classes: list[int] = classes.tolist()
        self.edges = nfa.over(units)
        self.reached = [
            [s for s in nfa.closure({state}) if self.edges[s] or nfa.names[s] or s in self.ends]
            for state in range(len(nfa.free))
        ]
        self._openings: Fixpoint[int, tuple[int, bool]] = Fixpoint(self._opening_of, (0, False), self.budget)

    def may_begin(self, state: int, unit: int) -> bool:
        """Whether what is behind a state may begin with a unit of this class, or be empty."""
        classes, is_empty = self._openings(state)
        return is_empty or classes >> unit & 1 > 0

    def _opening_of(self, start: int, read: Callable[[int], tuple[int, bool]]) -> tuple[int, bool]:
        """The classes, as bits, that may come first behind a state; and whether nothing may."""
        found, is_empty = 0, False
        for state in self.reached[start]:
            is_empty |= state in self.ends
            for first, behind, _ in self.edges[state]:
                found |= (1 << behind) - (1 << first)
            for name, target in self.names[state]:
                classes, may_be_empty = read(self.begin[name])
                found |= classes
                if may_be_empty:
                    classes, may_be_empty = read(target)
                    found, is_empty = found | classes, is_empty or may_be_empty
        return found, is_empty


class EarleySet:
    """All items at some place of a text.

    Args:
        number: its own.
        kernel: items behind the last unit.
        rules: of the grammar.
        sets: all sets so far, by number.

    Attributes:
        kernel: as given.
        waiting: by rule, the items behind that rule's name: what a completion of it leads to.
        accepted: whether the text may end here.
    """

    def __init__(self, number: int, kernel: frozenset[Item], rules: Rules, sets: list[EarleySet]) -> None:
        self.kernel, self._number, self._rules, self._sets = kernel, number, rules, sets
        self.waiting: dict[str, list[Item]] = {}
        self._completed: set[str] = set()
        self._items: set[Item] = set()
        self._agenda: list[Item] = []
        self._visits = -_FREE_VISITS
        for state, origin in kernel:
            self._add(state, origin)
        while self._agenda:
            self._visit(*self._agenda.pop())
        self.accepted = (rules.end[rules.first], ROOT) in self._items
        self._edges = [
            (first, behind, (target, number if origin == HERE else origin))
            for state, origin in self._items
            for first, behind, target in rules.edges[state]
        ]
        del self._items, self._agenda, self._completed

    def _add(self, state: int, origin: int) -> None:
        reached = self._rules.reached[state]
        self._visits += 1 + len(reached)
        if self._visits > 0:
            self._rules.budget.work(self._visits)
            self._visits = 0
        for state_reached in reached:
            item = state_reached, origin
            if item not in self._items:
                self._items.add(item)
                self._agenda.append(item)

    def _visit(self, state: int, origin: int) -> None:
        rules = self._rules
        for name, target in rules.names[state]:
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

    def over(self, unit: int) -> frozenset[Item]:
        """The kernel behind a unit of this class."""
        return frozenset(item for first, behind, item in self._edges if first <= unit < behind)
