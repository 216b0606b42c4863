"""A contest: one case, ours and the peers' way to do it; compared, then timed, then a row for each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from elman.bench.ceilings import Ceilings
from elman.bench.pairs import time_pair
from elman.bench.rows import Case, Row

Results = Mapping[str, NDArray[np.floating]]

# How far results may lie apart, max|Δ| / max|peer's| over each tensor. Both sides round: float32 to 6e-8 at each of a
# few thousand sums, carried on over a hundred steps, bfloat16 to 4e-3 at each product.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


class Refused(Exception):
    """A case cannot be run here; the message says why."""


@dataclass(frozen=True)
class Side:
    """One way to do a case.

    Attributes:
        run: does it once; this is what is timed.
        results: does it once and gives what it computed, by name; names that only one side has are not compared.
        steps: time steps that it is credited with; ratios are of times per step.
        own_threads: it computes on threads of its own, not on the team that torch and Elman share.
    """

    run: Callable[[], object]
    results: Callable[[], Results]
    steps: int
    own_threads: bool = False


@dataclass(frozen=True)
class Contest:
    """A case, ready to run.

    Attributes:
        operations: floating-point operations that our call cannot do without, an FMA counted as two; 0: not judged.
        bytes_read: bytes of weights that our call must read again and again; 0: not judged.
    """

    case: Case
    ours: Side
    peers: Mapping[str, Side] = field(default_factory=dict)
    operations: float = 0.0
    bytes_read: int = 0


def difference(ours: Results, theirs: Results) -> float:
    """The largest max|Δ| / max|theirs| over what both computed; infinite where shapes differ or numbers are none."""
    names = ours.keys() & theirs.keys()
    return max((_distance(ours[name], theirs[name]) for name in names), default=float("inf"))


def _distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    largest, scale = np.abs(a - b).max(initial=0.0), np.abs(b).max(initial=0.0)
    return float(largest / scale) if scale > 0 else float(largest)


def compete(contest: Contest, ceilings: Ceilings, seconds: float) -> Iterator[Row]:
    """A row for each peer; without a time where the results differ."""
    case, ours = contest.case, contest.ours
    found = ours.results()
    for name, peer in contest.peers.items():
        apart = difference(found, peer.results())
        if not apart <= TOLERANCE[case.dtype]:
            yield Row.refuse(
                case, name, f"results differ by {apart:.1e}, {TOLERANCE[case.dtype]:.0e} is allowed", apart
            )
            continue
        pair = time_pair(peer.run, ours.run, seconds, rest=peer.own_threads or ours.own_threads)
        yield Row(
            **case.columns(),
            peer=name,
            ratio=pair.ratio * ours.steps / peer.steps,
            fraction_of_peak=_fraction_of_peak(contest, ceilings, pair.ours),
            fraction_of_bandwidth=_fraction_of_bandwidth(contest, ceilings, pair.ours),
            seconds=pair.ours,
            peer_seconds=pair.theirs,
            pairs=pair.count,
            difference=apart,
        )


def _fraction_of_peak(contest: Contest, ceilings: Ceilings, seconds: float) -> float | None:
    peak = ceilings.compute.get(contest.case.dtype, {}).get(contest.case.threads)
    return contest.operations / seconds / peak if peak and contest.operations else None


def _fraction_of_bandwidth(contest: Contest, ceilings: Ceilings, seconds: float) -> float | None:
    if not contest.bytes_read:
        return None
    threads = contest.case.threads
    level = ceilings.level(contest.bytes_read // contest.ours.steps, threads)
    return contest.bytes_read / seconds / ceilings.bandwidth[level][threads]
