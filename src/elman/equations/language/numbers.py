"""Numbers that a cell's author gives: Python's or numpy's, as floats."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from elman.equations.graph.limits import LARGEST


def finite(value: Any) -> float | None:
    """A real number that float32 can hold, or None. True and False are no numbers."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return float(value) if is_number and -LARGEST <= value <= LARGEST else None


def option(value: object) -> float | None:
    """A hyper-parameter, or None where it can be none: whole numbers count loops, True and False choose equations."""
    if isinstance(value, bool):
        return value
    number = finite(value)
    return int(value) if number is not None and isinstance(value, Integral) else number
