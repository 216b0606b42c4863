"""Windows of a batch along time: which rows and sequences each has, and how long they are."""

from __future__ import annotations

import itertools

import pytest
import torch

from elman.nn import Recurrent
from elman.nn.call import Call
from elman.nn.paths import checkpoint
from elman.nn.paths._windows import Windows
from elman.nn.plans import BATCH_FIRST, DENSE, PACKED, RAGGED, PlanSpec
from tests.nn.layers import D, H

T, B = 11, 3
LENGTHS = [4, 0, 11, 1, 7]


PLANS = {
    "dense": PlanSpec(DENSE, T, B),
    "batch first": PlanSpec(BATCH_FIRST, T, B),
    "ragged": PlanSpec(RAGGED, 11, 5, edges=torch.tensor([0, *itertools.accumulate(LENGTHS)])),
    "packed": PlanSpec(PACKED, 4, 3, edges=torch.tensor([3, 2, 2, 1])),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 3, 4, 11, 100])
@pytest.mark.parametrize("kind", PLANS)
def test_windows_one_behind_the_other_visit_each_sequence_as_the_plan_does(
    kind: str, length: int, reverse: bool
) -> None:
    plan = PLANS[kind].reversed() if reverse else PLANS[kind]
    whole, windows = plan.bind().plan, Windows(plan, length)
    sequences, rows = windows.exits
    ends = torch.full((windows.sequences,), -1)
    ends[sequences] = torch.arange(plan.batch)[rows]
    assert (torch.arange(windows.sequences)[windows.entries[0]]).tolist() == torch.nonzero(ends >= 0).flatten().tolist()
    order = ends.tolist()
    visited: dict[int, list[int]] = {sequence: [] for sequence in range(plan.batch)}
    kept = 0
    for window in windows:
        all_rows = torch.arange(len(whole.rows))[window.rows]
        part = window.plan.bind().plan
        assert part.sequences == window.running
        for start, steps, sequence, _ in part.segments:
            visited[order[sequence]] += all_rows[torch.from_numpy(part.rows[start : start + steps].copy())].tolist()
            assert 0 < steps <= length
        if window.index:
            assert window.kept == slice(kept, kept + window.running)
            kept += window.running
    assert kept <= len(whole.rows) // length
    for start, steps, sequence, _ in whole.segments:
        assert visited[sequence] == whole.rows[start : start + steps].tolist()


def test_rows_that_lie_together_are_not_gathered() -> None:
    for kind, reverse in (("dense", False), ("dense", True), ("packed", False)):
        plan = PLANS[kind].reversed() if reverse else PLANS[kind]
        assert all(isinstance(window.rows, slice) for window in Windows(plan, 2))


def test_how_long_segments_are(monkeypatch: pytest.MonkeyPatch) -> None:
    sized, weights = Recurrent("lstm", D, H)._layers()[0][0]
    engine = sized.engine(torch.float32)
    monkeypatch.setattr(checkpoint, "LEAST", 1000 * (engine.saved.width + engine.kept.width))

    def segment(steps: int, asked: int = checkpoint.SQRT) -> tuple[int, int]:
        call = Call.of(sized, PlanSpec(DENSE, steps, 1), None, [torch.zeros(steps, D)], [None] * 2, weights)
        return checkpoint.segment(call, asked)

    assert [segment(steps)[0] for steps in (0, 1, 2, 9, 10, 100_000)] == [1, 1, 2, 3, 4, 317]
    assert segment(100)[1] == 1000
    assert segment(100, 7) == (7, 0)


def test_windows_grow_where_few_sequences_are_left() -> None:
    lengths = [2, 100, 2, 2, 2]
    plan = PlanSpec(RAGGED, 100, 5, edges=torch.tensor([0, *itertools.accumulate(lengths)]))
    assert [window.plan.steps for window in Windows(plan, 3, 10)] == [3, *[10] * 9, 7]
    assert [window.plan.steps for window in Windows(PlanSpec(DENSE, 30, 2), 3, 10)] == [5] * 6
