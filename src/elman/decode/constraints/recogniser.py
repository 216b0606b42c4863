"""A grammar in force over tokens, together with everything regular."""

from __future__ import annotations

import numpy as np

from elman.decode.constraints.automaton import Table
from elman.decode.constraints.completions import WHOLE, Completions, Spot, Words
from elman.decode.constraints.constraint import Alphabet
from elman.decode.constraints.earley import ROOT, EarleySet, Item, Rules
from elman.decode.constraints.force import Force, Tables, TextLimits
from elman.decode.constraints.lengths import Lengths, between, shortest
from elman.decode.roles import Booleans, Integers
from elman.errors import ConfigError

_FAR = 10_000  # tokens: of what is shortest it is said how long it is, up to here
_NEW_SETS = 64  # at one place
_NONE = -1  # number of no Earley set

# Where a text has got to: the state of the regular automaton; the Earley set; and, in bits, whether the grammar's text
# may have ended now, a unit ago, two ago, … as far back as a stop string reaches.
Place = tuple[int, int, int]


class Recogniser(Force):
    """A grammar in force. Places and sets are numbered and met again, and what each allows is computed once.

    Args:
        rules: of the grammar.
        tables: the regular constraints; `everything` where there are none.
        alphabet: of the vocabulary.
        limits: lengths.
    """

    def __init__(self, rules: Rules, tables: Tables, alphabet: Alphabet, limits: TextLimits) -> None:
        self._rules, self._tables, self._limits = rules, tables, limits
        self._units = [[rules.classes[symbol] for symbol in symbols] for symbols in alphabet.of_tokens()]
        self._sets: list[EarleySet] = []
        self._set_number: dict[frozenset[Item], int] = {}
        self._words = Words(self._units)
        rules.budget.allow(len(self._words.first))
        self._farthest = max(limits.most, _FAR)
        lengths = Lengths(limits.least, self._farthest)
        self._completions = Completions(rules, self._words, tables, lengths, self._sets)
        self._mask = (2 << int(tables.tail.max(initial=0))) - 1
        self._places: list[Place] = []
        self._number: dict[Place, int] = {}
        self._reached: dict[tuple[int, int], int] = {}
        self._next: dict[tuple[int, int], int] = {}
        self._kinds: dict[int, list[int]] = {}
        self._free: dict[int, tuple[int, Booleans]] = {}
        self._ends: dict[int, Booleans] = {}
        begin = self._intern(frozenset({(rules.begin[rules.first], ROOT)}))
        self.first = self._place((tables.first, begin, int(self._sets[begin].accepted)))

    def begin(self) -> int:
        """See `Force`."""
        self._tables.begin()
        regular, at, _ = self._places[self.first]
        lengths = self._completions.behind(at, (regular, WHOLE))
        if not lengths:
            raise ConfigError(
                "the grammar derives no text that these tokens can write, with what stands beside it, "
                f"or none of fewer than {self._farthest:,} tokens: it can never be met"
            )
        least, most = self._limits.least, self._limits.most
        if not between(lengths, least, most):
            asked = f"{least} … {most}" if least else f"at most {most}"
            raise ConfigError(
                f"the grammar derives no text of {asked} tokens; its shortest has {shortest(lengths)}, "
                "with what stands beside it"
            )
        return self.first

    def over(self, state: int, token: int) -> int:
        """See `Force`."""
        return self._step(state, token, self._tables.whole)

    def allowed(self, states: Integers, length: int) -> Booleans:
        """See `Force`."""
        low, high = max(0, self._limits.least - length - 1), self._limits.most - length - 1
        return np.array([self._fitting(state, low, high) for state in states.tolist()])

    def ends(self, states: Integers, length: int) -> Booleans:
        """See `Force`."""
        if length + 1 < self._limits.least:
            return np.zeros((len(states), len(self._units)), bool)
        return np.stack([self._ending(state) for state in states.tolist()])

    def advance(self, states: Integers, tokens: Integers) -> Integers:
        """See `Force`."""
        pairs = zip(states.tolist(), tokens.tolist(), strict=True)
        return np.array([self._behind(state, token) for state, token in pairs], np.int64)

    def accepts(self, states: Integers) -> Booleans:
        """See `Force`."""
        return np.array([self._accepts(state) for state in states.tolist()], bool)

    def ended(self, states: Integers, length: int) -> Booleans:
        """See `Force`."""
        done = [length >= self._limits.least and self._is_final(state) for state in states.tolist()]
        return np.array(done, bool)

    def stopped(self, states: Integers) -> Booleans:
        """See `Force`."""
        return np.array([self._tables.tail[self._places[state][0]] > 0 for state in states.tolist()], bool)

    def _intern(self, kernel: frozenset[Item]) -> int:
        if not kernel:
            return _NONE
        number = self._set_number.get(kernel)
        if number is None:
            number = self._set_number[kernel] = len(self._sets)
            self._rules.budget.sets(number + 1)
            self._sets.append(EarleySet(number, kernel, self._rules, self._sets))
        return number

    def _place(self, place: Place) -> int:
        if place not in self._number:
            self._number[place] = len(self._places)
            self._places.append(place)
        return self._number[place]

    def _behind(self, state: int, token: int) -> int:
        """The place behind a token."""
        key = state, token
        if key not in self._next:
            self._next[key] = self._step(state, token, self._tables.next)
        return self._next[key]

    def _step(self, state: int, token: int, table: Table) -> int:
        regular, at, ended = self._places[state]
        regular = int(table[regular, token])
        for unit in self._units[token]:
            at = self._reach(at, unit) if at != _NONE else _NONE
            ended = (ended << 1 | (at != _NONE and self._sets[at].accepted)) & self._mask
        stopping = [ago for ago in _bits(ended) if ago == 0 or self._completions.after_end(regular, ago)]
        return self._place((regular, at, sum(1 << ago for ago in stopping)))

    def _following(self, state: int) -> list[int]:
        """For each kind of token, the lengths of what can come behind it."""
        if state not in self._kinds:
            regular, at, ended = self._places[state]
            spots, length = self._completions.kinds(regular)[0], self._words.length
            found = [0] * len(spots)
            for ago in _bits(ended):
                for kind, (after, word) in enumerate(spots):
                    found[kind] |= self._completions.after_end(after, ago + length[word])
            if at != _NONE and not self._go_on(at, spots, found):
                for kind, spot in enumerate(spots):
                    found[kind] |= self._completions.behind(at, spot)
            self._kinds[state] = found
        return self._kinds[state]

    def _go_on(self, at: int, spots: list[Spot], found: list[int]) -> bool:
        """Add the lengths of what comes behind a set and tokens of some kinds, all kinds unit by unit side by side.

        Gives False where too many sets would be needed, as where each token leaves something else to come.
        """
        words, most = self._words, len(self._sets) + _NEW_SETS
        rest, sets = np.array([word for _, word in spots], np.int64), np.full(len(spots), at)
        first, behind, size = np.array(words.first), np.array(words.rest), len(self._rules.classes)
        while len(going := np.flatnonzero((rest != WHOLE) & (sets != _NONE))):
            codes, place = np.unique(sets[going] * size + first[rest[going]], return_inverse=True)
            reached = [self._reach(*divmod(code, size)) for code in codes.tolist() if len(self._sets) < most]
            if len(reached) < len(codes):
                return False
            sets[going], rest[going] = np.array(reached, np.int64)[place], behind[rest[going]]
            if self._mask > 1:
                for kind in going[(sets[going] != _NONE) & (rest[going] != WHOLE)].tolist():
                    if self._sets[sets[kind]].accepted:
                        found[kind] |= self._completions.after_end(spots[kind][0], words.length[rest[kind]])
        for kind in np.flatnonzero(sets != _NONE).tolist():
            found[kind] |= self._completions.behind(int(sets[kind]), (spots[kind][0], WHOLE))
        return True

    def _reach(self, at: int, unit: int) -> int:
        """The set behind a unit."""
        if (at, unit) not in self._reached:
            self._reached[at, unit] = self._intern(self._sets[at].over(unit))
        return self._reached[at, unit]

    def _taken(self, state: int, kinds: list[bool]) -> Booleans:
        """The tokens of some kinds, [V]."""
        return np.array([*kinds, False], bool)[self._completions.kinds(self._places[state][0])[1]]

    def _fitting(self, state: int, low: int, high: int) -> Booleans:
        """For each token, whether from `low` to `high` more can bring the text to an end."""
        if state not in self._free:
            following = self._following(state)
            farthest = max((shortest(lengths) for lengths in following if lengths), default=0)
            self._free[state] = farthest, self._taken(state, [lengths > 0 for lengths in following])
        farthest, free = self._free[state]
        if low == 0 and farthest <= high:
            return free
        return self._taken(state, [between(lengths, low, high) for lengths in self._following(state)])

    def _ending(self, state: int) -> Booleans:
        """For each token, whether nothing may come behind it."""
        if state not in self._ends:
            tokens = self._completions.kinds(self._places[state][0])[1].tolist()
            final = [
                lengths & 1 > 0 and self._is_final(self._behind(state, tokens.index(kind)))
                for kind, lengths in enumerate(self._following(state))
            ]
            self._ends[state] = self._taken(state, final)
        return self._ends[state]

    def _accepts(self, state: int) -> bool:
        regular, _, ended = self._places[state]
        return bool(ended & 1 and self._tables.accept[regular])

    def _is_final(self, state: int) -> bool:
        if self._tables.tail[self._places[state][0]]:
            return True
        if not self._accepts(state) or self._limits.ends_when_accepted:
            return self._accepts(state)
        return not self._limits.has_stops and not any(self._following(state))


def _bits(number: int) -> list[int]:
    """Where the ones of a number stand."""
    return [place for place in range(number.bit_length()) if number >> place & 1]
