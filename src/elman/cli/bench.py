"""elman bench"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tyro.conf import OmitArgPrefixes, arg

from elman.bench import ceilings
from elman.bench import report as reports
from elman.bench.chart import check_format, draw
from elman.bench.summary import summary
from elman.cli.bench_settings import BenchSettings
from elman.cli.progress import say
from elman.cli.status import ExitStatus
from elman.cli.targets import check_target
from elman.errors import ConfigError
from elman.kernels.ceilings import compute_rate

if TYPE_CHECKING:
    from elman.bench.rows import Case

_MOVED = 0.05  # a change of the machine's peak that is worth a word


def bench(
    *,
    json: Path | None = None,
    read: Path | None = None,
    chart: Path | None = None,
    settings: Annotated[OmitArgPrefixes[BenchSettings], arg(name="")] = BenchSettings(),  # noqa: B008 (frozen)
) -> int:
    """Measure Elman beside its peers in one process, and against what this machine gives at most.

    First the machine's ceilings are measured, then every case in alternating pairs. A case whose results differ from
    the peer's gets no time. At the end stand the figures by group beside their goals, and where a peer is faster.

    Args:
        json: write machine, ceilings and rows to this file, after every case.
        read: measure nothing, take the rows from this file.
        chart: draw the layers in this file: .svg, .png or .pdf.
        settings: what to measure.
    """
    if read and (json or settings != BenchSettings()):
        raise ConfigError("--read takes all rows of a file and measures nothing: beside it only --chart has a meaning")
    if chart and "layers" not in settings.suites:
        raise ConfigError("--chart draws the layers: add layers to --suites")
    check_target("--json", json)
    check_target("--chart", chart)
    if chart:
        check_format(chart)
    report = reports.load(read) if read else _measure(settings, json)
    for text in summary(report.rows):
        print(text)
    if chart:
        draw(chart, report.rows, report.about())
        say(f"the chart: {chart}")
    return ExitStatus.OK


def _measure(settings: BenchSettings, json: Path | None) -> reports.Measurements:
    """Measure everything, row by row to standard output, case by case into the file."""
    from elman.bench import run  # brings torch, which `elman --help` does not need

    options = settings.options()
    todo = run.cases(settings.suites, options)
    if not todo:
        raise ConfigError("no suite has such cases: --suites, --cells, --modes and --dtypes leave nothing to measure")
    say("measuring the machine's ceilings")
    report = reports.Measurements(ceilings.measure(options.threads), reports.machine(), settings.versions())
    print("\n".join([*report.heading(), "", reports.title()]), flush=True)
    with _progress(todo) as cases:
        for done, case in enumerate(cases):
            try:
                for row in run.measure(case, options, report.ceilings):
                    report.rows.append(row)
                    print(reports.line(row), flush=True)
            except KeyboardInterrupt:
                kept = f"; {json} holds what was measured" if json else ""
                raise KeyboardInterrupt(f"interrupted after {done} of {len(todo)} cases{kept}") from None
            finally:
                if json:
                    report.save(json)
    _check_peak(report, options.threads[-1])
    return report


@contextmanager
def _progress(todo: Sequence[Case]) -> Iterator[Iterator[Case]]:
    """The cases one by one; on a terminal with a line that says how far this is, elsewhere the rows tell it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    # Drawn between cases only: a thread that draws would take time from what is timed.
    shown = Progress(*columns, console=console, disable=not console.is_terminal, transient=True, auto_refresh=False)
    with shown as progress:
        task = progress.add_task("", total=len(todo))

        def cases() -> Iterator[Case]:
            for case in todo:
                progress.update(task, description=str(case), refresh=True)
                yield case
                progress.advance(task)

        yield cases()


def _check_peak(report: reports.Measurements, threads: int) -> None:
    """Say so where the machine is not as fast any more as it was: shares of its peak mean little then."""
    before = report.ceilings.compute["float32"][threads]
    after = compute_rate(threads)
    if abs(after / before - 1) > _MOVED:
        say(
            f"the machine's peak (threads: {threads}) was {before / 1e9:.0f} GFLOP/s at the beginning and is "
            f"{after / 1e9:.0f} now: other work on it? shares of the peak mean little"
        )
