"""One long sequence: training in the memory of the square root of its steps, beside our own training that keeps all."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from elman.bench.contest import Contest
from elman.bench.layers import GATES, operations, pair_of_layers
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import side

_INPUTS = 8


def cases(options: Sweep) -> list[Case]:
    """A hundred thousand steps."""
    steps = 10_000 if options.quick else 100_000
    return list(options.cases("long", cells=tuple(GATES), modes=("train",), hidden=(64,), batch=(1,), steps=steps))


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """The same layer twice. What is made a second time in backward is no operation that is counted."""
    _, plain = pair_of_layers(case, _INPUTS)
    ours = copy.deepcopy(plain)
    ours.checkpoint = "sqrt"
    x = torch.randn(case.steps, case.batch, _INPUTS)
    return Contest(
        case,
        side(ours, lambda: ours(x)[0], case),
        {"elman plain": lambda: side(plain, lambda: plain(x)[0], case)},
        operations(case, case.mode, _INPUTS, case.steps * case.batch),
    )
