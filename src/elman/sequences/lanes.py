"""Lane plans: how any set of sequences meets the kernels, without a copy and without padding.

A lane carries segments one after another. At the start of a segment the state becomes that segment's initial state, at
its end the state is saved. Dense batches, ragged batches, packed ones, empty sequences, reverse layers and resets in
mid-sequence are all plans; a plan changes speed, never results.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DtypeError, ShapeError
from elman.sequences._packing import Indices, pack

TILE = 8  # lanes that one register tile computes together
_LARGEST = np.iinfo(np.int32).max
_CACHED_STEPS = 1 << 20  # larger dense plans are built anew: 32 of them would hold too much memory


@dataclass(frozen=True, eq=False)
class LanePlan:
    """Which row is computed when, and where states begin and end.

    Attributes:
        rows: int32 [N], the row of the values visited at each position; a permutation of 0 ... N - 1.
        segments: int32 [S, 4], one row a segment: start position, length, initial, final. A segment visits
            rows[start:start + length] in that order. `initial` is a row of the initial-state arrays or -1 (the cell's
            own start values); `final` is a row of the final-state arrays or -1 (not saved). No row of either is named
            twice. A segment of length 0 copies its initial state to its final one.
        lanes: int32 [L + 1], lane l carries segments[lanes[l]:lanes[l + 1]], one after another; lanes by falling load.

    Raises:
        DtypeError: an array is not int32.
        ShapeError: the arrays are no plan (checked once, O(N), so that the kernels need not).
    """

    rows: NDArray[np.int32]
    segments: NDArray[np.int32]
    lanes: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name in ("rows", "segments", "lanes"):
            array = getattr(self, name)
            if array.dtype != np.int32:
                raise DtypeError(f"LanePlan.{name} must be int32, got {array.dtype}")
            view = np.ascontiguousarray(array).view()
            view.flags.writeable = False  # plans are cached and shared
            object.__setattr__(self, name, view)
        _check(self)

    @property
    def count(self) -> int:
        """Lanes, L."""
        return len(self.lanes) - 1

    @cached_property
    def sequences(self) -> int:
        """Sequences, B: rows that the initial-state and final-state arrays must have."""
        return int(self.segments[:, 2:].max(initial=-1)) + 1

    @cached_property
    def loads(self) -> Indices:
        """Steps of each lane, [L], falling."""
        ends = np.concatenate(([0], np.cumsum(self.segments[:, 1], dtype=np.int64)))
        return np.asarray(np.diff(ends[self.lanes]))


def dense(
    steps: int, batch: int, reverse: bool = False, resets: ArrayLike | None = None, *, threads: int | None = None
) -> LanePlan:
    """Plan for a dense batch: the row of step t, sequence b is t * batch + b.

    Args:
        steps: T, steps of every sequence.
        batch: B, sequences.
        reverse: visit each sequence from its last step to its first.
        resets: bool [N] by row; see `ragged`.
        threads: threads that share the lanes; see `ragged`.
    """
    if steps < 0 or batch < 0:
        raise ShapeError(f"dense: steps and batch must be >= 0, got {steps} and {batch}")
    if resets is None:
        build = _dense if steps * batch <= _CACHED_STEPS else _dense.__wrapped__
        return build(int(steps), int(batch), bool(reverse))
    rows = _dense_rows(int(steps), int(batch), bool(reverse))
    return _plan(rows, np.full(batch, steps), reverse, resets, threads)


def ragged(
    offsets: ArrayLike, reverse: bool = False, resets: ArrayLike | None = None, *, threads: int | None = None
) -> LanePlan:
    """Plan for a ragged batch: sequence s has the rows offsets[s]:offsets[s + 1].

    Args:
        offsets: integers [B + 1], from 0 to N, never falling.
        reverse: visit each sequence from its last step to its first.
        resets: bool [N] by row: the sequence is cut before that step, whichever way it is visited, and the piece that
            is visited later begins with the cell's start values. (So a first step that is marked gives up the initial
            state, but not in reverse, where nothing comes after it.) The final state still goes to the sequence's row.
        threads: threads that will share the lanes, 8 lanes of each at a time; by default every processor that this
            process may use. It changes only the choice of lanes; too many costs little, too few leaves threads idle.
    """
    edges = _integers(offsets, "offsets")
    if len(edges) == 0 or edges[0] != 0 or bool((np.diff(edges) < 0).any()):
        raise ShapeError("ragged: offsets must begin at 0 and never fall; sequence s is offsets[s]:offsets[s + 1]")
    lengths = np.diff(edges)
    rows = np.arange(_fits(edges[-1]))
    if reverse:
        rows = np.repeat(edges[:-1] + edges[1:] - 1, lengths) - rows
    return _plan(rows, lengths, reverse, resets, threads)


def packed(
    batch_sizes: ArrayLike, reverse: bool = False, resets: ArrayLike | None = None, *, threads: int | None = None
) -> LanePlan:
    """Plan for torch's PackedSequence: the row of step t, sequence b is batch_sizes[:t].sum() + b.

    Args:
        batch_sizes: integers [T], sequences still running at each step, never rising.
        reverse, resets, threads: as in `ragged`.
    """
    sizes = _integers(batch_sizes, "batch_sizes")
    if bool((sizes < 0).any()) or bool((np.diff(sizes) > 0).any()):
        raise ShapeError("packed: batch_sizes must be >= 0 and never rise; sort the sequences by falling length")
    first = np.cumsum(sizes) - sizes  # row of sequence 0 at each step
    batch = int(sizes[0]) if len(sizes) else 0
    lengths = len(sizes) - np.searchsorted(sizes[::-1], np.arange(1, batch + 1))
    starts = np.cumsum(lengths) - lengths
    step = np.arange(_fits(sizes.sum())) - np.repeat(starts, lengths)
    if reverse:
        step = np.repeat(lengths - 1, lengths) - step
    rows = first[step] + np.repeat(np.arange(batch), lengths)
    return _plan(rows, lengths, reverse, resets, threads)


@lru_cache(maxsize=32)
def _dense(steps: int, batch: int, reverse: bool) -> LanePlan:
    # Equal lengths: one lane each is never beaten, so nothing is weighed.
    sequence = np.arange(batch, dtype=np.int32)
    segments = np.empty((batch, 4), np.int32)
    segments[:, 0] = sequence * steps
    segments[:, 1] = steps
    segments[:, 2] = segments[:, 3] = sequence
    rows = _dense_rows(steps, batch, reverse)
    return LanePlan(rows, segments, np.arange(batch + 1, dtype=np.int32))


def _dense_rows(steps: int, batch: int, reverse: bool) -> NDArray[np.int32]:
    grid = np.arange(_fits(steps * batch), dtype=np.int32).reshape(steps, batch)
    return (grid[::-1] if reverse else grid).T.ravel()


def _plan(
    rows: NDArray[np.integer], lengths: Indices, reverse: bool, resets: ArrayLike | None, threads: int | None
) -> LanePlan:
    """Make a plan of sequences that stand one after another in `rows` [N], each `lengths` [B] long."""
    starts = np.cumsum(lengths) - lengths
    sequence = np.arange(len(lengths))
    table = np.stack([starts, lengths, sequence, sequence], axis=1)
    if resets is not None:
        flagged = _flags(resets, len(rows))[rows]
        if reverse:  # what is cut off from a step is the step before it, which is visited next
            flagged = np.roll(flagged, 1)
            flagged[starts[lengths > 0]] = False
        table = _split(table, flagged)
    order, lanes = pack(table[:, 1], TILE * (_processors() if threads is None else max(1, threads)))
    return LanePlan(rows.astype(np.int32, copy=False), table[order].astype(np.int32), lanes.astype(np.int32))


@cache
def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(table: Indices, flagged: NDArray[np.bool_]) -> Indices:
    """Cut the sequences of `table` [B, 4] where `flagged` [N] (by position) says that a state begins anew."""
    running, empty = table[table[:, 1] > 0], table[table[:, 1] == 0]
    begins = flagged.copy()
    begins[running[:, 0]] = True
    start = np.flatnonzero(begins)
    owner = np.searchsorted(running[:, 0], start, side="right") - 1
    last = np.append(np.diff(owner) > 0, True)[: len(start)]
    length = np.diff(start, append=len(flagged))
    sequence = running[owner, 2]
    pieces = np.stack([start, length, np.where(flagged[start], -1, sequence), np.where(last, sequence, -1)], axis=1)
    return np.concatenate([pieces, empty])


def _flags(resets: ArrayLike, count: int) -> NDArray[np.bool_]:
    flags = np.asarray(resets)
    if flags.dtype != np.bool_:
        raise DtypeError(f"resets must be bool, got {flags.dtype}")
    if flags.shape != (count,):
        raise ShapeError(f"resets must have one flag a row, [{count}], got {list(flags.shape)}")
    return flags


def _integers(values: ArrayLike, name: str) -> Indices:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ShapeError(f"{name} must have one axis, got shape {list(array.shape)}")
    if array.size and array.dtype.kind not in "iu":
        raise DtypeError(f"{name} must be integers, got {array.dtype}")
    return array.astype(np.int64)


def _fits(count: int | np.integer) -> int:
    if count > _LARGEST:
        raise ShapeError(f"a plan holds at most {_LARGEST} rows, got {count}; split the batch")
    return int(count)


def _check(plan: LanePlan) -> None:
    rows, segments, lanes = plan.rows, plan.segments, plan.lanes
    if rows.ndim != 1 or lanes.ndim != 1 or segments.ndim != 2 or segments.shape[1] != 4:
        shapes = [list(array.shape) for array in (rows, segments, lanes)]
        raise ShapeError(f"LanePlan: rows [N], segments [S, 4], lanes [L + 1] expected, got {shapes}")
    if not _permutes(rows, len(rows)):
        raise ShapeError(f"LanePlan.rows must name each of the rows 0 ... {len(rows) - 1} once")
    if len(lanes) == 0 or lanes[0] != 0 or lanes[-1] != len(segments) or bool((lanes[1:] < lanes[:-1]).any()):
        raise ShapeError(f"LanePlan.lanes must rise from 0 to the number of segments, {len(segments)}")
    _check_segments(segments.astype(np.int64), len(rows))
    if bool((np.diff(plan.loads) > 0).any()):
        raise ShapeError("LanePlan.lanes must be sorted by falling load")


def _check_segments(segments: Indices, steps: int) -> None:
    start, length = segments[:, 0], segments[:, 1]
    order = np.lexsort((length, start))
    edges = np.concatenate(([0], (start + length)[order]))
    if bool((length < 0).any()) or edges[-1] != steps or not np.array_equal(start[order], edges[:-1]):
        raise ShapeError(f"LanePlan.segments must cover each of the {steps} positions once, without gaps")
    for name, column in (("initial", segments[:, 2]), ("final", segments[:, 3])):
        named = np.sort(column[column >= 0])
        if bool((column < -1).any()) or bool((named[1:] == named[:-1]).any()):
            raise ShapeError(f"LanePlan.segments: each {name} state must be -1 or a row that no other segment names")


def _permutes(rows: NDArray[np.int32], count: int) -> bool:
    if count and (rows.min() < 0 or rows.max() >= count):
        return False
    seen = np.zeros(count, np.bool_)
    seen[rows] = True
    return bool(seen.all())
