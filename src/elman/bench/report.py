"""The rows as a table of text and as a JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from elman import __version__
from elman.bench.ceilings import Ceilings
from elman.bench.rows import Row
from elman.formats.atomic import atomic_write


class Report:
    """The ceilings, and the rows so far."""

    def __init__(self, ceilings: Ceilings) -> None:
        self.ceilings, self.rows = ceilings, list[Row]()

    def add(self, rows: Iterable[Row]) -> None:
        """Take more rows."""
        self.rows.extend(rows)

    def heading(self) -> Iterator[str]:
        """The ceilings, in lines."""
        for dtype, rates in self.ceilings.compute.items():
            yield f"{dtype:9} " + _by_threads(rates, "GFLOP/s")
        for level, rates in self.ceilings.bandwidth.items():
            size = self.ceilings.caches.get(level)
            yield f"{level:9} " + _by_threads(rates, "GB/s") + (f" ({size >> 10:,} KiB)" if size else "")

    def save(self, path: Path) -> None:
        """Write everything as JSON, whole or not at all."""
        content = {
            "elman": __version__,
            "machine": {"processor": platform.machine(), "system": platform.system()},
            "ceilings": self.ceilings.as_json(),
            "rows": [asdict(row) for row in self.rows],
        }
        with atomic_write(path) as file:
            file.write((json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def _by_threads(rates: dict[int, float] | object, unit: str) -> str:
    assert isinstance(rates, dict)
    return ", ".join(f"{rate / 1e9:.0f} {unit} on {count}" for count, rate in rates.items())


def title() -> str:
    """The names of the columns."""
    return (
        f"{'suite':7} {'cell':8} {'mode':6} {'H':>5} {'B':>4} {'T':>5} {'dtype':8} {'on':>3}  {'peer':15} "
        f"{'peer ms':>9} {'our ms':>9} {'ratio':>6} {'peak':>5}"
    )


def line(row: Row) -> str:
    """A row of the table."""
    case = (
        f"{row.suite:7} {row.cell:8} {row.mode:6} {row.hidden_size:5} {row.batch:4} {row.steps:5} {row.dtype:8} "
        f"{row.threads:3}  {row.peer:15} "
    )
    if row.refused or row.seconds is None or row.peer_seconds is None or row.ratio is None:
        return f"{case}no time: {row.refused}"
    peak = "" if row.fraction_of_peak is None else f"{row.fraction_of_peak:.0%}"
    return f"{case}{row.peer_seconds * 1e3:9.3f} {row.seconds * 1e3:9.3f} {row.ratio:6.2f} {peak:>5}"
