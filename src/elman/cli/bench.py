"""elman bench"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from elman.bench import ceilings
from elman.bench import peers as known
from elman.bench import report as reports
from elman.bench.chart import draw
from elman.bench.options import Options
from elman.bench.summary import summary
from elman.cli.progress import say
from elman.cli.status import ExitStatus
from elman.errors import ConfigError
from elman.kernels.ceilings import compute_rate

if TYPE_CHECKING:
    from elman.bench.rows import Case

Suite = Literal["layers", "ragged", "cells", "steps", "text", "long", "loss"]
Mode = Literal["infer", "train", "stream"]

_MOVED = 0.05  # a change of the machine's peak that is worth a word
_PAIRS = 5
_QUICK_SECONDS, _QUICK_PAIRS = 0.1, 3


def bench(
    *,
    suites: tuple[Suite, ...] = ("layers", "ragged", "cells", "steps", "text", "long", "loss"),
    threads: tuple[int, ...] = (),
    cells: tuple[Literal["lstm", "gru", "elman"], ...] = (),
    modes: tuple[Mode, ...] = ("infer", "train", "stream"),
    hidden: tuple[int, ...] = (),
    batch: tuple[int, ...] = (),
    steps: int = 0,
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16"),
    peers: tuple[str, ...] = (),
    seconds: float = 0.5,
    quick: bool = False,
    json: Path | None = None,
    read: Path | None = None,
    chart: Path | None = None,
) -> int:
    """Measure Elman beside its peers in one process, and against what this machine gives at most.

    First the machine's ceilings are measured, then every case in alternating pairs. A case whose results differ from
    the peer's gets no time. At the end stand the figures by group beside their goals, and where a peer is faster.

    Args:
        suites: layers are LSTM, GRU and Elman over dense batches; ragged, sequences of unequal length; cells, equations
            of a user's own; steps, one sequence; text, training on characters end to end; long, one sequence in bounded
            memory; loss, the head of a language model.
        threads: numbers of threads, each for both sides; by default 1 and all cores.
        cells: which recurrences; by default all that a suite has.
        modes: infer is forward, train forward and backward (the input needs no gradient), stream a call for each step.
        hidden: hidden sizes, H; by default those of each suite. The input is as wide.
        batch: sequences side by side, B; by default those of each suite.
        steps: steps of a sequence, T; by default those of each suite.
        dtypes: of the arithmetic; bfloat16 by autocast.
        peers: whom to compare with, of torch, torch.compile, onnxruntime and jax; by default all that are installed.
        seconds: about how long each pair is timed.
        quick: fewer sizes, all cores, shorter times, no torch.compile unless it is named: within a minute.
        json: write machine, ceilings and rows to this file, after every case.
        read: measure nothing, take the rows from this file.
        chart: draw the layers as an SVG file.
    """
    if read:
        report = reports.load(read)
    else:
        found = known.choose(peers)
        if quick and not peers:
            found.pop("torch.compile", None)  # compiling alone takes longer than all else
        fallback = (ceilings.cores(),) if quick else tuple(sorted({1, ceilings.cores()}))
        options = Options(
            cells,
            modes,
            dtypes,
            hidden,
            batch,
            threads or fallback,
            tuple(found),
            steps,
            seconds=min(seconds, _QUICK_SECONDS) if quick else seconds,
            least=_QUICK_PAIRS if quick else _PAIRS,
            quick=quick,
        )
        report = _measure(suites, options, found, json)
    for text in summary(report.rows):
        print(text)
    if chart:
        draw(chart, report.rows)
        say(f"the chart: {chart}")
    return ExitStatus.OK


def _measure(suites: Sequence[str], options: Options, peers: dict[str, str], json: Path | None) -> reports.Report:
    """Measure everything, row by row to standard output, case by case into the file."""
    from elman.bench import run  # brings torch, which `elman --help` does not need

    todo = run.cases(suites, options)
    if not todo:
        raise ConfigError("no suite has such cases: --suites, --cells, --modes and --dtypes leave nothing to measure")
    say("measuring the machine's ceilings")
    report = reports.Report(ceilings.measure(options.threads), reports.machine(), peers)
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


def _check_peak(report: reports.Report, threads: int) -> None:
    """Say so where the machine is not as fast any more as it was: shares of its peak mean little then."""
    before = report.ceilings.compute["float32"][threads]
    after = compute_rate(threads)
    if abs(after / before - 1) > _MOVED:
        say(
            f"the machine's peak (threads: {threads}) was {before / 1e9:.0f} GFLOP/s at the beginning and is "
            f"{after / 1e9:.0f} now: other work on it? shares of the peak mean little"
        )
