"""Two steppers over the same tokens as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elman.checks import finite, of_kind
from elman.decode.door import admitted
from elman.decode.roles import Floats, Integers, Stepper
from elman.errors import ConfigError


class Fusion(Stepper):
    """Shallow fusion: log p(token) + weight · log p of a second stepper over the same tokens.

    What it gives are scores, no distribution: sampling from them draws from the product of experts.
    Reference: Gulcehre et al. 2015, arXiv:1503.03535, section 4.1.

    Args:
        main, other: steppers of one vocabulary; what is spelled, and how prompts begin, the first one says.
        weight: 0 or above, or early stopping could not be proved.

    Raises:
        ConfigError: the vocabularies differ, or the weight is negative.
    """

    normalised, is_checked = False, True

    def __init__(self, main: Stepper, other: Stepper, weight: float) -> None:
        self.main, self.other = admitted(main), admitted(other)
        self.weight = finite("the weight of a fusion", weight, 0.0)
        self.size, self.spelling, self.begin = self.main.size, self.main.spelling, self.main.begin
        if self.size != self.other.size:
            raise ConfigError(
                f"fusion needs one vocabulary, the steppers have {self.size} and {self.other.size} tokens"
            )

    def start(self, batch: int) -> BothStates:
        """Both states."""
        return BothStates(self.main.start(batch), self.other.start(batch))

    def step(self, tokens: Integers, state: BothStates) -> tuple[Floats, BothStates]:
        """Both steps."""
        of_kind("state", state, BothStates, "what start or a step gave")
        one, first = self.main.step(tokens, state.first)
        two, second = self.other.step(tokens, state.second)
        return one + self.weight * two if self.weight else one, BothStates(first, second)

    def join(self, states: Sequence[BothStates]) -> BothStates | None:
        """Batches one after another, of both; None where one of them cannot be joined."""
        for state in states:
            of_kind("state", state, BothStates, "a fusion's")
        first = self.main.join([state.first for state in states])
        second = self.other.join([state.second for state in states])
        return None if first is None or second is None else BothStates(first, second)


@dataclass(frozen=True, eq=False)
class BothStates:
    """The states of two steppers side by side."""

    first: Any
    second: Any

    def select(self, parents: Integers) -> BothStates:
        """Rows of both."""
        return BothStates(self.first.select(parents), self.second.select(parents))
