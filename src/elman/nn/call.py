"""One direction of a layer over a batch: what every path computes on, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from elman.nn.plans import BoundPlan, PlanSpec, bind
from elman.nn.sized import SizedCell, key_with, sized_cell

SCHEMA = "str key, SymInt[] plan, Tensor? edges, Tensor? tokens, SymInt[] counts, Tensor?[] tensors"  # of a call


class Call(NamedTuple):
    """The tensors of one direction of a layer, and how they are meant; its fields are what torch's operators take.

    Attributes:
        key: names the cell at its sizes, see `sized_cell`.
        plan, edges: how rows make sequences: `PlanSpec.numbers` and `PlanSpec.tensor`.
        tokens: int64 [N] in place of the first input, each standing for a one-hot row, or None.
        counts: how many of `tensors` are inputs, and how many initial states.
        tensors: float [N, size] for each (other) input of the cell; [B, size] for each state, or None for the cell's
            own start; the slots of `elman.cells.layout`, then derived parameters (`SizedCell.derive`).
    """

    key: str
    plan: list[int]
    edges: Tensor | None
    tokens: Tensor | None
    counts: Sequence[int]
    tensors: Sequence[Tensor | None]

    @classmethod
    def of(
        cls, sized: SizedCell, plan: PlanSpec, tokens: Tensor | None, inputs: Sequence[Tensor],
        initial: Sequence[Tensor | None], weights: Sequence[Tensor], *, bfloat16: bool = False,
    ) -> Call:  # fmt: skip
        """The call of a cell on these; `bfloat16` rounds the factors of products, all tensors are float32 then."""
        key, counts = key_with(sized.key, bfloat16), (len(inputs), len(initial))
        return cls(key, plan.numbers, plan.tensor, tokens, counts, (*inputs, *initial, *weights))

    @classmethod
    def gather(cls, key: str, plan: Any, edges: Any, tokens: Any, counts: Any, *tensors: Any) -> Call:
        """From what `spread` gives."""
        return cls(key, plan, edges, tokens, counts, tensors)

    def spread(self) -> tuple[Any, ...]:
        """The fields with the tensors one by one, as autograd's functions take them."""
        return self.key, self.plan, self.edges, self.tokens, self.counts, *self.tensors

    def split(self, parts: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """What belongs to each tensor, apart: of inputs, of initial states, of weights."""
        inputs, initial = self.counts
        return list(parts[:inputs]), list(parts[inputs : inputs + initial]), list(parts[inputs + initial :])

    def sized(self) -> SizedCell:
        """The cell at its sizes."""
        return sized_cell(self.key)

    def plan_spec(self) -> PlanSpec:
        """How rows make sequences."""
        return PlanSpec.of(self.plan, self.edges)

    def bind(self) -> BoundPlan:
        """The lane plan for the kernels."""
        return bind(self.plan, self.edges)

    def batch(self) -> int:
        """Sequences, B."""
        _, _, batch, *_ = self.plan
        return batch

    def longest(self) -> int:
        """Steps of the longest sequence, T."""
        _, steps, *_ = self.plan
        return steps

    def rows(self) -> int:
        """Steps over all sequences, N."""
        first: Any = self.tensors[0] if self.tokens is None else self.tokens
        return first.shape[0]  # type: ignore[no-any-return]

    def like(self) -> Tensor:
        """A tensor of the element type of all, the first of the weights."""
        inputs, initial = self.counts
        return self.tensors[inputs + initial]  # type: ignore[return-value]
