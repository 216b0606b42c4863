"""Rows and ceilings made by hand."""

from __future__ import annotations

from typing import Any

from elman.bench.ceilings import Ceilings
from elman.bench.rows import Case, Row

CEILINGS = Ceilings(
    caches={"L1": 1000, "L2": 10_000, "L3": 50_000},
    compute={"float32": {1: 100.0, 2: 200.0}},
    bandwidth={
        "L1": {1: 80.0, 2: 160.0},
        "L2": {1: 40.0, 2: 80.0},
        "L3": {1: 20.0, 2: 40.0},
        "memory": {1: 5.0, 2: 6.0},
    },
)


def case(**changes: Any) -> Case:
    """A case of the layers."""
    given = {"suite": "layers", "cell": "lstm", "mode": "train", "hidden_size": 256, "batch": 32, "steps": 100}
    return Case(**{**given, **changes})


def row(ratio: float | None = 2.0, **changes: Any) -> Row:
    """A row of the layers; one without a ratio is refused."""
    names = {name: changes.pop(name) for name in list(changes) if name in Case.__dataclass_fields__}
    figures = {"peer": "torch", "ratio": ratio}
    figures |= {"refused": "its results differ"} if ratio is None else {"seconds": 1.0, "peer_seconds": ratio}
    return Row(**case(**names).columns(), **{**figures, **changes})
