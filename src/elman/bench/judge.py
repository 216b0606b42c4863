"""Groups of rows beside what they must reach, and the rows in which a peer is faster."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from elman.bench.rows import Case, Row

ANY = "any"


@dataclass(frozen=True)
class RatioLimits:
    """What the median and the least value must reach; None where there is no such goal."""

    median: float | None
    least: float | None


@dataclass(frozen=True)
class Goal:
    """One group of cases.

    Attributes:
        title: what is measured.
        belongs: whether a row is of this group.
        figure: the row's figure; a row without one is left out.
        limits: by cell, or for ANY.
        alone: limits on one thread, by cell, where they are others.
    """

    title: str
    belongs: Callable[[Row], bool]
    figure: Callable[[Row], float | None]
    limits: Mapping[str, RatioLimits]
    alone: Mapping[str, RatioLimits]

    def limits_for(self, cell: str, threads: int) -> RatioLimits:
        """What a cell must reach on so many threads."""
        every = self.limits.get(cell) or self.limits.get(ANY) or RatioLimits(None, None)
        return self.alone.get(cell, every) if threads == 1 else every


@dataclass(frozen=True)
class Verdict:
    """How one cell does in one group on so many threads; `refused` cases have no figure."""

    title: str
    cell: str
    threads: int
    count: int
    refused: int
    median: float
    least: float
    limits: RatioLimits

    @property
    def met(self) -> bool:
        """Whether every case has a figure, and median and least value reach their limits."""
        return not self.refused and reaches(self.median, self.limits.median) and reaches(self.least, self.limits.least)


def reaches(value: float, limit: float | None) -> bool:
    """Whether a value is as high as it must be."""
    return limit is None or value >= limit


def judge(rows: Sequence[Row], goals: Sequence[Goal]) -> list[Verdict]:
    """A verdict for each goal, thread count and cell that there are rows for."""
    found = []
    for goal in goals:
        group = fastest_peer(row for row in rows if goal.belongs(row))
        for threads, cell in dict.fromkeys((row.threads, row.cell) for row in group):
            members = [row for row in group if (row.threads, row.cell) == (threads, cell)]
            figures = [figure for row in members if (figure := goal.figure(row)) is not None]
            if figures:
                counts = len(members), sum(row.refused is not None for row in members)
                values = statistics.median(figures), min(figures)
                found.append(Verdict(goal.title, cell, threads, *counts, *values, goal.limits_for(cell, threads)))
    return found


def fastest_peer(rows: Iterable[Row]) -> list[Row]:
    """One row a case: the fastest peer's; one without a time only where no peer has any."""
    chosen: dict[Case, Row] = {}
    for row in rows:
        if row.case not in chosen or _rank(row) < _rank(chosen[row.case]):
            chosen[row.case] = row
    return list(chosen.values())


def _rank(row: Row) -> float:
    return float("inf") if row.ratio is None else row.ratio


def comparisons(rows: Iterable[Row]) -> list[Row]:
    """The rows with a time beside a peer. Our own rates are no peers."""
    return [row for row in rows if row.ratio is not None and not row.peer.startswith("elman")]


def losses(rows: Iterable[Row]) -> list[Row]:
    """The comparisons in which the peer is faster, the worst first."""
    return sorted((row for row in comparisons(rows) if _rank(row) < 1), key=_rank)
