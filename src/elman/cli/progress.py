"""How a run is shown while it goes on: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from elman.train.reports import StepReport


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


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class ProgressLine:
    """Shows the reports of one run, on standard error. A context; to be called with each report."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self._console = console or Console(stderr=True)
        self._progress: Progress | None = None

    def __enter__(self) -> ProgressLine:
        if self._console.is_terminal:
            line = TextColumn("{task.fields[line]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
            self._progress = Progress(TextColumn("{task.description}"), BarColumn(12), line, console=self._console)
            self._task = self._progress.add_task(self.name, total=1.0, line="")
            self._progress.start()
        return self

    def __call__(self, report: StepReport) -> None:
        """Show a report: at once on a terminal, elsewhere only where the held-out part was measured."""
        if self._progress is not None:
            self._progress.update(self._task, completed=report.progress, line=describe(report))
        elif report.validation is not None:
            say(f"{self.name}: {report.progress:4.0%} · {describe(report)}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            with suppress(OSError):  # the terminal is closed
                self._progress.stop()
