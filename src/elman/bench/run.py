"""From options to rows: every case of the suites that are asked for."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import torch

from elman.bench import layers
from elman.bench.ceilings import Ceilings
from elman.bench.contest import Refused, compete
from elman.bench.options import Options
from elman.bench.rows import Case, Row

# Each has cases(options) and prepare(case, peers).
SUITES: Mapping[str, ModuleType] = {"layers": layers}


@dataclass(frozen=True)
class Measured:
    """The rows of one case, and how far the whole has come."""

    case: Case
    rows: tuple[Row, ...]
    done: int
    total: int


def cases(suites: Sequence[str], options: Options) -> list[Case]:
    """All cases, those with one number of threads together."""
    found = [case for name in suites for case in SUITES[name].cases(options)]
    return sorted(found, key=lambda case: options.threads.index(case.threads))


def run(todo: Sequence[Case], options: Options, ceilings: Ceilings) -> Iterator[Measured]:
    """Measure case by case. Leaves torch with the number of threads that it had."""
    threads = torch.get_num_threads()
    try:
        for done, case in enumerate(todo, 1):
            torch.set_num_threads(case.threads)
            yield Measured(case, _measure(case, options, ceilings), done, len(todo))
            gc.collect()  # weights and activations of the case, before the next one
    finally:
        torch.set_num_threads(threads)


def _measure(case: Case, options: Options, ceilings: Ceilings) -> tuple[Row, ...]:
    try:
        contest = SUITES[case.suite].prepare(case, options.peers)
        return tuple(compete(contest, ceilings, options.seconds))
    except Refused as reason:
        return (Row.refuse(case, "any", str(reason)),)
