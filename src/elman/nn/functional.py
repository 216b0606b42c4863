"""Functions behind the layers that are no recurrence."""

from __future__ import annotations

from elman.nn.cross_entropy import linear_cross_entropy
from elman.nn.linear import linear

__all__ = ["linear", "linear_cross_entropy"]
