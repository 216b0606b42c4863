"""Deterministic automata as tables: over characters or bytes first, then over tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.decode.constraints.budget import WorkBudget
from elman.decode.roles import Booleans

Table = NDArray[np.int32]
DEAD, BEGIN = 0, 1
FAR = np.iinfo(np.int32).max
_TOGETHER = 1 << 20  # entries of a table that are looked at together


@dataclass(frozen=True, eq=False)
class Automaton:
    """States 0 … S - 1: 0 is dead, 1 the beginning.

    Attributes:
        next: int32 [S, A], the state behind each symbol.
        accept: bool [S], whether a text may end here.
        tail: int32 [S], where a stop string has been completed: symbols at the end, from its beginning on, that are
            no part of the text. 0 elsewhere.
    """

    next: Table
    accept: Booleans
    tail: Table

    @property
    def states(self) -> int:
        """S."""
        return len(self.next)

    @classmethod
    def make(cls, following: Table, accept: Booleans) -> Automaton:
        """An automaton that knows no stop strings."""
        return cls(following, accept, np.zeros(len(following), np.int32))

    def distances(self) -> NDArray[np.int32]:
        """[S], symbols at least to an end; FAR for states without one."""
        sources, targets = self._edges()
        distance = np.full(self.states, FAR, np.int32)
        frontier = self.accept | (self.tail > 0)
        step = 0
        while frontier.any():
            distance[frontier] = step
            before = np.zeros(self.states, bool)
            before[sources[frontier[targets]]] = True
            frontier = before & (distance == FAR)
            step += 1
        return distance

    def _edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every pair of states that some symbol leads through, once."""
        found, rows = [], max(1, _TOGETHER // max(1, self.next.shape[1]))
        for begin in range(0, self.states, rows):
            part = self.next[begin : begin + rows].astype(np.int64)
            codes = part + self.states * np.arange(begin, begin + len(part))[:, None]
            found.append(np.unique(codes[part != DEAD]))
        codes = np.concatenate(found)
        return codes // self.states, codes % self.states

    def intersect(self, other: Automaton, budget: WorkBudget) -> Automaton:
        """Texts that both accept, over one alphabet."""
        known = np.array([0, BEGIN * other.states + BEGIN], np.int64)
        frontier, order, tables = known[1:], [known], [np.zeros((1, self.next.shape[1]), np.int64)]
        while len(frontier):
            mine, others = self.next[frontier // other.states], other.next[frontier % other.states]
            codes = np.where((mine > 0) & (others > 0), mine.astype(np.int64) * other.states + others, 0)
            tables.append(codes)
            frontier = np.setdiff1d(codes, known)
            known = np.union1d(known, frontier)
            order.append(frontier)
            budget.states(len(frontier))
            budget.table(len(known), self.next.shape[1])
        codes = np.concatenate(order)
        place = np.argsort(codes)
        following = place[np.searchsorted(codes, np.concatenate(tables), sorter=place)].astype(np.int32)
        mine, others = codes // other.states, codes % other.states
        accept = self.accept[mine] & other.accept[others]
        tail = np.where(other.accept[others], self.tail[mine], 0)
        tail = np.maximum(tail, np.where(self.accept[mine], other.tail[others], 0))
        return Automaton(following, accept, tail)

    def over_tokens(self, units: Sequence[Sequence[int]], budget: WorkBudget) -> Automaton:
        """The same language over tokens.

        Args:
            units: [V], for each token the symbols that it writes; a token that writes nothing is never taken.
        """
        budget.table(self.states, len(units))
        following = np.repeat(np.arange(self.states, dtype=np.int32)[:, None], len(units), axis=1)
        for place in range(max(map(len, units), default=0)):
            longer = np.array([token for token, each in enumerate(units) if len(each) > place])
            symbols = np.array([units[token][place] for token in longer])
            following[:, longer] = self.next[following[:, longer], symbols[None, :]]
        following[:, [token for token, each in enumerate(units) if not len(each)]] = DEAD
        following[self.tail > 0] = DEAD
        return Automaton(following, self.accept, self.tail)


def everything(symbols: int) -> Automaton:
    """Any text."""
    return Automaton.make(np.array([[DEAD] * symbols, [BEGIN] * symbols], np.int32), np.array([False, True]))


def only(allowed: Booleans) -> Automaton:
    """Any text of these symbols, [A]."""
    row = np.where(allowed, BEGIN, DEAD)
    return Automaton.make(np.stack((np.zeros_like(row), row)).astype(np.int32), np.array([False, True]))


def beginning(prefix: Sequence[int], symbols: int) -> Automaton:
    """Any text that begins so."""
    following = np.zeros((len(prefix) + 2, symbols), np.int32)
    for place, symbol in enumerate(prefix):
        following[BEGIN + place, symbol] = BEGIN + place + 1
    following[-1] = len(prefix) + 1
    accept = np.zeros(len(prefix) + 2, bool)
    accept[-1] = True
    return Automaton.make(following, accept)


def containing(infix: Sequence[int], symbols: int) -> Automaton:
    """Any text in which this stands somewhere. Reference: Knuth, Morris & Pratt 1977."""
    following = np.zeros((len(infix) + 2, symbols), np.int32)
    border = BEGIN
    for place in range(len(infix) + 1):
        state = BEGIN + place
        following[state] = following[border] if place else BEGIN
        if place < len(infix):
            following[state, infix[place]] = state + 1
            border = following[border, infix[place]] if place else BEGIN
    following[-1] = len(infix) + 1
    accept = np.zeros(len(infix) + 2, bool)
    accept[-1] = True
    return Automaton.make(following, accept)


def words(texts: Iterable[Sequence[int]], separator: Sequence[int], symbols: int, budget: WorkBudget) -> Automaton:
    """One of the texts, or several of them with the separator, which none of them contains, between: a prefix tree."""
    rows: list[dict[int, int]] = [{}, {}]

    def insert(text: Sequence[int], state: int) -> int:
        for symbol in text:
            if symbol not in rows[state]:
                budget.states()
                rows.append({})
                rows[state][symbol] = len(rows) - 1
            state = rows[state][symbol]
        return state

    ends = sorted({insert(text, BEGIN) for text in texts})
    if separator:
        for end in ends:
            rows[insert(separator[:-1], end)][separator[-1]] = BEGIN
    budget.table(len(rows), symbols)
    following, accept = np.zeros((len(rows), symbols), np.int32), np.zeros(len(rows), bool)
    for state, row in enumerate(rows):
        following[state, list(row)] = list(row.values())
    accept[ends] = True
    return Automaton.make(following, accept)
