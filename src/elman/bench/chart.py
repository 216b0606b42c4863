"""The rows of the layers as a figure: how many times faster than the peers, by hidden size."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.bench.judge import fastest_peer
from elman.bench.rows import Row
from elman.errors import ConfigError, DataError
from elman.formats.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_NAMES = {"lstm": "LSTM", "gru": "GRU", "elman": "Elman"}
_SERIES = {"train": ("training", "tab:blue"), "infer": ("inference", "tab:orange")}
_PEERS = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime"}
_FORMATS = (".svg", ".png", ".pdf")
_MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64)
# Words stay words, and the same rows make the same file.
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "elman", "font.size": 9}


@dataclass(frozen=True)
class Line:
    """One series of a panel: for each hidden size least, median and largest ratio over the batch sizes."""

    mode: str
    points: tuple[tuple[int, float, float, float], ...]


def check_format(path: Path) -> None:
    """Raise ConfigError where `draw` could not write such a file, and ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure  # noqa: F401

    if path.suffix not in _FORMATS:
        raise ConfigError(f"`chart` must end in {', '.join(_FORMATS)}, got {path.name}")


def draw(path: Path, rows: Sequence[Row], about: str = "") -> None:
    """Draw the float32 rows of the largest number of threads; written whole or not at all.

    `about` is a line below the heading: what was measured on.

    Raises:
        ConfigError: the file's ending names no format.
        DataError: there are no such rows.
    """
    check_format(path)
    from matplotlib import rc_context

    form = path.suffix.removeprefix(".")
    with rc_context(_STYLE):
        drawn = figure(rows, about)
        with atomic_write(path) as file:
            drawn.savefig(file, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)


def figure(rows: Sequence[Row], about: str = "") -> Figure:
    """The figure: a panel for each cell, a line and a band for each mode."""
    from matplotlib.figure import Figure

    chosen = [
        row for row in rows if (row.suite, row.dtype) == ("layers", "float32") and row.peer in _PEERS and row.ratio
    ]
    if not chosen:
        raise DataError("`chart`: no row of the layers in float32 has a time; add layers to `suites`")
    threads = max(row.threads for row in chosen)
    chosen = [row for row in chosen if row.threads == threads]
    panels = {name: series for cell, name in _NAMES.items() if (series := lines(chosen, cell))}
    found = Figure(figsize=(1 + 2.8 * len(panels), 3.8), layout="constrained")
    found.suptitle(f"{_heading(chosen, threads)}\n{about}".strip(), fontsize="medium")
    for axes, (name, series) in zip(found.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _panel(axes, series, sorted({row.hidden_size for row in chosen}))
        axes.set_title(name)
    _scale(found.axes, panels)
    found.legend(*_legend(chosen), loc="outside lower center", ncols=2, frameon=False)
    return found


def lines(rows: Sequence[Row], cell: str) -> list[Line]:
    """The series of one cell."""
    found = []
    for mode in _SERIES:
        group = fastest_peer(row for row in rows if (row.cell, row.mode) == (cell, mode))
        sizes = sorted({row.hidden_size for row in group})
        ratios = [[row.ratio for row in group if row.hidden_size == size and row.ratio] for size in sizes]
        points = [(size, min(r), statistics.median(r), max(r)) for size, r in zip(sizes, ratios, strict=True) if r]
        if points:
            found.append(Line(mode, tuple(points)))
    return found


def _panel(axes: Axes, series: Sequence[Line], sizes: Sequence[int]) -> None:
    axes.axhline(1, color="grey", linewidth=1.5)
    for line in series:
        _, colour = _SERIES[line.mode]
        places = [sizes.index(size) for size, *_ in line.points]
        _, least, median, most = zip(*line.points, strict=True)
        axes.fill_between(places, least, most, color=colour, alpha=0.2, linewidth=0)
        axes.plot(places, median, color=colour, marker="o", markersize=4)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set(xlabel="hidden size", yscale="log")
    axes.grid(axis="y", alpha=0.4)


def _scale(panels: Sequence[Axes], series: Mapping[str, Sequence[Line]]) -> None:
    """One scale of ratios for all panels, written at the first."""
    points = [point for group in series.values() for line in group for point in line.points]
    low, high = min(0.8, *(p[1] for p in points)) / 1.05, max(2.2, *(p[3] for p in points)) * 1.05
    marks = [mark for mark in _MARKS if low <= mark <= high]
    for axes in panels:
        axes.set_ylim(low, high)
        axes.minorticks_off()
        axes.set_yticks(marks, [_fraction(mark) if axes is panels[0] else "" for mark in marks])


def _legend(rows: Sequence[Row]) -> tuple[list[Patch], list[str]]:
    """The colour of each series, and what it is against."""
    from matplotlib.patches import Patch

    patches, labels = [], []
    for mode, (name, colour) in _SERIES.items():
        peers = [label for peer, label in _PEERS.items() if any((row.mode, row.peer) == (mode, peer) for row in rows)]
        if peers:
            patches.append(Patch(color=colour))
            labels.append(f"{name}, against {'the faster of ' * (len(peers) > 1)}{' and '.join(peers)}")
    return patches, labels


def _heading(rows: Sequence[Row], threads: int) -> str:
    batches = sorted({row.batch for row in rows})
    over = f"batches of {batches[0]} to {batches[-1]}" if len(batches) > 1 else f"batches of {batches[0]}"
    on = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"Times faster: median and range over {over}, float32, {on}"


def _fraction(mark: float) -> str:
    return f"{mark:g}×" if mark >= 1 else f"1/{1 / mark:g}×"
