"""Which lane plan a batch has: a few numbers, and for ragged batches a tensor of edges, so that compiled graphs can carry it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from elman.kernels import Plan
from elman.sequences import lanes

DENSE, BATCH_FIRST, RAGGED, PACKED = range(4)


@dataclass(frozen=True, eq=False)
class BoundPlan:
    """A lane plan and its handle for the kernels, which borrows the plan's memory."""

    plan: lanes.LanePlan
    handle: Plan

    @classmethod
    def of(cls, plan: lanes.LanePlan) -> BoundPlan:
        """Bind a plan."""
        rows, segments, order = plan.rows, plan.segments, plan.lanes
        addresses = (rows.ctypes.data, segments.ctypes.data, order.ctypes.data)
        return cls(plan, Plan(*addresses, plan.count, len(segments), len(rows)))


@dataclass(frozen=True)
class PlanSpec:
    """How the rows of a batch make sequences.

    `kind` DENSE: row t * batch + b; BATCH_FIRST: row b * steps + t; RAGGED: `edges` are offsets [B + 1]; PACKED: `edges` are
    torch's batch sizes [T].
    """

    kind: int
    steps: int
    batch: int
    reverse: bool = False
    edges: torch.Tensor | None = None

    def reversed(self) -> PlanSpec:
        """The same sequences, visited from their ends."""
        return PlanSpec(self.kind, self.steps, self.batch, not self.reverse, self.edges)

    @property
    def numbers(self) -> list[int]:
        """Everything but the edges."""
        return [self.kind, self.steps, self.batch, int(self.reverse)]

    @classmethod
    def of(cls, numbers: list[int], edges: torch.Tensor | None) -> PlanSpec:
        """From `numbers` and the edges."""
        kind, steps, batch, reverse = numbers
        return cls(kind, steps, batch, bool(reverse), edges)

    def bind(self) -> BoundPlan:
        """The plan, kept for dense batches."""
        if self.edges is None:
            return _regular(self.kind, self.steps, self.batch, self.reverse)
        make = lanes.packed if self.kind == PACKED else lanes.ragged
        return BoundPlan.of(make(self.edges.numpy(), self.reverse, threads=torch.get_num_threads()))


@lru_cache(maxsize=32)
def _regular(kind: int, steps: int, batch: int, reverse: bool) -> BoundPlan:
    if kind == DENSE:
        return BoundPlan.of(lanes.dense(steps, batch, reverse))
    return BoundPlan.of(lanes.ragged(np.arange(batch + 1) * steps, reverse))
