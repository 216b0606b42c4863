"""The searchers that go forward only: greedy, and drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elman.decode.engine import REASONS, Engine
from elman.decode.filters import apply_all, sampling_filters
from elman.decode.live import Live
from elman.decode.random import Uniforms
from elman.decode.results import Output, Reason, Result
from elman.decode.roles import Floats, Integers

Rows = np.ndarray[tuple[int], np.dtype[np.bool_]]


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


def seeds_of(engine: Engine, owners: Integers) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The seed of each sequence."""
    seed = engine.options.seed
    table = np.array(seed if isinstance(seed, tuple) else [seed] * len(engine.origins), np.uint64)
    return table[owners]


class Drawing:
    """Greedy decoding or sampling of a batch, a step at a time. Whoever iterates sets the pace.

    Args:
        engine: prepared.
        live: the sequences.
    """

    def __init__(self, engine: Engine, live: Live) -> None:
        self.engine, self.live = engine, live
        self.finished: dict[tuple[int, int], Output] = {}
        options = engine.options
        self._filters = sampling_filters(options) if options.strategy == "sample" else []
        self._first = np.array([origin.stream for origin in engine.origins])
        self._uniforms = None
        if options.strategy == "sample" and options.temperature > 0:
            draws = np.array([engine.origins[owner].draws for owner in live.owner])
            self._uniforms = Uniforms(seeds_of(engine, live.owner), live.stream, draws)
        self._rows = np.arange(len(live))

    def __iter__(self) -> Iterator[Decided]:
        if self.engine.options.max_length == 0:
            self._end(np.full(len(self.live), True), [Reason.LENGTH] * len(self.live))
        while len(self.live):
            yield self._step()

    def results(self, owners: list[int], reason: Reason = Reason.CANCELLED) -> dict[int, Result]:
        """By prompt; sequences that have not ended end here, for this reason."""
        self._end(np.full(len(self.live), True), [reason] * len(self.live))
        copies = range(self.engine.options.count)
        outputs = {owner: [self.finished[owner, k] for k in copies] for owner in owners}
        return {owner: Result(each, sum(len(o.tokens) for o in each)) for owner, each in outputs.items()}

    def _step(self) -> Decided:
        engine = self.engine
        log_probabilities, scores = engine.expand(self.live)
        tokens, chances = self._greedy(scores) if self._uniforms is None else self._drawn(scores)
        possible = chances > -np.inf
        if not possible.all():
            self._stick(possible)
            kept = np.flatnonzero(possible)
            log_probabilities, tokens, chances = log_probabilities[kept], tokens[kept], chances[kept]
        live = self.live
        codes = engine.advance(live, tokens, log_probabilities[self._rows, tokens], chances)
        decided = Decided(live.owner, live.stream - self._first[live.owner], tokens)
        if codes is not None:
            self._end(codes > 0, [REASONS[code] if code else Reason.CANCELLED for code in codes.tolist()])
        return decided

    def _greedy(self, scores: Floats) -> tuple[Integers, Floats]:
        tokens = scores.argmax(axis=1)
        return tokens, scores[self._rows, tokens]

    def _drawn(self, scores: Floats) -> tuple[Integers, Floats]:
        """Tokens, and the logarithm of the chance that each had; -inf where none had any."""
        assert self._uniforms is not None
        scores = apply_all(self._filters, scores)
        top = np.maximum.reduce(scores, axis=1, keepdims=True)
        if top.min() == -np.inf:
            top = np.where(top == -np.inf, 0.0, top)
        shifted = scores - top
        below = np.add.accumulate(np.exp(shifted), axis=1)
        total = below[:, -1]
        reached = below > (self._uniforms.next() * total)[:, None]
        tokens = reached.argmax(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            chances = shifted[self._rows, tokens] - np.log(total)
        return tokens, np.where(total > 0, chances, -np.inf)

    def _stick(self, possible: Rows) -> None:
        reasons = [
            Reason.CANCELLED if fine else self.engine.stuck(self.live.select(np.array([row])))
            for row, fine in enumerate(possible)
        ]
        self._end(~possible, reasons)

    def _end(self, ended: Rows, reasons: list[Reason]) -> None:
        """Take out those that have ended."""
        if not ended.any():
            return
        live, rows = self.live, np.flatnonzero(ended)
        draws = self._uniforms.position[rows] if self._uniforms is not None else np.zeros(len(rows), np.int64)
        chosen = [reasons[row] for row in rows]
        outputs = self.engine.outputs(live, rows, chosen, live.total[rows].tolist(), draws)
        places = zip(live.owner[rows].tolist(), (live.stream - self._first[live.owner])[rows].tolist(), strict=True)
        self.finished |= zip(places, outputs, strict=True)
        kept = np.flatnonzero(~ended)
        self.live = live.select(kept) if len(kept) else _none(live)
        self._rows = np.arange(len(kept))
        if self._uniforms is not None:
            self._uniforms = self._uniforms.select(kept)


def _none(live: Live) -> Live:
    live.last = live.last[:0]
    return live
