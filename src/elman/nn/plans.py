"""Which lane plan a batch has: a few numbers and, for ragged batches, a tensor of edges: compiled graphs carry it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from elman.kernels import Plan
from elman.sequences import lanes

DENSE, BATCH_FIRST, RAGGED, PACKED = range(4)


@dataclass(frozen=True, eq=False)
class BoundPlan:
    """A lane plan and its handle for the kernels, which holds the plan's memory."""

    plan: lanes.LanePlan
    handle: Plan

    @classmethod
    def of(cls, plan: lanes.LanePlan) -> BoundPlan:
        """Bind a plan."""
        return cls(plan, Plan(plan.rows, plan.segments, plan.lanes))


class PlanSpec(NamedTuple):  # made at each call, where a dataclass takes three times as long
    """How the rows of a batch make sequences, the longest of `steps`.

    `kind` DENSE: row t * batch + b; BATCH_FIRST: row b * steps + t; RAGGED: `edges` are offsets [B + 1]; PACKED:
    `edges` are torch's batch sizes [T]. `resets`, bool [N] by row: before these steps sequences are cut, either way.
    """

    kind: int
    steps: int
    batch: int
    reverse: bool = False
    edges: torch.Tensor | None = None
    resets: torch.Tensor | None = None

    def reversed(self) -> PlanSpec:
        """The same sequences, visited from their ends."""
        return self._replace(reverse=not self.reverse)

    @property
    def numbers(self) -> list[int]:
        """Everything but the tensors, and how many rows `resets` has (-1: there is none)."""
        return [self.kind, self.steps, self.batch, int(self.reverse), -1 if self.resets is None else len(self.resets)]

    @property
    def tensor(self) -> torch.Tensor | None:
        """The edges and the resets, int64, one behind the other: an operation's one tensor."""
        edges, resets = self.edges, self.resets
        if edges is None or resets is None:
            only = resets if edges is None else edges
            return None if only is None else only.long()
        return torch.cat((edges.long(), resets.long()))

    @classmethod
    def of(cls, numbers: list[int], tensor: torch.Tensor | None) -> PlanSpec:
        """From `numbers` and `tensor`."""
        kind, steps, batch, reverse, count = numbers
        edges, resets = tensor, None
        if tensor is not None and count >= 0:
            behind = len(tensor) - count
            edges, resets = tensor[:behind] if kind in (RAGGED, PACKED) else None, tensor[behind:].bool()
        return cls(kind, steps, batch, bool(reverse), edges, resets)

    def bind(self) -> BoundPlan:
        """The plan, kept for dense batches."""
        resets = self.resets is not None and bool(self.resets.any())
        if self.edges is None and not resets:
            return _regular(self.kind, self.steps, self.batch, self.reverse)
        return BoundPlan.of(self.lanes(torch.get_num_threads()))

    def lanes(self, threads: int) -> lanes.LanePlan:
        """The lane plan for so many threads."""
        resets = None if self.resets is None else self.resets.numpy()
        if self.kind == DENSE:
            return lanes.dense(self.steps, self.batch, self.reverse, resets, threads=threads)
        if self.kind == BATCH_FIRST:
            return lanes.ragged(np.arange(self.batch + 1) * self.steps, self.reverse, resets, threads=threads)
        assert self.edges is not None
        make = lanes.packed if self.kind == PACKED else lanes.ragged
        return make(self.edges.numpy(), self.reverse, resets, threads=threads)


def bind(numbers: list[int], tensor: torch.Tensor | None) -> BoundPlan:
    """The plan of a sized's `numbers` and `tensor`."""
    kind, steps, batch, reverse, _ = numbers
    return _regular(kind, steps, batch, bool(reverse)) if tensor is None else PlanSpec.of(numbers, tensor).bind()


@lru_cache(maxsize=32)
def _regular(kind: int, steps: int, batch: int, reverse: bool) -> BoundPlan:
    if kind == DENSE:
        return BoundPlan.of(lanes.dense(steps, batch, reverse))
    return BoundPlan.of(lanes.ragged(np.arange(batch + 1) * steps, reverse))
