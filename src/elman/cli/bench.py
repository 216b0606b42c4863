"""elman bench"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from elman.bench.options import Options
from elman.bench.report import Report, line, title
from elman.cli.progress import say
from elman.cli.status import ExitStatus
from elman.errors import ConfigError

Cell = Literal["lstm", "gru", "elman"]
Suite = Literal["layers"]


def bench(
    *,
    suites: tuple[Suite, ...] = ("layers",),
    threads: tuple[int, ...] = (),
    cells: tuple[Cell, ...] = ("lstm", "gru", "elman"),
    modes: tuple[Literal["infer", "train"], ...] = ("infer", "train"),
    hidden: tuple[int, ...] = (),
    batch: tuple[int, ...] = (),
    steps: int = 0,
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32",),
    peers: tuple[str, ...] = ("torch",),
    seconds: float = 0.5,
    quick: bool = False,
    json: Path | None = None,
) -> int:
    """Measure Elman beside its peers, and against what this machine gives at most.

    A case whose results differ from a peer's is not timed. Ctrl-C leaves what was measured so far.

    Args:
        suites: which groups of cases.
        threads: numbers of threads, each for both sides; by default 1 and all cores.
        cells: which recurrences.
        modes: infer is forward, train forward and backward; the input needs no gradient.
        hidden: hidden sizes, H; the input is as wide.
        batch: sequences side by side, B.
        steps: steps of a sequence, T; by default 100, fewer for large cases.
        dtypes: of the arithmetic; bfloat16 by autocast.
        peers: whom to compare with.
        seconds: about how long each pair is timed.
        quick: fewer sizes, shorter times: within a minute.
        json: write the rows to this file.
    """
    options = Options(
        cells,
        modes,
        dtypes,
        hidden or ((128, 512) if quick else (32, 64, 128, 256, 512, 1024)),
        batch or ((1, 32) if quick else (1, 8, 16, 32, 64, 128)),
        threads or tuple(sorted({1, len(os.sched_getaffinity(0))})),
        peers,
        steps,
        min(seconds, 0.2) if quick else seconds,
        quick,
    )
    from elman.bench import ceilings, run  # brings torch, which `elman --help` does not need

    todo = run.cases(suites, options)
    if not todo:
        raise ConfigError("these options leave no case to measure")
    say("measuring the machine's ceilings")
    report = Report(ceilings.measure(options.threads))
    for text in report.heading():
        print(text)
    print(title(), flush=True)
    for measured in run.run(todo, options, report.ceilings):
        for row in measured.rows:
            print(line(row), flush=True)
        report.add(measured.rows)
        if json:
            report.save(json)
    return ExitStatus.OK
