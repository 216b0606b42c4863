"""The searchers that go forward only: greedy, and drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elman.decode.random import Uniforms
from elman.decode.results import CANCELLED, Ended, Outputs, Result
from elman.decode.roles import Booleans, Floats, Integers
from elman.decode.search.filters import apply_all, normalised, sampling_filters
from elman.decode.search.guide import Guide
from elman.decode.search.live import Live

_SIDE_BY_SIDE = 1 << 14  # sequences at most: their states take memory, and more would not be faster
_SMALL = 1e-250  # probabilities that sum to less are made larger first: they may have vanished


@dataclass(frozen=True, slots=True)
class Decided:
    """Tokens that stand, one each for some of the outputs.

    Attributes:
        prompts: [n], which prompt.
        indices: [n], which of its outputs.
        tokens: [n].
    """

    prompts: Integers
    indices: Integers
    tokens: Integers


NOTHING = Decided(*3 * (np.zeros(0, np.int64),))


def seeds_of(guide: Guide, owners: Integers) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The seed of each sequence."""
    seed = guide.options.seed
    table = np.array(seed if isinstance(seed, tuple) else [seed] * len(guide.origins), np.uint64)
    return table[owners]


class Drawing:
    """Greedy decoding or sampling of a batch, a step at a time. Whoever iterates sets the pace.

    Args:
        guide: prepared.
        prompts: one sequence for each prompt.
    """

    live: Live
    _uniforms: Uniforms | None

    def __init__(self, guide: Guide, prompts: Live) -> None:
        self.guide, self._prompts = guide, prompts
        options = guide.options
        self._copies = options.count if options.strategy == "sample" else 1
        self._begun = 0
        self._ended: list[Ended] = []
        self._filters = sampling_filters(options) if options.strategy == "sample" else []
        self._plain = not (self._filters or guide.may_stick)  # tokens are taken from what the stepper gives, as it is
        self._begin()

    def __iter__(self) -> Iterator[Decided]:
        while len(self.live) or self._begin():
            yield self._step()

    def _begin(self) -> bool:
        """Start the next sequences, as many as run side by side; gives whether any are on their way."""
        total = len(self._prompts) * self._copies
        rows = np.arange(self._begun, min(self._begun + _SIDE_BY_SIDE, total))
        if not len(rows):
            return False
        self._begun += len(rows)
        self.live = live = self._prompts.select(rows // self._copies)
        self._rows, self._index = np.arange(len(live)), rows % self._copies
        live.stream = live.stream + self._index
        self._uniforms = None
        if self.guide.options.strategy == "sample" and self.guide.options.temperature > 0:
            draws = np.array([origin.draws for origin in self.guide.origins])[live.owner]
            self._uniforms = Uniforms(seeds_of(self.guide, live.owner), live.stream, draws)
        self._end(self.guide.at_once(live))
        return len(self.live) > 0 or self._begin()

    def results(self, owners: list[int], code: int = CANCELLED) -> dict[int, Result]:
        """By prompt; sequences that have not ended end here, for this reason."""
        self._end(np.full(len(self.live), code))
        while self._begin():
            self._end(np.full(len(self.live), code))
        part = np.repeat(np.arange(len(self._ended)), [len(each.live) for each in self._ended])
        row = np.concatenate([np.arange(len(each.live)) for each in self._ended])
        owner = np.concatenate([each.live.owner for each in self._ended])
        stream = np.concatenate([each.live.stream for each in self._ended])
        length = np.concatenate([np.full(len(each.live), each.live.length) for each in self._ended])
        order = np.lexsort((stream, owner))
        found = {}
        for k in owners:
            mine = order[np.searchsorted(owner, k, "left", order) : np.searchsorted(owner, k, "right", order)]
            found[k] = Result(Outputs(self._ended, part[mine], row[mine]), int(length[mine].sum()))
        return found

    def _step(self) -> Decided:
        guide = self.guide
        log_probabilities, scores = guide.expand(self.live)
        tokens, chances = self._greedy(scores) if self._uniforms is None else self._drawn(scores)
        if guide.may_stick and np.minimum.reduce(chances) == -np.inf:
            self._stick(chances == -np.inf)
            kept = np.flatnonzero(chances > -np.inf)
            if not len(kept):
                return Decided(*3 * (kept,))
            log_probabilities, tokens, chances = log_probabilities[kept], tokens[kept], chances[kept]
        live = self.live
        own = chances if self._plain else log_probabilities[self._rows, tokens]
        codes = guide.advance(live, tokens, own, chances)
        decided = Decided(live.owner, self._index, tokens)
        if codes is not None:
            self._end(codes)
        return decided

    def _greedy(self, scores: Floats) -> tuple[Integers, Floats]:
        tokens = scores.argmax(axis=1)
        return tokens, scores[self._rows, tokens]

    def _drawn(self, scores: Floats) -> tuple[Integers, Floats]:
        """Tokens, and the logarithm of the chance that each had; -inf where none had any."""
        assert self._uniforms is not None
        scores = apply_all(self._filters, scores)
        below = np.add.accumulate(np.exp(scores), axis=1)
        total = below[:, -1]
        if not self._plain and np.minimum.reduce(total) < _SMALL:
            scores = np.where(below[:, -1:] < _SMALL, normalised(scores), scores)
            below = np.add.accumulate(np.exp(scores), axis=1)
            total = np.maximum(below[:, -1], _SMALL)
        tokens = (below > (self._uniforms.next() * total)[:, None]).argmax(axis=1)
        chances = scores[self._rows, tokens]
        return tokens, chances if self._plain else chances - np.log(total)

    def _stick(self, impossible: Booleans) -> None:
        codes = np.zeros(len(impossible), np.int64)
        rows = np.flatnonzero(impossible)
        codes[rows] = self.guide.stuck(self.live, rows)
        self._end(codes)

    def _end(self, codes: Integers) -> None:
        """Take out those whose code says that they have ended."""
        rows = np.flatnonzero(codes)
        if not len(rows):
            return
        live, kept = self.live, np.flatnonzero(codes == 0)
        draws = None if self._uniforms is None else self._uniforms.position[rows]
        self._ended.append(self.guide.ended(live, rows, codes[rows], draws=draws))
        self.live = live.select(kept) if len(kept) else live.without_rows()
        self._rows, self._index = np.arange(len(kept)), self._index[kept]
        if self._uniforms is not None:
            self._uniforms = self._uniforms.select(kept)
