"""Load a model, stream it: numpy, and no torch."""

from __future__ import annotations

from elman.runtime.model import Model, load
from elman.runtime.stream import Stream

__all__ = ["Model", "Stream", "load"]
