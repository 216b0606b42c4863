"""Sequences in memory on their way to the kernels: ragged batches, lane plans, streams.

`lanes` holds the builders of plans (`lanes.dense`, `lanes.ragged`, `lanes.packed`).
"""

from __future__ import annotations

from elman.sequences import lanes
from elman.sequences.lanes import LanePlan
from elman.sequences.ragged import Ragged
from elman.sequences.streams import Chunk, Streams

__all__ = ["Chunk", "LanePlan", "Ragged", "Streams", "lanes"]
