"""Constraints in force: compiled for a vocabulary, and asked at every step for a whole batch at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elman.decode.constraints.automaton import BEGIN, DEAD, FAR, Automaton
from elman.decode.options import Options
from elman.decode.roles import Booleans, Integers
from elman.errors import ConfigError


@dataclass(frozen=True)
class TextLimits:
    """What is asked of a text beside its constraints.

    Attributes:
        least, most: tokens.
        has_stops: whether a stop token may end it. Where one may, it ends a text to which nothing can be added, too:
            its probability counts.
        ends_when_accepted: whether it ends as soon as the constraints are met.
    """

    least: int
    most: int
    has_stops: bool = False
    ends_when_accepted: bool = False

    @classmethod
    def of(cls, options: Options) -> TextLimits:
        """What options say."""
        may_stop = any(options.bias.get(token, 0.0) > -np.inf for token in options.stop_tokens)
        return cls(options.min_length, options.max_length, may_stop, options.stop_when_accepted)


class Force(ABC):
    """All constraints of a search. States are numbers, one for each sequence, [B]."""

    first: int  # the state of a text that has not begun

    def behind(self, tokens: Integers) -> int:
        """The state of a text: of one that begins, or of one that goes on.

        Raises:
            ConfigError: no text that begins here can be as long as it must be, and not longer.
        """
        if not len(tokens):
            return self.begin()
        state = self.first
        for token in tokens.tolist():
            state = self.over(state, token)
        return state

    @abstractmethod
    def begin(self) -> int:
        """The first state. Raises ConfigError where no text is as long as it must be, and not longer."""

    @abstractmethod
    def over(self, state: int, token: int) -> int:
        """The state behind a token that was written before this search, which may forbid it from now on."""

    @abstractmethod
    def allowed(self, states: Integers, length: int) -> Booleans:
        """[B, V]: tokens after which the constraints can still be met within the lengths; the caller may change it."""

    @abstractmethod
    def ends(self, states: Integers, length: int) -> Booleans:
        """[B, V]: tokens after which nothing more may come."""

    @abstractmethod
    def advance(self, states: Integers, tokens: Integers) -> Integers:
        """[B]."""

    @abstractmethod
    def accepts(self, states: Integers) -> Booleans:
        """[B]: whether the text may end here."""

    @abstractmethod
    def ended(self, states: Integers, length: int) -> Booleans:
        """[B]: whether nothing more may come."""

    @abstractmethod
    def stopped(self, states: Integers) -> Booleans:
        """[B]: whether a stop string has just been completed."""


class Tables(Force):
    """Everything that is regular, as one automaton over tokens.

    Args:
        automaton: over tokens.
        limits: lengths.
        barred: tokens that are not taken.

    Attributes:
        next: int32 [S, V], without ways that lead to no end.
        whole: int32 [S, V], with barred tokens.
        accept: bool [S].
        tail: int32 [S], see `Automaton`.
    """

    first = BEGIN

    def __init__(self, automaton: Automaton, limits: TextLimits, barred: Sequence[int] = ()) -> None:
        whole = automaton.next
        if len(barred):
            following = whole.copy()
            following[:, list(barred)] = DEAD
            automaton = Automaton(following, automaton.accept, automaton.tail)
        self._limits, self._distance = limits, automaton.distances()
        self.next = np.where(self._distance[automaton.next] < FAR, automaton.next, DEAD)
        self.whole = whole if len(barred) else self.next
        self.accept, self.tail = automaton.accept, automaton.tail
        self._free = self.next != DEAD
        self._farthest = int(self._distance[self._distance < FAR].max(initial=0))
        full = ~self._free.any(axis=1) & (not limits.has_stops)
        self._final = (self.tail > 0) | (self.accept & (full | limits.ends_when_accepted))
        self._ends = self._final[self.next]
        self._early = self._before_least()

    def begin(self) -> int:
        """See `Force`."""
        if self._distance[BEGIN] == FAR:
            raise ConfigError("the constraints match nothing that these tokens can write: they can never be met")
        if not self._alive(0)[BEGIN]:
            raise ConfigError(
                f"the constraints cannot be met by {self._limits.least} … {self._limits.most} tokens; "
                f"the shortest text that meets them has {self._distance[BEGIN]}"
            )
        return BEGIN

    def over(self, state: int, token: int) -> int:
        """See `Force`."""
        return int(self.whole[state, token])

    def _before_least(self) -> list[Booleans]:
        """For each length below the least: states from which an end can be reached that is neither early nor late."""
        alive = [self._distance <= self._limits.most - self._limits.least]
        for _ in range(self._limits.least):
            alive.append((alive[-1][self.next] & self._free).any(axis=1))
        return alive[:0:-1]

    def _alive(self, length: int) -> Booleans:
        """[S]: states in which a text of this length can still be finished."""
        return self._early[length] if length < self._limits.least else self._distance <= self._limits.most - length

    def allowed(self, states: Integers, length: int) -> Booleans:
        """See `Force`."""
        after = length + 1
        if after >= self._limits.least and self._limits.most - after >= self._farthest:
            free: Booleans = self._free.take(states, axis=0)
            return free
        following = self.next[states]
        allowed: Booleans = self._alive(after)[following] & (following != DEAD)
        return allowed

    def ends(self, states: Integers, length: int) -> Booleans:
        """See `Force`."""
        if length + 1 < self._limits.least:
            return np.zeros((len(states), self.next.shape[1]), bool)
        ends: Booleans = self._ends.take(states, axis=0)
        return ends

    def advance(self, states: Integers, tokens: Integers) -> Integers:
        """See `Force`."""
        return self.next[states, tokens].astype(np.int64)

    def accepts(self, states: Integers) -> Booleans:
        """See `Force`."""
        return self.accept[states]

    def ended(self, states: Integers, length: int) -> Booleans:
        """See `Force`."""
        ended: Booleans = self._final[states] & (length >= self._limits.least)
        return ended

    def stopped(self, states: Integers) -> Booleans:
        """See `Force`."""
        stopped: Booleans = self.tail[states] > 0
        return stopped
