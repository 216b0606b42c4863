"""The rows of the layers as a figure: how many times faster than the peers, by hidden size. SVG, for light and dark."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from elman.bench.judge import fastest_peer
from elman.bench.rows import Row
from elman.errors import DataError
from elman.formats.atomic import atomic_write

_NAMES = {"lstm": "LSTM", "gru": "GRU", "elman": "Elman"}
_SERIES = (("train", "training"), ("infer", "inference"))  # modes, which are styles too, and their names
_PEERS = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime"}
_WIDTH, _HEIGHT = 250, 220  # of a panel, in pixels
_LEFT, _TOP, _GAP, _BOTTOM = 58, 80, 22, 80
_MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64)

# Greys and colours that stand out from white and from black; a reader's dark scheme brightens the words.
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #404040 }
.title { font-size: 14px; font-weight: 600 } .small { font-size: 11px }
.end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #808080; stroke-opacity: .25 } .even { stroke: #808080; stroke-width: 1.5 }
.train { stroke: #2f7ed8; fill: #2f7ed8 } .infer { stroke: #e07b00; fill: #e07b00 }
.band { fill-opacity: .2; stroke: none } .median { fill: none; stroke-width: 2.5 } .dot { stroke: none }
@media (prefers-color-scheme: dark) { text { fill: #d0d0d0 } }
"""


@dataclass(frozen=True)
class Line:
    """One series of a panel: for each hidden size least, median and largest ratio over the batch sizes."""

    style: str
    points: tuple[tuple[int, float, float, float], ...]


def draw(path: Path, rows: Sequence[Row], about: str = "") -> None:
    """Draw the float32 rows of the largest number of threads; written whole or not at all.

    `about` is a line below the heading: what was measured on.

    Raises:
        DataError: there are no such rows.
    """
    chosen = [
        row for row in rows if (row.suite, row.dtype) == ("layers", "float32") and row.peer in _PEERS and row.ratio
    ]
    if not chosen:
        raise DataError("`chart`: no row of the layers in float32 has a time; add layers to `suites`")
    threads = max(row.threads for row in chosen)
    chosen = [row for row in chosen if row.threads == threads]
    with atomic_write(path) as file:
        file.write("\n".join(_svg(chosen, _heading(chosen, threads), about)).encode())


def lines(rows: Sequence[Row], cell: str) -> list[Line]:
    """The series of one cell."""
    found = []
    for mode, _ in _SERIES:
        group = fastest_peer(row for row in rows if (row.cell, row.mode) == (cell, mode))
        sizes = sorted({row.hidden_size for row in group})
        ratios = [[row.ratio for row in group if row.hidden_size == size and row.ratio] for size in sizes]
        points = [(size, min(r), statistics.median(r), max(r)) for size, r in zip(sizes, ratios, strict=True) if r]
        if points:
            found.append(Line(mode, tuple(points)))
    return found


def _svg(rows: Sequence[Row], heading: str, about: str) -> Iterator[str]:
    panels = {name: lines(rows, cell) for cell, name in _NAMES.items() if lines(rows, cell)}
    width = _LEFT + len(panels) * (_WIDTH + _GAP)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_TOP + _HEIGHT + _BOTTOM}" role="img" '
        f'width="{width}"><style>{_STYLE}</style>'
    )
    yield f'<text class="title" x="{_LEFT}" y="20">{escape(heading)}</text>'
    yield f'<text class="small" x="{_LEFT}" y="38">{escape(about)}</text>'
    scale = _Scale(rows, panels)
    for index, (name, series) in enumerate(panels.items()):
        yield f'<g transform="translate({_LEFT + index * (_WIDTH + _GAP)} {_TOP})">'
        yield from _panel(name, series, scale, labelled=index == 0)
        yield "</g>"
    yield from _legend(rows)
    yield "</svg>\n"


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    x, y = _LEFT, _TOP + _HEIGHT + 66
    for mode, name in _SERIES:
        peers = [label for peer, label in _PEERS.items() if any((row.mode, row.peer) == (mode, peer) for row in rows)]
        if peers:
            label = f"{name}, against {'the faster of ' * (len(peers) > 1)}{' and '.join(peers)}"
            yield f'<rect class="{mode}" x="{x}" y="{y - 9}" width="10" height="10"/>'
            yield f'<text x="{x + 16}" y="{y}">{escape(label)}</text>'
            x += 30 + round(6.4 * len(label))


def _heading(rows: Sequence[Row], threads: int) -> str:
    batches = sorted({row.batch for row in rows})
    over = f"batches of {batches[0]} to {batches[-1]}" if len(batches) > 1 else f"batches of {batches[0]}"
    on = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"Times faster: median and range over {over}, float32, {on}"


class _Scale:
    """Where hidden sizes and ratios lie in a panel; both axes are logarithmic."""

    def __init__(self, rows: Sequence[Row], panels: dict[str, list[Line]]) -> None:
        points = [point for series in panels.values() for line in series for point in line.points]
        self.sizes = sorted({row.hidden_size for row in rows})
        low, high = min(0.8, *(p[1] for p in points)), max(2.2, *(p[3] for p in points))
        self._low, self._high = math.log(low) - 0.05, math.log(high) + 0.05

    def x(self, size: int) -> float:
        """From the left."""
        step = _WIDTH / len(self.sizes)
        return round((self.sizes.index(size) + 0.5) * step, 1)

    def y(self, ratio: float) -> float:
        """From the top."""
        return round(_HEIGHT * (self._high - math.log(ratio)) / (self._high - self._low), 1)

    @property
    def marks(self) -> list[float]:
        """The ratios with a line across."""
        return [mark for mark in _MARKS if self._low <= math.log(mark) <= self._high]


def _panel(name: str, series: Sequence[Line], scale: _Scale, labelled: bool) -> Iterator[str]:
    yield f'<text class="title middle" x="{_WIDTH / 2}" y="-12">{name}</text>'
    for mark in scale.marks:
        y = scale.y(mark)
        yield f'<line class="{"even" if mark == 1 else "grid"}" x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}"/>'
        if labelled:
            yield f'<text class="end" x="-8" y="{y + 4}">{_fraction(mark)}×</text>'
    for size in scale.sizes:
        yield f'<text class="middle" x="{scale.x(size)}" y="{_HEIGHT + 18}">{size}</text>'
    yield f'<text class="middle" x="{_WIDTH / 2}" y="{_HEIGHT + 38}">hidden size</text>'
    for line in series:
        places = [(scale.x(size), *map(scale.y, ratios)) for size, *ratios in line.points]
        band = [(x, most) for x, _, _, most in places] + [(x, least) for x, least, _, _ in reversed(places)]
        yield f'<polygon class="{line.style} band" points="{_joined(band)}"/>'
        yield f'<polyline class="{line.style} median" points="{_joined([(x, y) for x, _, y, _ in places])}"/>'
        for x, _, y, _ in places:
            yield f'<circle class="{line.style} dot" cx="{x}" cy="{y}" r="3.5"/>'


def _fraction(mark: float) -> str:
    return f"{mark:g}" if mark >= 1 else f"1/{1 / mark:g}"


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
