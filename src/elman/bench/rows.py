"""What is asked (a case) and what came out (a row)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One piece of work.

    Attributes:
        suite: the group of cases that it belongs to.
        cell: the recurrence.
        mode: "infer", "train" (forward and backward; the input needs no gradient) or "stream" (a call for each step).
        hidden_size, batch, steps: H, B, T (the longest sequence's).
        dtype: "float32" or "bfloat16" (autocast).
        threads: threads of both sides.
    """

    suite: str
    cell: str
    mode: str
    hidden_size: int
    batch: int
    steps: int
    dtype: str = "float32"
    threads: int = 1

    def columns(self) -> dict[str, Any]:
        """The case's part of a row."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.suite} {self.cell} {self.mode} H {self.hidden_size} B {self.batch} T {self.steps} {self.dtype}"


@dataclass(frozen=True, kw_only=True)
class Row(Case):
    """A case against one peer; figures are None where there is none.

    Attributes:
        peer: whom it is compared with.
        ratio: the peer's time per step over ours, the median over neighbouring pairs; above 1 we are faster.
        fraction_of_peak: our operations per second over the machine's.
        fraction_of_bandwidth: our bytes of weights per second over those of the memory that they lie in.
        seconds, peer_seconds: median of a call.
        rows: time steps of a call of ours, over all sequences.
        pairs: how many pairs were timed.
        spread: of their ratios: half the distance of the quartiles, relative to the median.
        difference: of the results, relative to the largest.
        refused: why there is no time.
    """

    peer: str
    ratio: float | None = None
    fraction_of_peak: float | None = None
    fraction_of_bandwidth: float | None = None
    seconds: float | None = None
    peer_seconds: float | None = None
    rows: int = 0
    pairs: int = 0
    spread: float | None = None
    difference: float | None = None
    refused: str | None = None

    @property
    def case(self) -> Case:
        """The case alone."""
        return Case(**{name: getattr(self, name) for name in Case.__dataclass_fields__})

    @classmethod
    def refuse(cls, case: Case, peer: str, reason: str, apart: float | None = None) -> Row:
        """A row that says why there is no time."""
        finite = apart if apart is not None and apart < float("inf") else None  # JSON knows no infinity
        return cls(**case.columns(), peer=peer, refused=reason, difference=finite)
