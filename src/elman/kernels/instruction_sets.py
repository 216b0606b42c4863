"""Which instruction set is used: an engine keeps the one that was in use when it was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from elman.errors import KernelError
from elman.kernels import _kernels
from elman.kernels._kernels import Isa

_ISAS = {isa.name: isa for isa in _kernels.available_isas()}
_DEFAULT = _kernels.default_isa()
_in_use: ContextVar[Isa] = ContextVar("elman_isa", default=_DEFAULT)


def available_isas() -> list[str]:
    """The instruction sets that were compiled in and run here, narrowest first."""
    return list(_ISAS)


def isa_in_use() -> Isa:
    """What an engine that is made now will use."""
    return _in_use.get()


def isa() -> str:
    """The name of the instruction set in use."""
    return _in_use.get().name


@contextmanager
def forced_isa(name: str) -> Iterator[None]:
    """Make engines for one instruction set, of `available_isas()`, inside a block, in this thread or task alone.

    Raises:
        KernelError: it is not available here.
    """
    if name not in _ISAS:
        raise KernelError(
            f"the instruction set {name!r} is not available here; available: {', '.join(available_isas())}"
        )
    before = _in_use.set(_ISAS[name])
    try:
        yield
    finally:
        _in_use.reset(before)
