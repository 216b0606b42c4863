"""Constraints in force: compiled for a vocabulary, and asked at every step for a whole batch at once."""

from __future__ import annotations

from functools import reduce
from typing import Any, Protocol

import numpy as np

from elman.decode.constraints import automaton as automata
from elman.decode.constraints.automaton import BEGIN, DEAD, FAR, Automaton
from elman.decode.constraints.kinds import Alphabet, is_over_tokens
from elman.decode.constraints.stops import with_stops
from elman.decode.options import Options
from elman.decode.roles import Booleans, Integers
from elman.decode.spelling import Spelling, needs_spelling
from elman.errors import ConfigError


class Part(Protocol):
    """One constraint, or several compiled into one. States are numbers, one for each sequence."""

    first: int  # the state of a text that has not begun

    def begin(self) -> int:
        """The first state, or ConfigError where no text is as long as it must be, and not longer."""
        ...

    def allowed(self, states: Integers, length: int, /) -> Booleans:
        """[B, V]: tokens after which the constraint can still be met within the longest length."""
        ...

    def ends(self, states: Integers, length: int, /) -> Booleans:
        """[B, V]: tokens after which nothing more may come."""
        ...

    def accepting(self, states: Integers, /) -> Booleans:
        """[B, V]: tokens after which the text may end."""
        ...

    def advance(self, states: Integers, tokens: Integers, /) -> Integers:
        """[B]."""
        ...

    def accepts(self, states: Integers, /) -> Booleans:
        """[B]: whether the text may end here."""
        ...

    def exhausted(self, states: Integers, length: int, /) -> Booleans:
        """[B]: whether it may end here and nothing more may come."""
        ...

    def stopped(self, states: Integers, /) -> Booleans:
        """[B]: whether a stop string has just been completed."""
        ...


