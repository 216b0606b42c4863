"""With how many tokens a text that follows a grammar can be brought to an end, whatever stands beside the grammar.

A grammar meets the regular constraints in a *spot*: the state of their automaton behind the token that is being
written, and what is left of that token's units. From a state of a rule's automaton and a spot, the rule can end in
other spots, with so many tokens in between: that is solved for once, for all texts. What comes behind the rule depends
on the Earley sets that wait for it, and is solved for as sets are met. No text is written out to find what fits.
Reference: Bar-Hillel, Perles & Shamir 1961 (intersection with a regular language); Knuth 1977 (shortest derivations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from elman.decode.constraints.automaton import DEAD
from elman.decode.constraints.earley import HERE, ROOT, EarleySet, Rules
from elman.decode.constraints.fixpoint import Fixpoint
from elman.decode.constraints.force import Tables
from elman.decode.constraints.lengths import Lengths
from elman.decode.roles import Integers

Spot = tuple[int, int]  # state of the regular automaton, and number of what is left of the token
Exits = dict[Spot, int]  # where a rule can end, and with which numbers of tokens
WHOLE = 0  # number of nothing left
_TOGETHER = 2  # ways on that are followed for the price of one operation


class Words:
    """What tokens write, as classes of units, and what is left of them behind each unit.

    Args:
        classes: [V], of the units of each token.

    Attributes:
        of: [V], number of what each token writes.
        first, rest: by number, its first class, and the number of what is left behind it.
        length: by number.
    """

    def __init__(self, classes: Sequence[Sequence[int]]) -> None:
        self.first, self.rest, self.length = [-1], [WHOLE], [0]
        self._number: dict[tuple[int, int], int] = {}
        self.of = [self._add(units) for units in classes]

    def _add(self, units: Sequence[int]) -> int:
        number = WHOLE
        for unit in reversed(units):
            key = unit, number
            if key not in self._number:
                self._number[key] = len(self.first)
                self.first.append(unit)
                self.rest.append(number)
                self.length.append(self.length[number] + 1)
            number = self._number[key]
        return number


class Completions:
    """The numbers of tokens that lead to an end, as `Lengths`.

    Args:
        rules: of the grammar.
        words: what tokens write.
        tables: the regular constraints.
        lengths: what is asked.
        sets: all Earley sets, by number.
    """

    def __init__(self, rules: Rules, words: Words, tables: Tables, lengths: Lengths, sets: Sequence[EarleySet]) -> None:
        self._rules, self._words, self._tables, self._lengths, self._sets = rules, words, tables, lengths, sets
        self._longest_stop = int(tables.tail.max(initial=0))
        self._starts: dict[int, dict[int, list[Spot]]] = {}
        self._kinds: dict[int, tuple[list[Spot], Integers]] = {}
        self._behind: dict[tuple[int, Spot], int] = {}
        self._exits: Fixpoint[tuple[int, int, int], Exits] = Fixpoint(self._exits_of, {}, rules.budget)
        self._futures: Fixpoint[tuple[int, str, int, int], int] = Fixpoint(self._future_of, 0, rules.budget)
        self._tails: Fixpoint[Spot, int] = Fixpoint(self._tail_of, 0, rules.budget)

    def kinds(self, regular: int) -> tuple[list[Spot], Integers]:
        """The spots in which tokens begin in a state of the regular automaton; and which is each token's, [V] or -1."""
        if regular not in self._kinds:
            self._rules.budget.work(len(self._words.of))
            number: dict[Spot, int] = {}
            row = self._tables.next[regular].tolist()
            kinds = [
                number.setdefault((after, word), len(number)) if after != DEAD and word != WHOLE else -1
                for after, word in zip(row, self._words.of, strict=True)
            ]
            self._kinds[regular] = list(number), np.array(kinds, np.int64)
        return self._kinds[regular]

    def behind(self, at: int, spot: Spot) -> int:
        """The lengths of what can follow from an Earley set and a spot."""
        if (at, spot) in self._behind:
            return self._behind[at, spot]
        found = 0
        for state, origin in self._sets[at].kernel:
            if self._may_go_on(state, spot[1]):
                exits = self._exits((state, *spot))
                self._rules.budget.work(len(exits) // _TOGETHER)
                for (after, rest), length in exits.items():
                    found |= self._lengths.sums(length, self._outside(origin, self._rules.rule[state], after, rest))
        found = self._lengths.of(found)
        if spot[1] == WHOLE:  # others are asked for once
            self._behind[at, spot] = found
        return found

    def after_end(self, regular: int, ago: int) -> int:
        """The lengths of what can follow where the text has ended so many units ago, and a stop string is written."""
        return self._tails((regular, ago))

    def _outside(self, origin: int, rule: str, regular: int, rest: int) -> int:
        if origin == ROOT:
            return self._tails((regular, self._words.length[rest]))
        return self._futures((origin, rule, regular, rest))

    def _tail_of(self, key: Spot, read: Callable[[Spot], int]) -> int:
        regular, ago = key
        if self._tables.tail[regular]:
            return int(self._tables.tail[regular] == ago)
        found = int(ago == 0 and self._tables.accept[regular])
        if ago < self._longest_stop:
            for after, word in self.kinds(regular)[0]:
                found |= read((after, ago + self._words.length[word])) << 1
        return self._lengths.of(found)

    def _future_of(self, key: tuple[int, str, int, int], read: Callable[[tuple[int, str, int, int]], int]) -> int:
        number, name, regular, rest = key
        found = 0
        for state, origin in self._sets[number].waiting[name]:
            rule = self._rules.rule[state]
            exits = self._exits((state, regular, rest))
            self._rules.budget.work(len(exits) // _TOGETHER)
            for exit_, length in exits.items():
                if origin == ROOT:
                    after = self._outside(ROOT, rule, *exit_)
                else:
                    after = read((number if origin == HERE else origin, rule, *exit_))
                found |= self._lengths.sums(length, after)
        return self._lengths.of(found)

    def _exits_of(self, key: tuple[int, int, int], read: Callable[[tuple[int, int, int]], Exits]) -> Exits:
        start, regular, rest = key
        rules, found = self._rules, dict[Spot, int]()

        def behind_of(state: int, spot: Spot) -> Iterable[tuple[Spot, int]]:
            if not self._may_go_on(state, spot[1]):
                return ()
            exits = read((state, *spot))
            rules.budget.work(len(exits) // _TOGETHER)
            return exits.items()

        def add(spot: Spot, bits: int) -> None:
            found[spot] = self._lengths.of(found.get(spot, 0) | bits)

        for state in rules.reached[start]:
            if state in rules.ends:
                add((regular, rest), 1)
            for first, behind, target in rules.edges[state]:
                for after in self._over(regular, rest, first, behind):
                    for exit_, length in behind_of(target, after):
                        add(exit_, length << (rest == WHOLE))
            for name, target in rules.names[state]:
                for middle, length in behind_of(rules.begin[name], (regular, rest)):
                    for exit_, more in behind_of(target, middle):
                        add(exit_, self._lengths.sums(length, more))
        return {spot: bits for spot, bits in found.items() if bits}

    def _may_go_on(self, state: int, rest: int) -> bool:
        """Whether what is left of a token can be written behind a state; what cannot is not looked at any closer."""
        return rest == WHOLE or self._rules.may_begin(state, self._words.first[rest])

    def _over(self, regular: int, rest: int, first: int, behind: int) -> list[Spot]:
        """The spots behind a unit of these classes; a new token begins where nothing is left of one."""
        words = self._words
        if rest != WHOLE:
            return [(regular, words.rest[rest])] if first <= words.first[rest] < behind else []
        if regular not in self._starts:
            starts: dict[int, dict[Spot, None]] = {}
            for after, word in self.kinds(regular)[0]:
                starts.setdefault(words.first[word], {})[after, words.rest[word]] = None
            self._starts[regular] = {unit: list(spots) for unit, spots in starts.items()}
        starts_here = self._starts[regular]
        units = range(first, behind) if behind - first < len(starts_here) else sorted(starts_here)
        return list(dict.fromkeys(s for unit in units if first <= unit < behind for s in starts_here.get(unit, ())))
