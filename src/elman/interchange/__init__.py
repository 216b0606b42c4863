"""Weights and models in the layouts of others, in and out: a file for each, none of which needs the other's library."""

from __future__ import annotations
