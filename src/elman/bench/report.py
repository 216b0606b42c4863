"""The ceilings and rows of a run: as lines of text, and as a JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from elman import __version__
from elman.bench.ceilings import Ceilings, cores
from elman.bench.rows import Row
from elman.errors import FormatError
from elman.formats.atomic import atomic_write
from elman.kernels import isa

_CPUINFO = Path("/proc/cpuinfo")


@dataclass
class Measurements:
    """What one run measured.

    Attributes:
        ceilings: the machine's limits.
        machine: facts about it.
        peers: the version of each.
        rows: one a case and peer.
    """

    ceilings: Ceilings
    machine: Mapping[str, Any]
    peers: Mapping[str, str]
    rows: list[Row] = field(default_factory=list)

    def about(self) -> str:
        """Machine and peers, in a line."""
        return ", ".join(f"{name} {value}" for name, value in {**self.machine, **self.peers}.items())

    def heading(self) -> Iterator[str]:
        """Machine, peers and ceilings, in lines."""
        yield self.about()
        for dtype, rates in self.ceilings.compute.items():
            yield f"{dtype:8} {_by_threads(rates, 'GFLOP/s')}"
        for level, rates in self.ceilings.bandwidth.items():
            size = self.ceilings.caches.get(level)
            yield f"{level:8} {_by_threads(rates, 'GB/s')}" + (f" ({size >> 10:,} KiB)" if size else "")

    def save(self, path: Path) -> None:
        """Write everything as JSON, whole or not at all; a line for each row."""
        facts = {
            "elman": __version__,
            "machine": self.machine,
            "peers": self.peers,
            "ceilings": asdict(self.ceilings),
        }
        lines = [f'"{name}": {json.dumps(value, allow_nan=False)}' for name, value in facts.items()]
        rows = ",\n".join(json.dumps(asdict(row), allow_nan=False) for row in self.rows)
        with atomic_write(path) as file:
            file.write(("{\n" + ",\n".join([*lines, f'"rows": [\n{rows}\n]']) + "\n}\n").encode())


def load(path: Path) -> Measurements:
    """Read a report back. Raises FormatError where the file is none."""
    try:
        content = json.loads(path.read_bytes())
        rows = [Row(**row) for row in content["rows"]]
        ceilings = Ceilings(
            content["ceilings"]["caches"],
            _counts(content["ceilings"]["compute"]),
            _counts(content["ceilings"]["bandwidth"]),
        )
        return Measurements(ceilings, content["machine"], content["peers"], rows)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{path}: not the rows of a benchmark ({error}); elman bench writes them with `json`"
        ) from None


def _counts(rates: Mapping[str, Mapping[str, float]]) -> dict[str, dict[int, float]]:
    """Thread counts are texts in JSON."""
    return {name: {int(count): rate for count, rate in row.items()} for name, row in rates.items()}


def machine() -> dict[str, Any]:
    """The processor, its cores, and the instruction set that the kernels use."""
    named = (
        [line for line in _CPUINFO.read_text().splitlines() if line.startswith("model name")]
        if _CPUINFO.exists()
        else []
    )
    processor = named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()
    return {"processor": processor, "cores": cores(), "isa": isa()}


def _by_threads(rates: Mapping[int, float], unit: str) -> str:
    return ", ".join(f"{rate / 1e9:.0f} {unit} on {count}" for count, rate in rates.items())


def title() -> str:
    """The names of the columns."""
    return (
        f"{'suite':6} {'cell':18} {'mode':6} {'H':>4} {'B':>3} {'T':>4} {'dtype':8} {'on':>2} {'peer':13} "
        f"{'peer ms':>9} {'our ms':>9} {'ratio':>6} {'±':>4} {'limit':>5}"
    )


def line(row: Row) -> str:
    """A row of the table. The limit is the peak, or the bandwidth of the weights' cache where that is what counts."""
    case = (
        f"{row.suite:6} {row.cell:18} {row.mode:6} {row.hidden_size:4} {row.batch:3} {row.steps:4} {row.dtype:8} "
        f"{row.threads:2} {row.peer:13} "
    )
    if row.seconds is None or row.peer_seconds is None or row.ratio is None:
        return f"{case}no time: {row.refused}"
    share = row.fraction_of_peak if row.fraction_of_bandwidth is None else row.fraction_of_bandwidth
    limit = "" if share is None else f"{share:.0%}"
    spread = "" if row.spread is None else f"{row.spread:.0%}"
    return f"{case}{row.peer_seconds * 1e3:9.3f} {row.seconds * 1e3:9.3f} {row.ratio:6.2f} {spread:>4} {limit:>5}"
