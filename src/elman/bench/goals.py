"""What the figures are held against: for each group of cases a median and a least value, by cell."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from elman.bench.rows import Case, Row

ANY = "any"


@dataclass(frozen=True)
class Limits:
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
    limits: Mapping[str, Limits]
    alone: Mapping[str, Limits]

    def limits_for(self, cell: str, threads: int) -> Limits:
        """What a cell must reach on so many threads."""
        every = self.limits.get(cell) or self.limits.get(ANY) or Limits(None, None)
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
    limits: Limits

    @property
    def met(self) -> bool:
        """Whether every case has a figure, and median and least value reach their limits."""
        return not self.refused and reaches(self.median, self.limits.median) and reaches(self.least, self.limits.least)


def reaches(value: float, limit: float | None) -> bool:
    """Whether a value is as high as it must be."""
    return limit is None or value >= limit


def judge(rows: Sequence[Row], goals: Sequence[Goal] | None = None) -> list[Verdict]:
    """A verdict for each goal, thread count and cell that there are rows for."""
    found = []
    for goal in GOALS if goals is None else goals:
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
    chosen: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = astuple(case_of(row))
        if key not in chosen or _rank(row) < _rank(chosen[key]):
            chosen[key] = row
    return list(chosen.values())


def _rank(row: Row) -> float:
    return float("inf") if row.ratio is None else row.ratio


def case_of(row: Row) -> Case:
    """The case alone."""
    return Case(**{name: getattr(row, name) for name in Case.__dataclass_fields__})


def losses(rows: Iterable[Row]) -> list[Row]:
    """The rows in which the peer is faster, the worst first. Our own rates are no peers."""
    lost = [row for row in rows if row.ratio is not None and row.ratio < 1 and not row.peer.startswith("elman")]
    return sorted(lost, key=_rank)


def _ratio(row: Row) -> float | None:
    return row.ratio


def _peak(row: Row) -> float | None:
    return row.fraction_of_peak


def _bandwidth(row: Row) -> float | None:
    return row.fraction_of_bandwidth


def _large(row: Row) -> bool:
    return row.hidden_size >= 256 and row.batch >= 32


def _middle(row: Row) -> bool:
    return 128 <= row.hidden_size <= 1024 and 16 <= row.batch <= 128


def _small(row: Row) -> bool:
    return 32 <= row.hidden_size <= 64 or 1 <= row.batch <= 8


def _goal(
    title: str,
    belongs: Callable[[Row], bool],
    limits: Mapping[str, tuple[float | None, float | None]],
    figure: Callable[[Row], float | None] = _ratio,
    alone: Mapping[str, tuple[float | None, float | None]] | None = None,
) -> Goal:
    return Goal(title, belongs, figure, _limits(limits), _limits(alone or {}))


def _limits(pairs: Mapping[str, tuple[float | None, float | None]]) -> dict[str, Limits]:
    return {cell: Limits(*pair) for cell, pair in pairs.items()}


def _layer(mode: str, *peers: str) -> Callable[[Row], bool]:
    return lambda row: (row.suite, row.mode, row.dtype) == ("layers", mode, "float32") and row.peer in peers


def _both(*tests: Callable[[Row], bool]) -> Callable[[Row], bool]:
    return lambda row: all(test(row) for test in tests)


def _pair(suite: str, peer: str, hidden: int | None = None) -> Callable[[Row], bool]:
    return lambda row: (row.suite, row.peer) == (suite, peer) and hidden in (None, row.hidden_size)


def _bfloat16(peer: str) -> Callable[[Row], bool]:
    return lambda row: (row.dtype, row.mode, row.peer) == ("bfloat16", "train", peer) and _large(row)


_COST = (1 / 1.4, 1 / 1.4)  # forward is made twice: a third more work

GOALS = (
    _goal(
        "forward, share of the peak, H ≥ 256, B ≥ 32",
        _both(_layer("infer", "torch"), _large),
        {ANY: (0.88, 0.88)},
        _peak,
    ),
    _goal(
        "forward + backward, share of the peak, H ≥ 256, B ≥ 32",
        _both(_layer("train", "torch"), _large),
        {ANY: (0.8, 0.8)},
        _peak,
    ),
    _goal(
        "training against torch, H 128 … 1024, B 16 … 128",
        _both(_layer("train", "torch"), _middle),
        {"lstm": (1.2, 1.0), "gru": (2.5, 1.5), "elman": (2.3, 1.5)},
        alone={"lstm": (1.1, 1.0)},
    ),
    _goal(
        "training against torch, H 32 … 64 or B 1 … 8",
        _both(_layer("train", "torch"), _small),
        {"lstm": (1.5, 1.0), "gru": (4.0, 1.0), "elman": (4.0, 1.0)},
    ),
    _goal(
        "inference against the better of torch and ONNX Runtime",
        _layer("infer", "torch", "onnxruntime"),
        {"lstm": (1.05, 0.95), "gru": (1.3, 0.95), "elman": (2.0, 0.95)},
    ),
    _goal("ragged training against padded torch", _pair("ragged", "torch padded"), {ANY: (3.5, None)}),
    _goal("ragged training against packed torch", _pair("ragged", "torch packed"), {ANY: (12.0, None)}),
    _goal("ragged training against our own dense rate", _pair("ragged", "elman dense"), {ANY: (0.85, None)}),
    _goal("layer-norm LSTM against eager torch, H 512", _pair("cells", "torch", 512), {ANY: (3.5, None)}),
    _goal("layer-norm LSTM against eager torch, H 128", _pair("cells", "torch", 128), {ANY: (6.0, None)}),
    _goal("bfloat16 training against our float32, H ≥ 256, B ≥ 32", _bfloat16("elman float32"), {ANY: (1.5, None)}),
    _goal("bfloat16 training against torch's, H ≥ 256, B ≥ 32", _bfloat16("torch"), {"lstm": (1.2, None)}),
    _goal(
        "batch 1 inside a sequence, share of the bandwidth of the weights' cache",
        lambda row: (row.suite, row.mode, row.peer) == ("steps", "infer", "torch"),
        {ANY: (0.8, 0.8)},
        _bandwidth,
    ),
    _goal("a call for each step against the better of torch and ONNX Runtime", lambda row: row.mode == "stream", {}),
    _goal("training on characters, end to end, against torch", _pair("text", "torch"), {}),
    _goal("100,000 steps in bounded memory, against our own that keep all", _pair("long", "elman plain"), {ANY: _COST}),
    _goal("linear layer and cross-entropy in one, against torch", _pair("loss", "torch"), {}),
)
