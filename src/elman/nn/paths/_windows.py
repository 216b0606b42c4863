"""A batch cut along time: some steps of every sequence at once, as a batch of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.nn.plans import DENSE, PACKED, PlanSpec


@dataclass(frozen=True, eq=False)
class Window:
    """Some steps of the sequences that are still running.

    Attributes:
        index: which window it is.
        rows: where the steps lie in the whole batch.
        plan: how they make sequences by themselves.
        running: how many sequences these are: the first ones.
        kept: the place of these sequences among those of all windows from the second on.
    """

    index: int
    rows: slice | Tensor
    plan: PlanSpec
    running: int
    kept: slice

    def take(self, values: Tensor) -> Tensor:
        """Its rows of the whole batch's `values`."""
        return values[self.rows] if isinstance(self.rows, slice) else values.index_select(0, self.rows)


Places = tuple[slice | Tensor, slice | Tensor]  # of sequences, and of the rows of states that are theirs


def _places(rows: np.ndarray) -> Places:
    """Where rows [S] of states are named, which is not -1."""
    named = np.flatnonzero(rows >= 0)
    return torch.from_numpy(named), torch.from_numpy(rows[named])


class Windows(Sequence[Window]):
    """All windows of a batch, in the order in which its sequences are visited.

    A window has `steps` steps, or more where fewer than `rows` rows would be in it; the last has what is left.

    The sequences are the plan's segments, which resets cut out of the batch's, by falling length.

    Attributes:
        sequences: how many there are.
        entries: which of them begin with a row of the initial states, and these rows.
        exits: which of them end in a row of the final states, and these rows.
    """

    def __init__(self, plan: PlanSpec, steps: int, rows: int = 0) -> None:
        self._plan = plan
        self.entries: Places
        self.exits: Places
        self._dense_rows = plan.kind == DENSE and plan.resets is None
        if self._dense_rows:
            self._lengths = np.full(plan.batch, plan.steps)
            self.entries = self.exits = (slice(None), slice(None))
        else:
            bound = plan.bind().plan
            segments = bound.segments[np.argsort(-bound.segments[:, 1], kind="stable")].astype(np.int64)
            self._rows, self._starts, self._lengths = bound.rows, segments[:, 0], segments[:, 1]
            self.entries, self.exits = _places(segments[:, 2]), _places(segments[:, 3])
        self.sequences = len(self._lengths)
        self._firsts, self._running = [0], [self._longer_than(0)]
        while self._running[-1]:
            self._firsts.append(self._firsts[-1] + max(steps, rows // self._running[-1]))
            self._running.append(self._longer_than(self._firsts[-1]))
        self._behind = np.cumsum(self._running[1:])

    def _longer_than(self, steps: int) -> int:
        return int(np.searchsorted(-self._lengths, -steps))

    def __len__(self) -> int:
        return len(self._running) - 1

    def __getitem__(self, index: Any) -> Any:
        """The window of this index."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        running = self._running[index]
        behind = int(self._behind[index - 1]) if index else 0
        rows, plan = self._dense(index) if self._dense_rows else self._any(index)
        return Window(index, rows, plan, running, slice(behind - running if index else 0, behind))

    def _dense(self, index: int) -> tuple[slice, PlanSpec]:
        plan, first, behind = self._plan, self._firsts[index], min(self._firsts[index + 1], self._plan.steps)
        begin, end = (plan.steps - behind, plan.steps - first) if plan.reverse else (first, behind)
        return slice(begin * plan.batch, end * plan.batch), PlanSpec(DENSE, behind - first, plan.batch, plan.reverse)

    def _any(self, index: int) -> tuple[slice | Tensor, PlanSpec]:
        (first, behind), running, reverse = self._firsts[index : index + 2], self._running[index], self._plan.reverse
        counts = np.minimum(self._lengths[:running], behind) - first  # steps of each sequence, falling
        sizes = np.searchsorted(-counts, -np.arange(counts[0]))  # sequences that have each step
        step = np.repeat(np.arange(len(sizes)), sizes)
        sequence = np.arange(len(step)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        place = counts[sequence] - 1 - step if reverse else step
        rows = self._rows[self._starts[sequence] + first + place].astype(np.int64)
        if sizes[-1] == running:
            plan = PlanSpec(DENSE, len(sizes), running, reverse)
        else:
            plan = PlanSpec(PACKED, len(sizes), running, reverse, edges=torch.from_numpy(sizes))
        if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return slice(int(rows[0]), int(rows[0]) + len(rows)), plan
        return torch.from_numpy(rows), plan
