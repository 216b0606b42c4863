"""How a run is shown while it goes on: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from elman.train.reports import StepReport

SILENCE = 15.0  # seconds after which a line is due where there is no terminal


def say(message: str) -> None:
    """Talk: one line on standard error, where anybody still listens."""
    with suppress(OSError, ValueError):  # a terminal that is closed, a reader that has left
        print(message, file=sys.stderr, flush=True)


def describe(report: StepReport) -> str:
    """A run in one line, what matters most first: the measure, time, speed."""
    held_out = [] if report.best is None else [f"held out {report.best:.3f}"]
    parts = [
        *held_out,
        f"training {report.loss:.3f} {report.unit}",
        f"{_clock(report.seconds_left)} left",
        f"{report.tokens_per_second:,.0f} tokens/s",
        f"step {report.step:,}",
    ]
    return " · ".join(parts)


def measured(name: str, report: StepReport) -> str:
    """One measuring of the held-out part, as a line of the run's history."""
    mark = " best" if report.validation == report.best else ""
    shown = f"{report.validation:.3f} {report.unit} held out, {report.loss:.3f} in training"
    return f"{name}: {report.progress:4.0%} · step {report.step:,} · {shown}{mark}"


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class ProgressLine:
    """Shows the reports of one run, on standard error. A context; to be called with each report.

    On a terminal a live line, and above it a line that stays for each time that the held-out part was measured.
    Elsewhere plain lines: at once, at each measuring, and when nothing was said for a while.

    Args:
        name: of the run.
        console: where to.
        clock: seconds that pass, from anywhere.
    """

    def __init__(self, name: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._clock = clock
        self._said = -math.inf

    def __enter__(self) -> ProgressLine:
        if self._console.is_terminal:
            line = TextColumn("{task.fields[line]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
            self._progress = Progress(TextColumn("{task.description}"), BarColumn(12), line, console=self._console)
            self._task = self._progress.add_task(self.name, total=1.0, line="")
            self._progress.start()
        return self

    def __call__(self, report: StepReport) -> None:
        """Show a report."""
        if self._progress is not None:
            self._progress.update(self._task, completed=report.progress, line=describe(report))
            if report.validation is not None:
                self._console.print(measured(self.name, report), highlight=False, markup=False, soft_wrap=True)
        elif report.validation is not None or self._clock() - self._said >= SILENCE:
            self._said = self._clock()
            say(f"{self.name}: {report.progress:4.0%} · {describe(report)}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            with suppress(OSError):  # the terminal is closed
                self._progress.stop()
