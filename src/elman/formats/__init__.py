"""Files: the safetensors layout, atomic writes, the model file."""

from __future__ import annotations

from elman.formats.atomic import atomic_write

__all__ = ["atomic_write"]
