"""A contest: one case, our way and the peers' ways to do it; compared, then timed, then a row for each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.bench.ceilings import Ceilings
from elman.bench.pairs import TimedPair, time_pair
from elman.bench.rows import Case, Row

Array = NDArray[Any]
Results = Mapping[str, Array]

# How far results may lie apart, max|Δ| / max|peer's| over each tensor. Both sides round: float32 to 6e-8 at each of a
# few thousand sums, carried on over a hundred steps. bfloat16 rounds to 4e-3, and torch rounds its states as well: at
# H 512, B 32, T 100 its LSTM lies 5e-3 from its own float32, its GRU and Elman 2e-2 and 3e-2 in the gradients of U.
TOLERANCE = {"float32": 3e-5, "bfloat16": 5e-2}


class NoContest(Exception):
    """A case cannot be run, or not on one side; the message says why."""


@dataclass(frozen=True)
class Side:
    """One way to do a case.

    Attributes:
        run: does it once; this is what is timed.
        steps: time steps that it is credited with, over all sequences; ratios are of times per step.
        results: does it once and gives what it computed, by name; names that only one side has are not compared. None
            where another amount of work is done, and only the rates can be compared.
        own_threads: it computes on threads of its own, not on the team that torch and Elman share.
        tolerance: how far a peer's results may lie from ours; None: as the case's dtype allows.
    """

    run: Callable[[], object]
    steps: int
    results: Callable[[], Results] | None
    own_threads: bool = False
    tolerance: float | None = None


@dataclass(frozen=True)
class Contest:
    """A case, ready to run.

    Attributes:
        ours: our side.
        peers: by name what makes the other sides, when their turn comes; may raise NoContest.
        operations: floating-point operations that our call cannot do without, an FMA counted as two; 0: not judged.
        bytes_read: bytes of weights that our call must read at every step; 0: not judged.
    """

    case: Case
    ours: Side
    peers: Mapping[str, Callable[[], Side]] = field(default_factory=dict)
    operations: float = 0.0
    bytes_read: int = 0


def compete(contest: Contest, ceilings: Ceilings, seconds: float, least: int = 5) -> Iterator[Row]:
    """A row for each peer; without a time where the results differ, or the peer fails.

    Args:
        seconds: about how long each pair of sides is timed.
        least: pairs that are timed however long they take.
    """
    case, ours = contest.case, contest.ours
    found = None if ours.results is None else ours.results()
    for name, make in contest.peers.items():
        try:
            peer = make()
            apart = None if found is None or peer.results is None else difference(found, peer.results())
        except Exception as error:  # a peer's failure, whatever it is, is a result: the others go on
            yield Row.refuse(case, name, _reason(error))
            continue
        allowed = TOLERANCE[case.dtype] if peer.tolerance is None else peer.tolerance
        if apart is not None and not apart <= allowed:
            reason = f"its results differ by {apart:.1e}, {allowed:.0e} is allowed"
            yield Row.refuse(case, name, reason, apart)
            continue
        pair = time_pair(peer.run, ours.run, seconds, least=least, rest=peer.own_threads or ours.own_threads)
        yield _row(contest, ceilings, name, peer, pair, apart)


def difference(ours: Results, theirs: Results) -> float:
    """The largest max|Δ| / max|theirs| over what both computed; infinite where shapes differ, something is no number,
    or there is nothing to compare."""
    names = ours.keys() & theirs.keys()
    return max((_distance(ours[name], theirs[name]) for name in names), default=float("inf"))


def _distance(a: Array, b: Array) -> float:
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    largest, scale = np.abs(a - b).max(initial=0.0), np.abs(b).max(initial=0.0)
    return float(largest / scale) if scale > 0 else float(largest)


def _reason(error: Exception) -> str:
    text = str(error).partition("\n")[0][:150]
    return text if isinstance(error, NoContest) else f"{type(error).__name__}: {text}"


def _row(contest: Contest, ceilings: Ceilings, name: str, peer: Side, pair: TimedPair, apart: float | None) -> Row:
    case, ours = contest.case, contest.ours
    return Row(
        **case.columns(),
        peer=name,
        ratio=pair.ratio * ours.steps / peer.steps,
        fraction_of_peak=_fraction_of_peak(contest, ceilings, pair.ours),
        fraction_of_bandwidth=_fraction_of_bandwidth(contest, ceilings, pair.ours),
        seconds=pair.ours,
        peer_seconds=pair.theirs,
        rows=ours.steps,
        pairs=pair.count,
        spread=pair.spread,
        difference=apart,
    )


def _fraction_of_peak(contest: Contest, ceilings: Ceilings, seconds: float) -> float | None:
    peak = ceilings.compute.get(contest.case.dtype, {}).get(contest.case.threads)
    return contest.operations / seconds / peak if peak and contest.operations else None


def _fraction_of_bandwidth(contest: Contest, ceilings: Ceilings, seconds: float) -> float | None:
    if not contest.bytes_read:
        return None
    threads = contest.case.threads
    bandwidth = ceilings.bandwidth[ceilings.level(contest.bytes_read, threads)][threads]
    return contest.bytes_read * contest.case.steps / seconds / bandwidth
