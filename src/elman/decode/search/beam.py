"""Beam search over a batch of prompts.

At each step all continuations of a prompt's hypotheses compete: the `width` best that go on make the next beam, and
those that end among the `width` best are set aside as finished. A stochastic beam draws without replacement instead:
finished hypotheses keep their places in it, and the noise decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from elman.decode.results import CANCELLED, Result
from elman.decode.roles import Booleans, Floats, Integers
from elman.decode.search.draw import NOTHING, Decided, seeds_of
from elman.decode.search.filters import normalised
from elman.decode.search.guide import Guide
from elman.decode.search.live import Live
from elman.decode.search.pool import Pool, hypotheses, offer
from elman.decode.search.select import Picks, best, best_two, diverse, gumbel_keys
from elman.decode.search.tree import Status, Tree


class Beam:
    """A beam search, a step at a time.

    Args:
        guide: prepared.
        live: one sequence for each prompt.
    """

    def __init__(self, guide: Guide, live: Live) -> None:
        o = self.options = guide.options
        self.guide = guide
        self._begun = live
        owners = live.owner
        self.live = live.select(np.repeat(np.arange(len(live)), o.groups))
        self._group = np.tile(np.arange(o.groups), len(live))
        self._node = np.full(len(self.live), -1)
        self._key = np.zeros(len(self.live))  # of a stochastic beam: the perturbed log-probability
        self.pools = {owner: Pool(o.width if o.stochastic else o.count) for owner in owners.tolist()}
        self._steps = dict.fromkeys(owners.tolist(), 0)
        self._trees = {owner: Tree(self._spell) for owner in owners.tolist()}
        self.watched = True  # whether somebody wants to know what is decided
        self._shown = dict.fromkeys(owners.tolist(), 0)

    def __iter__(self) -> Iterator[Decided]:
        codes = self.guide.at_once(self.live)
        if len(rows := np.flatnonzero((codes > 0) & (self._group == 0))):
            self._offer(self.live.select(rows), codes[rows])
        self._keep(codes == 0)
        while len(self.live):
            self._step()
            yield self._agreed() if self.watched else NOTHING

    def results(self, owners: list[int], code: int = CANCELLED) -> dict[int, Result]:
        """By prompt; where nothing has finished, the best that is still on its way, ended for this reason."""
        for owner in owners:
            rows = np.flatnonzero(self.live.owner == owner)
            if len(rows) and not self.pools[owner].outputs:
                best_row = self.live.select(rows[[int(self.live.total[rows].argmax())]])
                self._offer(best_row, np.array([code]))
        tree = self._trees if self.options.keep_tree else {}
        count = self.options.count
        return {o: Result(self.pools[o].result()[:count], self._steps[o], tree=tree.get(o)) for o in owners}

    def _step(self) -> None:
        live = self.live
        for owner in live.owner.tolist():
            self._steps[owner] += 1
        log_probabilities, scores = self.guide.expand(live)
        if self.options.stochastic:
            scores = normalised(scores)
        totals = live.total[:, None] + scores
        ends = self.guide.ends(live)
        if ends is not None and not ends.any():
            ends = None
        self._stick(totals)
        keys = self._keys(totals)
        picks = self._pick(keys, ends)
        ending = np.zeros(len(picks), bool) if ends is None else ends[picks.rows, picks.tokens]
        if self.options.keep_tree:
            self._prune(keys, picks)
        if ending.any():
            self._go(picks.where(ending), log_probabilities, scores, finishing=True)
        self._go(picks.where(~ending), log_probabilities, scores, finishing=False)
        if self.options.stochastic:
            self._compete()
        self._stop_early()

    def _keys(self, totals: Floats) -> Floats:
        if not self.options.stochastic:
            return totals
        live = self.live
        slots = np.arange(len(live)) - np.searchsorted(live.owner, live.owner)
        return gumbel_keys(totals, self._key, seeds_of(self.guide, live.owner), live.length, slots)

    def _pick(self, keys: Floats, ends: Booleans | None) -> Picks:
        o = self.options
        if o.stochastic:
            return best(keys, self.live.owner, o.width)
        if o.groups == 1:
            return best_two(keys, self.live.owner, o.width, ends)
        ends = np.zeros(keys.shape, bool) if ends is None else ends
        return diverse(keys, self.live.owner, self._group, o.width // o.groups, o.diversity, ends)

    def _go(self, picks: Picks, log_probabilities: Floats, scores: Floats, finishing: bool) -> None:
        """Continue hypotheses by the picks: into the pools, or into the next beam."""
        following = self.live.select(picks.rows) if len(picks) else self.live.without_rows()
        nodes = self._add_nodes(picks, "finished" if finishing else "kept")
        at, codes = (picks.rows, picks.tokens), None
        if len(picks):
            codes = self.guide.advance(following, picks.tokens, log_probabilities[at], scores[at])
        if finishing:
            assert codes is not None
            self._offer(following, codes, picks.keys if self.options.stochastic else None)
        else:
            self.live, self._group, self._node, self._key = following, self._group[picks.rows], nodes, picks.keys

    def _offer(self, live: Live, codes: Integers, keys: Floats | None = None) -> None:
        offer(self.guide, self.pools, live, codes, keys)

    def _stick(self, totals: Floats) -> None:
        """Set hypotheses aside that nothing can follow."""
        stuck = np.flatnonzero(totals.max(axis=1) == -np.inf)
        if len(stuck):
            codes = self.guide.stuck(self.live, stuck)
            self._offer(self.live.select(stuck), codes, self._key[stuck] if self.options.stochastic else None)

    def _compete(self) -> None:
        """Of a stochastic beam: finished hypotheses and those on their way share the places."""
        kept = np.ones(len(self.live), bool)
        for owner, pool in self.pools.items():
            rows = np.flatnonzero(self.live.owner == owner)
            everyone = np.concatenate((self._key[rows], [output.rank for output in pool.outputs]))
            least = -np.sort(-everyone)[self.options.width - 1] if len(everyone) > self.options.width else -np.inf
            kept[rows] = self._key[rows] >= least
            pool.outputs = [output for output in pool.outputs if output.rank >= least]
        self._keep(kept)

    def _stop_early(self) -> None:
        """Let prompts go whose finished hypotheses cannot be beaten."""
        o, live = self.options, self.live
        full = [owner for owner, pool in self.pools.items() if pool.is_full]
        if not len(live) or not full or o.early == "never" or o.stochastic:
            return
        done = np.isin(live.owner, full)
        if o.early == "proved":
            upper = o.ranker.bound(hypotheses(live), o.max_length)
            assert upper is not None  # the options have seen to it
            for owner in full:
                rows = live.owner == owner
                done[rows] = upper[rows].max(initial=-np.inf) <= self.pools[owner].worst
        self._keep(~done)

    def _keep(self, kept: Booleans) -> None:
        if kept.all():
            return
        rows = np.flatnonzero(kept)
        self.live = self.live.select(rows) if len(rows) else self.live.without_rows()
        self._group, self._node, self._key = self._group[rows], self._node[rows], self._key[rows]

    def _agreed(self) -> Decided:
        """The tokens on which a prompt's hypotheses, and the best finished one, have come to agree."""
        prompts: list[int] = []
        tokens: list[int] = []
        for owner, pool in self.pools.items():
            rivals = list(self.live.written[self.live.owner == owner])
            rivals += [output.tokens for output in pool.result()[:1]]
            shown = self._shown[owner]
            shortest = min(map(len, rivals), default=0)
            if shortest <= shown:
                continue
            table = np.stack([rival[shown:shortest] for rival in rivals])
            same = (table == table[0]).all(axis=0)
            count = len(same) if same.all() else int(same.argmin())
            tokens += table[0, :count].tolist()
            prompts += [owner] * count
            self._shown[owner] += count
        return Decided(np.array(prompts, np.int64), np.zeros(len(tokens), np.int64), np.array(tokens, np.int64))

    def _spell(self, token: int) -> str:
        return self.guide.spelling.text([token]) if self.guide.spelling is not None else str(token)

    def _add_nodes(self, picks: Picks, status: Status) -> Integers:
        if not self.options.keep_tree:
            return np.full(len(picks), -1)
        return np.array(
            [
                self._trees[int(self.live.owner[row])].add(int(self._node[row]), token, key, status)
                for row, token, key in zip(picks.rows.tolist(), picks.tokens.tolist(), picks.keys.tolist(), strict=True)
            ],
            np.int64,
        )

    def _prune(self, keys: Floats, picks: Picks) -> None:
        """Note the best of what was left out, as many again as the beam is wide."""
        rest = keys.copy()
        rest[picks.rows, picks.tokens] = -np.inf
        self._add_nodes(best(rest, self.live.owner, self.options.width), "pruned")
