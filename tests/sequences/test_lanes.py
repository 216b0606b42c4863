"""Lane plans against a plain walk of the sequences."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DtypeError, ShapeError
from elman.sequences import LanePlan, lanes
from elman.sequences._packing import pack

LENGTHS = st.lists(st.integers(0, 40), max_size=40)


def walk(plan):
    """Run the plan as a kernel would: list of (lane, initial, rows visited, final), lane by lane."""
    visits = []
    for lane in range(plan.count):
        for start, length, initial, final in plan.segments[plan.lanes[lane] : plan.lanes[lane + 1]].tolist():
            visits.append((lane, initial, plan.rows[start : start + length].tolist(), final))
    return visits


def expected_pieces(sequences, resets, reverse):
    """The pieces that sequences (lists of rows in order of visit) fall into: a set of (initial, rows, final)."""
    pieces = []
    for s, rows in enumerate(sequences):
        initial, piece = s, []
        for k, row in enumerate(rows):
            later = (rows[k - 1] if k else None) if reverse else row  # of the two steps between which it may be cut
            if resets is not None and later is not None and resets[later]:
                if piece:
                    pieces.append((initial, tuple(piece), -1))
                initial, piece = -1, []
            piece.append(row)
        pieces.append((initial, tuple(piece), s))
    return sorted(pieces)


def check(plan, sequences, resets=None, reverse=False):
    visits = walk(plan)
    assert sorted((initial, tuple(rows), final) for _, initial, rows, final in visits) == expected_pieces(
        sequences, resets, reverse
    )
    visited = [row for _, _, rows, _ in visits for row in rows]
    assert sorted(visited) == list(range(sum(map(len, sequences))))
    loads = np.zeros(plan.count, int)
    for lane, _, rows, _ in visits:
        loads[lane] += len(rows)
    assert loads.tolist() == plan.loads.tolist() == sorted(loads, reverse=True)
    assert plan.sequences == len(sequences)
    finals = [final for *_, final in visits if final >= 0]
    initials = [initial for _, initial, _, _ in visits if initial >= 0]
    assert sorted(finals) == list(range(len(sequences)))
    assert len(set(initials)) == len(initials)


def ragged_rows(lengths, reverse):
    edges = np.concatenate(([0], np.cumsum(lengths, dtype=int)))
    rows = [list(range(a, b)) for a, b in pairwise(edges.tolist())]
    return edges, [r[::-1] for r in rows] if reverse else rows


@given(LENGTHS, st.booleans(), st.integers(1, 4))
def test_ragged_visits_each_sequence_in_order(lengths, reverse, threads):
    edges, rows = ragged_rows(lengths, reverse)
    check(lanes.ragged(edges, reverse, threads=threads), rows)


@given(LENGTHS, st.booleans(), st.data())
def test_resets_cut_sequences_and_keep_their_finals(lengths, reverse, data):
    edges, rows = ragged_rows(lengths, reverse)
    count = int(edges[-1])
    resets = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    check(lanes.ragged(edges, reverse, resets), rows, resets, reverse)


@given(st.integers(0, 12), st.integers(0, 20), st.booleans())
def test_dense_rows_are_step_times_batch_plus_sequence(steps, batch, reverse):
    rows = [[t * batch + b for t in range(steps)][:: -1 if reverse else 1] for b in range(batch)]
    plan = lanes.dense(steps, batch, reverse)
    check(plan, rows)
    assert plan.count == batch


@given(st.integers(0, 12), st.integers(0, 9), st.booleans(), st.data())
def test_dense_takes_resets(steps, batch, reverse, data):
    rows = [[t * batch + b for t in range(steps)][:: -1 if reverse else 1] for b in range(batch)]
    flags = st.lists(st.booleans(), min_size=steps * batch, max_size=steps * batch)
    resets = np.array(data.draw(flags), bool)
    check(lanes.dense(steps, batch, reverse, resets), rows, resets, reverse)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.booleans())
def test_packed_rows_are_those_of_torch(lengths, reverse):
    lengths = sorted(lengths, reverse=True)
    sizes = [sum(length > t for length in lengths) for t in range(lengths[0])]
    first = np.concatenate(([0], np.cumsum(sizes)))
    rows = [[int(first[t]) + b for t in range(length)][:: -1 if reverse else 1] for b, length in enumerate(lengths)]
    check(lanes.packed(sizes, reverse), rows)


def test_packed_agrees_with_a_packed_sequence():
    torch = pytest.importorskip("torch")
    lengths = [5, 3, 3, 1]
    values = [torch.arange(length) + 10 * s for s, length in enumerate(lengths)]
    packed = torch.nn.utils.rnn.pack_sequence(values)
    plan = lanes.packed(packed.batch_sizes)
    for _, initial, rows, final in walk(plan):
        assert packed.data[rows].tolist() == values[initial].tolist()
        assert initial == final


def test_a_reset_at_the_first_row_takes_the_start_values():
    plan = lanes.ragged([0, 3], resets=[True, False, False])
    assert walk(plan) == [(0, -1, [0, 1, 2], 0)]
    assert plan.sequences == 1


def test_empty_batches_have_plans():
    for plan in (lanes.ragged([0]), lanes.dense(5, 0), lanes.packed(np.zeros(0, int))):
        assert (len(plan.rows), plan.segments.shape, plan.lanes.tolist()) == (0, (0, 4), [0])
    assert walk(lanes.dense(0, 2)) == [(0, 0, [], 0), (1, 1, [], 1)]


def steps_by_hand(plan, width):
    """Tile passes counted step by step."""
    return sum(-(-int((plan.loads > t).sum()) // width) for t in range(int(plan.loads.max(initial=0))))


@given(LENGTHS, st.integers(1, 3))
def test_packing_never_costs_more_than_one_lane_each(lengths, threads):
    width = lanes.TILE * threads
    edges, _ = ragged_rows(lengths, False)
    plan = lanes.ragged(edges, threads=threads)
    cost = steps_by_hand(plan, width)
    assert cost == plan.loads[::width].sum()
    assert cost <= np.sort(lengths)[::-1][::width].sum()


def test_one_long_sequence_is_not_lengthened_by_the_short_ones():
    lengths = [1000] + [10] * 700
    edges, _ = ragged_rows(lengths, False)
    plan = lanes.ragged(edges, threads=1)
    assert steps_by_hand(plan, lanes.TILE) <= 1.04 * 1000  # one lane each would need 1870 passes


def test_packing_is_close_to_the_bound_on_uniform_lengths():
    lengths = np.random.default_rng(0).integers(1, 101, 64)
    order, edges = pack(lengths, 8)
    loads = np.add.reduceat(lengths[order], edges[:-1])
    assert loads[::8].sum() <= 1.05 * lengths.sum() / 8


def test_more_threads_get_more_lanes():
    edges, _ = ragged_rows(np.random.default_rng(0).integers(0, 100, 32), False)
    counts = [lanes.ragged(edges, threads=threads).count for threads in (1, 2, 4)]
    assert counts == [8, 16, 32]


def test_memory_is_in_proportion_to_the_steps():
    longest = np.concatenate(([0], [100_000], 100_000 + np.arange(1, 100_001)))  # padded: 10^10 cells
    tracemalloc.start()
    lanes.ragged(longest, reverse=True, resets=np.zeros(200_000, bool))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 * 200  # bytes


def test_dense_plans_are_cached_and_cannot_be_written():
    plan = lanes.dense(7, 3)
    assert lanes.dense(7, 3) is plan
    assert lanes.dense(7, 3, reverse=True) is not plan
    for array in (plan.rows, plan.segments, plan.lanes):
        assert array.dtype == np.int32
        assert array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: lanes.ragged([1, 3]), ShapeError, "begin at 0"),
        (lambda: lanes.ragged([0, 3, 2]), ShapeError, "never fall"),
        (lambda: lanes.ragged([]), ShapeError, "begin at 0"),
        (lambda: lanes.ragged([[0, 1]]), ShapeError, "one axis"),
        (lambda: lanes.ragged([0.0, 2.0]), DtypeError, "integers"),
        (lambda: lanes.ragged([0, 2**31]), ShapeError, "split the batch"),
        (lambda: lanes.dense(2**16, 2**16), ShapeError, "split the batch"),
        (lambda: lanes.dense(-1, 2), ShapeError, ">= 0"),
        (lambda: lanes.packed([2, 3]), ShapeError, "never rise"),
        (lambda: lanes.packed([2, -1]), ShapeError, ">= 0"),
        (lambda: lanes.ragged([0, 2], resets=[True]), ShapeError, r"\[2\], got \[1\]"),
        (lambda: lanes.ragged([0, 2], resets=[1, 0]), DtypeError, "bool"),
    ],
)
def test_bad_arguments_are_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()


def plan_of(rows=(0, 1, 2), segments=((0, 2, 0, 0), (2, 1, 1, 1)), lane_edges=(0, 1, 2)):
    return LanePlan(*(np.array(part, np.int32) for part in (rows, segments, lane_edges)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rows": (0, 1, 3)}, "rows must name"),
        ({"rows": (0, -1, 2)}, "rows must name"),
        ({"rows": (0, 1, 1)}, "rows must name"),
        ({"rows": ((0, 1, 2),)}, "expected"),
        ({"segments": ((0, 2, 0, 0), (1, 1, 1, 1))}, "cover each"),
        ({"segments": ((0, 1, 0, 0), (2, 1, 1, 1))}, "cover each"),
        ({"segments": ((0, 2, 0, 0), (2, 2, 1, 1))}, "cover each"),
        ({"segments": ((0, 4, 0, 0), (4, -1, 1, 1))}, "cover each"),
        ({"segments": ((0, 2, 0, 0), (2, 1, 0, 1))}, "initial"),
        ({"segments": ((0, 2, 0, 1), (2, 1, 1, 1))}, "final"),
        ({"segments": ((0, 2, -2, 0), (2, 1, 1, 1))}, "initial"),
        ({"lane_edges": (0, 1)}, "lanes must rise"),
        ({"lane_edges": (0, 2, 1, 2)}, "lanes must rise"),
        ({"segments": ((0, 1, 0, 0), (1, 2, 1, 1))}, "falling load"),
    ],
)
def test_a_plan_that_kernels_could_not_trust_is_refused(wrong, words):
    plan_of()  # without the fault it is accepted
    with pytest.raises(ShapeError, match=words):
        plan_of(**wrong)


def test_a_plan_of_other_integers_is_refused():
    with pytest.raises(DtypeError, match="int32, got int64"):
        LanePlan(np.arange(3), np.zeros((0, 4), np.int32), np.zeros(1, np.int32))
