"""A text made small by what a model expects of it, and restored bit for bit, without torch."""

from __future__ import annotations
