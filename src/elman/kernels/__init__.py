"""The typed door to the kernels: engines for cells, plans, instruction sets and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from elman.errors import KernelError
from elman.kernels import _kernels
from elman.kernels._kernels import Plan, team
from elman.kernels.bound import BoundKernel, Forward, Held, Packed
from elman.kernels.engine import Engine, engine_for
from elman.kernels.instruction_sets import available_isas, forced_isa, isa
from elman.kernels.linear import LinearKernel, linear_for
from elman.kernels.memory import Block, Rows, StateMemory, Targets, Weight
from elman.kernels.precision import Precision

__all__ = [
    "Block", "BoundKernel", "Engine", "Forward", "Held", "LinearKernel", "Packed", "Plan", "Precision", "Rows",
    "StateMemory", "Targets", "Weight", "available_isas", "default_threads", "engine_for", "forced_isa", "isa",
    "linear_for", "poisoned", "team",
]  # fmt: skip

if _kernels.isa_error():
    raise KernelError(_kernels.isa_error())


def default_threads() -> int:
    """ELMAN_NUM_THREADS (KernelError where that is no number), or the cores that this process may use."""
    count = _kernels.default_threads()
    if count < 1:
        raise KernelError(
            f"ELMAN_NUM_THREADS must be a positive whole number, got {os.environ.get('ELMAN_NUM_THREADS')!r}"
        )
    return count


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill scratch memory with NaN before every use inside a with block: for tests."""
    _kernels.poison(True)
    try:
        yield
    finally:
        _kernels.poison(False)
