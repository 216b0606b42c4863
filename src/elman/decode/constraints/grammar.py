"""A context-free grammar in force over tokens.

A sequence's state is the number of an Earley set. Sets are kept and met again, and what each allows is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.decode.constraints import ebnf
from elman.decode.constraints.earley import FAR, ROOT, EarleySet, Item, Rules
from elman.decode.options import Options
from elman.decode.roles import Booleans, Integers
from elman.decode.spelling import Spelling
from elman.errors import ConfigError

_MOST_SETS = 1_000_000
_NEAR = 12  # tokens before the longest length from which on it is searched what pieces of several units can still write


@dataclass(frozen=True)
class Grammar:
    """The text is derived from a context-free grammar in EBNF (`elman.decode.constraints.ebnf`)."""

    source: str

    def __post_init__(self) -> None:
        ebnf.parse(self.source)

    def over_grammar(self, spelling: Spelling, options: Options) -> Recogniser:
        """Compile it for a vocabulary."""
        return Recogniser(Rules(self.source, spelling), spelling, options)


class Recogniser:
    """A grammar in force over tokens; a `Part`.

    What a text still needs is known in units. Where every unit has a token of its own, that many tokens suffice; fewer
    may do where tokens write several, which is found out by search near the longest length.

    Raises:
        ConfigError: no text that these tokens can write follows the grammar.
    """

    def __init__(self, rules: Rules, spelling: Spelling, options: Options) -> None:
        self._rules, self._units = rules, spelling.units
        lengths = np.array([len(units) for units in self._units])
        self._single, self._longer = np.flatnonzero(lengths == 1), np.flatnonzero(lengths > 1).tolist()
        self._unit = np.array([self._units[token][0] for token in self._single], np.int64)
        self._longest = int(lengths.max())
        self._has_all = {unit for units in self._units for unit in units} == set(self._unit.tolist())
        self._limit, self._least = options.max_length, options.min_length
        self._ends_when_accepted, self._has_stops = options.stop_when_accepted, bool(options.stop_tokens)
        self._sets: list[EarleySet] = []
        self._number: dict[frozenset[Item], int] = {}
        self._next: dict[tuple[int, int], int] = {}
        self._ranges: dict[tuple[int, int], Integers] = {}
        self._needs: dict[int, Integers] = {}
        self._free: dict[int, tuple[int, Booleans]] = {}
        self._fits_in: dict[tuple[int, int], bool] = {}
        self._ends: dict[int, Booleans] = {}
        self.first = self._intern(frozenset({(rules.begin[rules.first], ROOT)}))
        if self._sets[self.first].need >= FAR:
            raise ConfigError("the grammar derives no text that these tokens can write: it can never be met")

    def begin(self) -> int:
        """See `Part`."""
        if not self._fits(self.first, self._limit):
            units = "bytes" if self._rules.nfa.is_bytes else "characters"
            raise ConfigError(
                f"the grammar derives no text of at most {self._limit} tokens; "
                f"its shortest has {self._sets[self.first].need} {units}"
            )
        return self.first

    def allowed(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        room = self._limit - length - 1
        return np.array([self._fitting(state, room) for state in states.tolist()])

    def ends(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        if length + 1 < self._least:
            return np.zeros((len(states), len(self._units)), bool)
        return np.stack([self._ending(state) for state in states.tolist()])

    def accepting(self, states: Integers) -> Booleans:
        """See `Part`."""
        return np.stack([self._needed(state) == 0 for state in states.tolist()])

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
            needs = np.full(len(self._units), FAR)
            for low, high, _, need in self._sets[state].edges:
                tokens = self._writing(low, high)
                needs[tokens] = np.minimum(needs[tokens], need)
            for token in self._longer:
                after = self._behind(state, token)
                needs[token] = self._sets[after].need if after >= 0 else FAR
            self._needs[state] = needs
        return self._needs[state]

    def _writing(self, low: int, high: int) -> Integers:
        """The tokens of a single unit in this range."""
        if (low, high) not in self._ranges:
            self._ranges[low, high] = self._single[(self._unit >= low) & (self._unit <= high)]
        return self._ranges[low, high]

    def _fitting(self, state: int, room: int) -> Booleans:
        """For each token, whether `room` more can bring the text to an end."""
        if state not in self._free:
            needs = self._needed(state)
            self._free[state] = int(needs[needs < FAR].max(initial=0)), needs < FAR
        farthest, free = self._free[state]
        if farthest <= room and self._has_all:
            return free
        needs = self._needed(state)
        fitting: Booleans = needs <= (room if self._has_all else 0)
        for token in np.flatnonzero(~fitting & (needs <= room * self._longest)).tolist():
            fitting[token] = self._fits(self._behind(state, token), room)
        return fitting

    def _fits(self, state: int, room: int) -> bool:
        """Whether at most `room` tokens lead from a set to an end; far from the longest length, as far as is known."""
        need = self._sets[state].need
        if need == 0 or need > room * self._longest:
            return need == 0
        if self._has_all and (need <= room or room > _NEAR):
            return need <= room
        if room > _NEAR:
            return True
        key = state, room
        if key not in self._fits_in:
            tokens = np.flatnonzero(self._needed(state) <= (room - 1) * self._longest).tolist()
            self._fits_in[key] = any(self._fits(self._behind(state, token), room - 1) for token in tokens)
        return self._fits_in[key]

    def _ending(self, state: int) -> Booleans:
        """For each token, whether nothing may come behind it."""
        if state not in self._ends:
            ends = self._needed(state) == 0  # behind others the text is not accepted yet
            tokens = np.flatnonzero(ends)
            ends[tokens] = [self._is_final(self._behind(state, token)) for token in tokens.tolist()]
            self._ends[state] = ends
        return self._ends[state]

    def _is_final(self, state: int) -> bool:
        if not self._sets[state].accepted:
            return False
        return self._ends_when_accepted or not (self._has_stops or (self._needed(state) < FAR).any())
