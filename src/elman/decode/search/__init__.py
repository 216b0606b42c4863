"""The searchers: how hypotheses grow, and which are kept: greedy, drawing, beams, and an exact search."""

from __future__ import annotations
