"""Learning curves: read from metrics, drawn as a figure and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elman.formats.atomic import atomic_write

_MARKS = "*o+x#@"


@dataclass(frozen=True)
class Curve:
    """Bits per character of the held-out part over time: (seconds, bits) in the order of the run."""

    name: str
    points: tuple[tuple[float, float], ...]


def read_curve(name: str, metrics: Path) -> Curve:
    """The validations that a run's metrics tell of."""
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    held_out = [line for line in lines if line["kind"] == "validation"]
    return Curve(name, tuple((line["seconds"], line["bits_per_character"]) for line in held_out))


def draw(path: Path, curves: Sequence[Curve], levels: Mapping[str, float], title: str) -> None:
    """Draw curves as a figure, with horizontal lines for models that do not learn over time.

    Args:
        path: a file whose ending matplotlib knows; written whole or not at all.
        curves: one line each.
        levels: bits per character by name.
        title: stands above.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot(*zip(*curve.points, strict=True), marker=".", label=curve.name)
    for (name, bits), dashes in zip(levels.items(), ("--", "-.", ":") * len(levels), strict=False):
        axes.axhline(bits, linestyle=dashes, color="grey", linewidth=1, label=name)
    axes.set(xlabel="seconds of training", ylabel="bits per character, held out", title=title)
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=150)


def plot(curves: Sequence[Curve], width: int = 64, height: int = 14) -> str:
    """Draw curves with characters: bits upwards, seconds to the right, a mark for each curve, the later one on top."""
    times = [time for curve in curves for time, _ in curve.points]
    bits = [value for curve in curves for _, value in curve.points]
    low, high, end = min(bits), max(bits), max(times)
    grid = [[" "] * width for _ in range(height)]
    for curve, mark in zip(curves, _MARKS * len(curves), strict=False):
        for time, value in curve.points:
            row = round((high - value) / ((high - low) or 1.0) * (height - 1))
            grid[row][round(time / (end or 1.0) * (width - 1))] = mark
    lines = [f"{'bits':>6}"]
    for row, cells in enumerate(grid):
        labelled = row % 4 == 0 or row == height - 1
        edge = f"{high - (high - low) * row / (height - 1):6.2f}" if labelled else " " * 6
        lines.append(f"{edge} |{''.join(cells)}".rstrip())
    lines.append(f"{'':6} +{'-' * width}")
    lines.append(f"{'':6}  0{f'{end:.0f} seconds':>{width - 1}}")
    legend = "   ".join(f"{mark} {curve.name}" for curve, mark in zip(curves, _MARKS * len(curves), strict=False))
    return "\n".join([*lines, f"{'':8}{legend}"])
