"""Arrays from what callers give, or the knowledge that none can be made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.checks import shown
from elman.errors import DtypeError

_INT64 = np.dtype(np.int64)


def as_array(given: Any, dtype: Any = None) -> NDArray[Any] | None:
    """The array that numpy makes of it; None where it makes none (unlike lengths, other kinds, a tensor in a graph)."""
    try:
        return np.asarray(given, dtype)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        return None


def as_tokens(given: Any) -> NDArray[np.int64]:
    """Tokens [B] as int64; DtypeError where they are no whole numbers."""
    if type(given) is np.ndarray and given.dtype is _INT64 and given.ndim == 1:
        return given
    values = as_array(given) if isinstance(given, np.ndarray | list | tuple) else None
    if values is None or values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise DtypeError(f"tokens must be whole numbers [B], got {shown(given)}")
    return values.astype(np.int64)
