"""Training: the loop, its run folder, checkpoints and exact resume (torch; settings and folders do without)."""

from __future__ import annotations
