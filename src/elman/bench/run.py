"""From options to rows: every case of the suites that are asked for."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import torch

from elman.bench import decoding, layers, long_sequences, losses, ragged, single_steps, text, user_cells
from elman.bench.ceilings import Ceilings
from elman.bench.contest import NoContest, compete
from elman.bench.rows import Case, Row
from elman.bench.sweep import Sweep

_THREADS = "ELMAN_NUM_THREADS"

# Each has cases(options) and prepare(case, peers).
SUITES: Mapping[str, ModuleType] = {
    "layers": layers,
    "ragged": ragged,
    "cells": user_cells,
    "steps": single_steps,
    "text": text,
    "long": long_sequences,
    "loss": losses,
    "decode": decoding,
}


def cases(suites: Sequence[str], options: Sweep) -> list[Case]:
    """All cases, those with one number of threads together."""
    found = [case for name in suites for case in SUITES[name].cases(options)]
    return sorted(found, key=lambda case: options.threads.index(case.threads))


def measure(case: Case, options: Sweep, ceilings: Ceilings) -> Iterator[Row]:
    """The rows of a case. Leaves torch and the runtime with the numbers of threads that they had."""
    threads, named = torch.get_num_threads(), os.environ.get(_THREADS)
    torch.set_num_threads(case.threads)
    os.environ[_THREADS] = str(case.threads)  # what streams and decoders read
    try:
        contest = SUITES[case.suite].prepare(case, options.peers)
        yield from compete(contest, ceilings, options.seconds, options.least)
    except NoContest as reason:
        yield Row.refuse(case, "", str(reason))
    finally:
        torch.set_num_threads(threads)
        if named is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = named
        gc.collect()  # weights and activations, before the next case
