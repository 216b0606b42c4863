"""Numbers that a cell's author gives: Python's or numpy's, as floats."""

from __future__ import annotations

import math
from numbers import Integral, Real


def finite(value: object) -> float | None:
    """A real number that floats can hold, or None. True and False are no numbers."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def option(value: object) -> float | None:
    """A hyper-parameter, or None where it can be none: whole numbers count loops, True and False choose equations."""
    if isinstance(value, bool):
        return value
    number = finite(value)
    return int(value) if number is not None and isinstance(value, Integral) else number
