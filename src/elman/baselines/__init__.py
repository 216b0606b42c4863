"""What a network must beat: n-grams, which only count."""

from __future__ import annotations
