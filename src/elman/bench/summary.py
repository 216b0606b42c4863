"""What a run comes to, in lines of text: each group beside its goal, throughput, and where we lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from elman.bench.goals import GOALS
from elman.bench.judge import Verdict, judge, losses, reaches
from elman.bench.rows import Row

_MOST_LOSSES = 20


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """All lines. A figure below its goal is marked with ✗."""
    for title, verdicts in groupby(judge(rows, GOALS), key=lambda verdict: verdict.title):
        yield f"\n{title}"
        yield from map(_verdict, verdicts)
    yield from _throughput(rows)
    yield from _lost(losses(rows))
    yield from _refused(rows)


def _verdict(verdict: Verdict) -> str:
    median = _held("median", verdict.median, verdict.limits.median)
    least = _held("least", verdict.least, verdict.limits.least)
    refused = f", {verdict.refused} without a time" if verdict.refused else ""
    cases = f"{verdict.count} case{'s' if verdict.count > 1 else ''}"
    return f"  {verdict.cell:18} {_on(verdict.threads):12}   {median}   {least}   ({cases}{refused})"


def _held(name: str, value: float, limit: float | None) -> str:
    goal = f"goal {limit:.2f} {'✓' if reaches(value, limit) else '✗'}" if limit is not None else ""
    return f"{name} {value:5.2f} {goal:11}"


def _throughput(rows: Sequence[Row]) -> Iterator[str]:
    """Tokens per second of both sides where text was trained on, and the time of a step in a stream."""
    timed = [row for row in rows if row.seconds is not None]
    texts, streams = [row for row in timed if row.suite == "text"], [row for row in timed if row.mode == "stream"]
    if texts:
        yield "\ntokens a second in training on characters, and the peer's"
    for row in texts:
        ours, theirs = row.rows / (row.seconds or 1), row.rows / (row.peer_seconds or 1)
        yield f"  {_size(row)} {ours:12,.0f} {row.peer:11} {theirs:12,.0f}"
    if streams:
        yield "\nmicroseconds of a call for one step, and the peer's"
    for row in streams:
        yield f"  {_size(row)} {(row.seconds or 0) * 1e6:12.1f} {row.peer:11} {(row.peer_seconds or 0) * 1e6:12.1f}"


def _lost(lost: Sequence[Row]) -> Iterator[str]:
    if not lost:
        return
    yield f"\nwhere a peer is faster: {len(lost)} of the comparisons, the worst first"
    for row in lost[:_MOST_LOSSES]:
        yield f"  {row.ratio:4.2f} of {row.peer:12} {_case(row)}"
    if len(lost) > _MOST_LOSSES:
        yield f"  … and {len(lost) - _MOST_LOSSES} more"


def _refused(rows: Sequence[Row]) -> Iterator[str]:
    by_reason: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.refused:
            by_reason.setdefault((row.peer, row.refused), []).append(row)
    if by_reason:
        yield "\nwithout a time"
    for (peer, reason), members in by_reason.items():
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        yield f"  {_case(members[0])}{more}: {peer or 'ours'}: {reason}"


def _size(row: Row) -> str:
    return f"{row.cell:6} H {row.hidden_size:4} B {row.batch:3} {_on(row.threads):12}"


def _case(row: Row) -> str:
    return f"{row.suite} {row.cell} {row.mode} H {row.hidden_size} B {row.batch} {row.dtype} {_on(row.threads)}"


def _on(threads: int) -> str:
    return f"on {threads} thread{'s' if threads > 1 else ''}"