class Tables:
    """Everything that is regular, as one automaton over tokens.

    Args:
        automaton: over tokens.
        options: lengths.

    Raises:
        ConfigError: the constraints cannot be met at all.
    """

    first = BEGIN

    def __init__(self, automaton: Automaton, options: Options) -> None:
        self._limit, self._least = options.max_length, options.min_length
        self._distance = automaton.distances()
        following = np.where(self._distance[automaton.next] < FAR, automaton.next, DEAD)
        self._next, self._accept, self._stopped = following, automaton.accept, automaton.stopped
        self._free = following != DEAD
        self._farthest = int(self._distance[self._distance < FAR].max(initial=0))
        # Where there are stop tokens, one of them ends a text to which nothing can be added: its probability counts.
        final = automaton.accept & ~self._free.any(axis=1) & (not options.stop_tokens)
        self._final = automaton.stopped | (automaton.accept if options.stop_when_accepted else final)
        self._ends = self._final[following]
        self._early = self._before_least()
        if self._distance[BEGIN] == FAR:
            raise ConfigError("the constraints match nothing that these tokens can write: they can never be met")

    def begin(self) -> int:
        """See `Part`."""
        if not self._alive(0)[BEGIN]:
            raise ConfigError(
                f"the constraints cannot be met by {self._least} … {self._limit} tokens; "
                f"the shortest text that meets them has {self._distance[BEGIN]}"
            )
        return BEGIN

    def _before_least(self) -> list[Booleans]:
        """For each length below the least: states from which an end can be reached that is neither early nor late."""
        alive = [self._distance <= self._limit - self._least]
        for _ in range(self._least):
            alive.append((alive[-1][self._next] & self._free).any(axis=1) & ~self._stopped)
        return alive[:0:-1]

    def _alive(self, length: int) -> Booleans:
        """[S]: states in which a text of this length can still be finished."""
        return self._early[length] if length < self._least else self._distance <= self._limit - length

    def allowed(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        after = length + 1
        if after >= self._least and self._limit - after >= self._farthest:
            free: Booleans = self._free.take(states, axis=0)
            return free
        following = self._next[states]
        allowed: Booleans = self._alive(after)[following] & (following != DEAD)
        return allowed

    def ends(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        if length + 1 < self._least:
            return np.zeros((len(states), self._next.shape[1]), bool)
        return self._ends.take(states, axis=0)

    def accepting(self, states: Integers) -> Booleans:
        """See `Part`."""
        return (self._accept | self._stopped)[self._next[states]]

    def advance(self, states: Integers, tokens: Integers) -> Integers:
        """See `Part`."""
        return self._next[states, tokens].astype(np.int64)

    def accepts(self, states: Integers) -> Booleans:
        """See `Part`."""
        return self._accept[states]

    def exhausted(self, states: Integers, length: int) -> Booleans:
        """See `Part`."""
        return self._final[states] & (length >= self._least)

    def stopped(self, states: Integers) -> Booleans:
        """See `Part`."""
        return self._stopped[states]


class Force:
    """All constraints of a search. The states are [B, k], a column for each part."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts

    @classmethod
    def of(cls, options: Options, size: int, spelling: Spelling | None) -> Force | None:
        """Compile; None where nothing is constrained.

        Raises:
            ConfigError: a constraint that can never be met, or that speaks of text where tokens have none.
        """
        if not options.constraints and not options.stop_strings:
            return None
        grammars = [c for c in options.constraints if hasattr(c, "over_grammar")]
        parts: list[Part] = []
        regular = _regular(options, size, spelling, [c for c in options.constraints if c not in grammars])
        if regular is not None:
            parts.append(Tables(regular, options))
        for grammar in grammars:
            if options.stop_strings:
                raise ConfigError("a grammar says itself where the text ends: leave out the stop strings")
            parts.append(grammar.over_grammar(needs_spelling(spelling, "a grammar"), options))
        return cls(parts)

    def behind(self, tokens: Integers) -> list[int]:
        """The state of a text: of one that begins, or of one that goes on.

        Raises:
            ConfigError: no text that begins here can be as long as it must be.
        """
        if not len(tokens):
            return [part.begin() for part in self.parts]
        states = np.array([[part.first for part in self.parts]], np.int64)
        for token in tokens:
            states = self.advance(states, token[None])
        return states[0].tolist()  # type: ignore[no-any-return]

    def allowed(self, states: Integers, length: int) -> Booleans:
        """[B, V], memory that the caller may change."""
        allowed = self.parts[0].allowed(states[:, 0], length)
        for column, part in enumerate(self.parts[1:], 1):
            allowed = allowed & part.allowed(states[:, column], length)
        return allowed

    def ends(self, states: Integers, length: int) -> Booleans:
        """[B, V]: tokens after which the text may end, and must, by one part at least."""
        ends = self.parts[0].ends(states[:, 0], length)
        if len(self.parts) > 1:
            for column, part in enumerate(self.parts[1:], 1):
                ends = ends | part.ends(states[:, column], length)
            for column, part in enumerate(self.parts):
                ends &= part.accepting(states[:, column])
        return ends

    def advance(self, states: Integers, tokens: Integers) -> Integers:
        """[B, k]."""
        columns: list[Any] = [part.advance(states[:, k], tokens) for k, part in enumerate(self.parts)]
        return columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)

    def accepts(self, states: Integers) -> Booleans:
        """[B]: whether the text may end here, by all parts."""
        accepted = self.parts[0].accepts(states[:, 0])
        for column, part in enumerate(self.parts[1:], 1):
            accepted = accepted & part.accepts(states[:, column])
        return accepted

    def ended(self, states: Integers, length: int) -> Booleans:
        """[B]: whether nothing more may come."""
        ended = self.parts[0].exhausted(states[:, 0], length)
        for column, part in enumerate(self.parts[1:], 1):
            ended = ended | part.exhausted(states[:, column], length)
        return ended & self.accepts(states) if len(self.parts) > 1 else ended

    def stopped(self, states: Integers) -> Booleans:
        """[B]: whether a stop string has just been completed."""
        stopped = self.parts[0].stopped(states[:, 0])
        for column, part in enumerate(self.parts[1:], 1):
            stopped = stopped | part.stopped(states[:, column])
        return stopped


def _regular(options: Options, size: int, spelling: Spelling | None, constraints: list[Any]) -> Automaton | None:
    """What is regular, over tokens."""
    over_text = [c for c in constraints if not is_over_tokens(c)]
    result = None
    if over_text or options.stop_strings:
        what = f"the constraint {over_text[0]!r}" if over_text else "a stop string"
        alphabet = Alphabet(needs_spelling(spelling, what))
        each = [constraint.over_text(alphabet) for constraint in over_text]
        text = reduce(Automaton.intersect, each) if each else automata.everything(alphabet.size)
        stops = [symbols for stop in options.stop_strings if (symbols := alphabet.symbols(stop)) is not None]
        result = (with_stops(text, stops) if stops else text).over_tokens(alphabet.of_tokens())
    for constraint in constraints:
        if is_over_tokens(constraint):
            tokens = constraint.over_tokens(size)
            result = tokens if result is None else result.intersect(tokens)
    return result
