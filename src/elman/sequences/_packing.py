"""How pieces of unequal length are shared out over lanes: speed only, never results.

The cost of a plan is the number of tile passes: at each step the active lanes are taken `width` at a time, so a step
with `a` active lanes costs ceil(a / width). With lanes sorted by falling load that sum is the load of every
width-th lane, which needs no loop over steps.
"""

from __future__ import annotations

from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

# A plan this close to the lower bound is taken at once; candidates come in falling number of lanes, because
# more lanes mean fewer steps one after another and more for every thread to do.
_NEAR = 1 / 32


def pack(lengths: Indices, width: int) -> tuple[Indices, Indices]:
    """Lay pieces onto lanes.

    Args:
        lengths: steps of each piece, [S], each >= 0.
        width: lanes that one pass computes together, over all threads.

    Returns:
        order: the pieces, [S], lane after lane; lanes by falling load, within a lane by falling length.
        lanes: [L + 1], lane l carries pieces order[lanes[l]:lanes[l + 1]].
    """
    order = np.argsort(-lengths, kind="stable")
    falling = lengths[order]
    singles = np.arange(len(lengths) + 1)
    cost = int(falling[::width].sum())
    bound = max(int(falling[:1].sum()), -(-int(falling.sum()) // width))
    if cost <= bound * (1 + _NEAR):
        return order, singles
    best = None
    for count in _candidates(falling, width):
        lane, loads = _longest_first(falling, count)
        passes = int(np.sort(loads)[::-1][::width].sum())
        if passes < cost:
            cost, best = passes, (lane, loads)
        if cost <= bound * (1 + _NEAR):
            break
    if best is None:
        return order, singles
    return _in_lane_order(order, *best)


def _candidates(falling: Indices, width: int) -> list[int]:
    """Numbers of lanes worth a trial, falling: around N / longest, where loads are level and no lane waits alone."""
    level = int(falling.sum()) // (int(falling[0]) * width)
    trials = {level + 1, level, level // 2, 1} - {0}
    return sorted((k * width for k in trials if k * width < len(falling)), reverse=True)


def _longest_first(falling: Indices, count: int) -> tuple[Indices, Indices]:
    """Longest-processing-time packing: each piece, longest first, goes to the lane with the least load (Graham 1969).

    Returns:
        lane: the lane of each piece, [S].
        loads: the steps of each lane, [count].
    """
    heap = [(length, lane) for lane, length in enumerate(falling[:count].tolist())]
    chosen = list(range(count))
    heapify(heap)
    for length in falling[count:].tolist():
        load, lane = heap[0]
        chosen.append(lane)
        heapreplace(heap, (load + length, lane))
    loads = np.zeros(count, np.int64)
    for load, lane in heap:
        loads[lane] = load
    return np.array(chosen, np.int64), loads


def _in_lane_order(order: Indices, lane: Indices, loads: Indices) -> tuple[Indices, Indices]:
    rank = np.empty(len(loads), np.int64)
    rank[np.argsort(-loads, kind="stable")] = np.arange(len(loads))
    place = rank[lane]
    lanes = np.concatenate(([0], np.cumsum(np.bincount(place, minlength=len(loads)))))
    return order[np.argsort(place, kind="stable")], lanes
