"""Exact search: the best finished sequence of all, depth first, without what a bound rules out.

No token makes log p larger, so that a prefix whose best possible rank does not exceed that of a finished sequence need
not be continued. Reference: Stahlberg & Byrne 2019, arXiv:1908.10090.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elman.decode.results import CANCELLED, Result
from elman.decode.roles import Booleans, Floats, Hypotheses, Integers
from elman.decode.search.draw import NOTHING, Decided
from elman.decode.search.guide import Guide
from elman.decode.search.live import Live
from elman.decode.search.pool import Pool, offer

_TOGETHER = 32  # prefixes that are stepped at once


@dataclass
class Open:
    """Continuations of some prefixes that are still to be looked at, the most promising first.

    Attributes:
        live: the prefixes.
        rows, tokens: [m], which prefix and what follows.
        log_probabilities, scores: [m], of that token.
        upper: [m], falling: no sequence that begins so ranks higher.
    """

    live: Live
    rows: Integers
    tokens: Integers
    log_probabilities: Floats
    scores: Floats
    upper: Floats

    def forget(self, worst: float) -> bool:
        """Leave out what cannot rank above `worst`; gives whether anything is left."""
        self.keep(slice(0, int((self.upper > worst).sum())))
        return len(self.rows) > 0

    def keep(self, part: slice | Integers) -> None:
        """Keep a part of the continuations."""
        for name in ("rows", "tokens", "log_probabilities", "scores", "upper"):
            setattr(self, name, getattr(self, name)[part])


class Exact:
    """An exact search, a batch of prefixes at a time, one prompt after another.

    Args:
        guide: prepared.
        live: one sequence for each prompt.
    """

    def __init__(self, guide: Guide, live: Live) -> None:
        self.guide, self._begun = guide, live
        self.pools = {owner: Pool(guide.options.count) for owner in live.owner.tolist()}
        self._stacks: dict[int, list[Open]] = {owner: [] for owner in self.pools}
        self._steps = dict.fromkeys(self.pools, 0)
        self._row = {owner: row for row, owner in enumerate(self.pools)}

    def __iter__(self) -> Iterator[Decided]:
        for owner in self.pools:
            root = self._begun.select(np.array([self._row[owner]]))
            code = self.guide.at_once(root)
            if code[0]:
                offer(self.guide, self.pools, root, code)
                continue
            self._expand(owner, root)
            stack = self._stacks[owner]
            while stack and self._steps[owner] < self.guide.options.budget:
                self._descend(owner, stack)
                yield NOTHING
            if self.pools[owner].outputs:
                yield _decided(owner, self.pools[owner].outputs[0].tokens)

    def results(self, owners: list[int], code: int = CANCELLED) -> dict[int, Result]:
        """By prompt. Where the budget has not sufficed for a single finished sequence, the best prefix, cut."""
        return {owner: self._result(owner, code) for owner in owners}

    def _result(self, owner: int, code: int) -> Result:
        pool, stack = self.pools[owner], self._stacks[owner]
        stack[:] = [each for each in stack if each.forget(pool.worst)]
        begun = self._steps[owner] > 0 or bool(pool.outputs)
        if not pool.result():
            prefix = stack[-1].live if stack else self._begun.select(np.array([self._row[owner]]))
            offer(self.guide, self.pools, prefix.select(np.array([int(prefix.total.argmax())])), np.array([code]))
        upper = max((float(each.upper[0]) for each in stack), default=None)
        return Result(pool.result(), self._steps[owner], proved=begun and not stack, upper=upper)

    def _descend(self, owner: int, stack: list[Open]) -> None:
        top = stack[-1]
        if not top.forget(self.pools[owner].worst):
            stack.pop()
            return
        count = min(_TOGETHER, self.guide.options.budget - self._steps[owner])
        rows, tokens = top.rows[:count], top.tokens[:count]
        following = top.live.select(rows)
        self.guide.advance(following, tokens, top.log_probabilities[:count], top.scores[:count])
        top.keep(slice(count, None))
        self._expand(owner, following)

    def _expand(self, owner: int, live: Live) -> None:
        """Step prefixes; what ends is ranked at once, the rest is laid on the stack."""
        self._steps[owner] += len(live)
        log_probabilities, scores = self.guide.expand(live)
        possible = scores > -np.inf
        if len(stuck := np.flatnonzero(~possible.any(axis=1))):
            offer(self.guide, self.pools, live.select(stuck), self.guide.stuck(live, stuck))
        ends = self.guide.ends(live)
        if ends is not None:
            self._finish(owner, live, log_probabilities, scores, ends & possible)
            possible &= ~ends
        rows, tokens = np.nonzero(possible)
        if len(rows):
            options = self.guide.options
            upper = options.ranker.bound(self._candidates(live, rows, tokens, scores, False), options.max_length)
            assert upper is not None  # the options have seen to it
            order = np.argsort(-upper, kind="stable")
            at = rows[order], tokens[order]
            self._stacks[owner].append(Open(live, *at, log_probabilities[at], scores[at], upper[order]))

    def _finish(self, owner: int, live: Live, log_probabilities: Floats, scores: Floats, ends: Booleans) -> None:
        rows, tokens = np.nonzero(ends)
        if not len(rows):
            return
        ranker = self.guide.options.ranker
        ranks = ranker.score(self._candidates(live, rows, tokens, scores, ranker.needs_state))
        pool = self.pools[owner]
        order = np.argsort(-ranks, kind="stable")[: pool.room]
        order = order[ranks[order] > pool.worst]
        if len(order):
            at = rows[order], tokens[order]
            following = live.select(at[0])
            codes = self.guide.advance(following, at[1], log_probabilities[at], scores[at])
            assert codes is not None
            offer(self.guide, self.pools, following, codes)

    @staticmethod
    def _candidates(live: Live, rows: Integers, tokens: Integers, scores: Floats, with_state: bool) -> Hypotheses:
        written = np.concatenate((live.written[rows], tokens[:, None]), axis=1)
        state = live.state.select(rows) if with_state else None
        return Hypotheses(live.total[rows] + scores[rows, tokens], written, state)


def _decided(owner: int, tokens: Integers) -> Decided:
    return Decided(np.full(len(tokens), owner), np.zeros(len(tokens), np.int64), tokens)
