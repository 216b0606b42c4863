"""Sequences from models: decoders over anything that steps, without torch."""

from __future__ import annotations

from elman.decode.sample import sample

__all__ = ["sample"]
