"""Finished hypotheses of one prompt, the best first."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from elman.decode.results import Output
from elman.decode.roles import Floats, Hypotheses, Integers
from elman.decode.search.guide import Guide
from elman.decode.search.live import Live


@dataclass
class Pool:
    """The `room` best, in order; among equals, the one that came first."""

    room: int
    outputs: list[Output] = field(default_factory=list)
    fallback: Output | None = None  # the best of those that got stuck

    @property
    def is_full(self) -> bool:
        """Whether a newcomer must beat one of them."""
        return len(self.outputs) >= self.room

    @property
    def worst(self) -> float:
        """The rank that a newcomer must exceed; -inf while there is room."""
        return self.outputs[-1].rank if self.is_full else -np.inf

    def add(self, output: Output) -> None:
        """Take in a finished hypothesis, if it is good enough; one that got stuck is kept for want of better."""
        if not output.finished:
            if self.fallback is None or output.rank > self.fallback.rank:
                self.fallback = output
            return
        if output.rank > self.worst or not self.is_full:
            place = sum(other.rank >= output.rank for other in self.outputs)
            self.outputs.insert(place, output)
            del self.outputs[self.room :]

    def result(self) -> list[Output]:
        """What there is to give."""
        return self.outputs or ([self.fallback] if self.fallback is not None else [])


def offer(guide: Guide, pools: dict[int, Pool], live: Live, codes: Integers, ranks: Floats | None = None) -> None:
    """Put hypotheses that have ended, [n], into the pools of their prompts; ranked here where `ranks` is None."""
    if ranks is None:
        ranks = guide.options.ranker.score(hypotheses(live))
    ended = guide.ended(live, np.arange(len(live)), codes, ranks)
    for row, owner in enumerate(live.owner.tolist()):
        pools[owner].add(Output(ended, row))


def hypotheses(live: Live) -> Hypotheses:
    """What a ranker sees of them."""
    return Hypotheses(live.total, live.written, live.state)
