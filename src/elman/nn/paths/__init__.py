"""The ways that a layer can take to its result: fused kernels, the reference, segments computed again."""

from __future__ import annotations
