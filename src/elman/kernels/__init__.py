"""The typed door to the kernels: engines for cells, plans, instruction sets and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from elman.errors import KernelError
from elman.kernels import _kernels
from elman.kernels._kernels import Plan, available_isas, default_threads, isa, team
from elman.kernels.engine import Block, Engine, Forward, Packed, Rows, StateMemory, Weight, engine

__all__ = [
    "Block", "Engine", "Forward", "Packed", "Plan", "Rows", "StateMemory", "Weight", "available_isas", "default_threads", "engine",
    "forced_isa", "isa", "poisoned", "team",
]  # fmt: skip

if _kernels.isa_error():
    raise KernelError(_kernels.isa_error())


@contextmanager
def forced_isa(name: str) -> Iterator[None]:
    """Use one instruction set ("generic", "avx2", "avx512", "neon") inside a with block. Raises KernelError for one not here."""
    before = isa()
    problem = _kernels.select_isa(name)
    if problem:
        raise KernelError(problem)
    try:
        yield
    finally:
        _kernels.select_isa(before)


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill scratch memory with NaN before every use inside a with block: for tests."""
    _kernels.poison(True)
    try:
        yield
    finally:
        _kernels.poison(False)
