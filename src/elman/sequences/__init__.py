"""Sequences on their way to the kernels: ragged batches, lane plans, vocabularies, readers, streams.

`lanes` holds the builders of plans (`lanes.dense`, `lanes.ragged`, `lanes.packed`).
"""

from __future__ import annotations

from elman.sequences import lanes
from elman.sequences.lanes import LanePlan
from elman.sequences.ragged import Ragged
from elman.sequences.readers import read_text
from elman.sequences.streams import Chunk, Streams
from elman.sequences.vocabulary import Vocabulary

__all__ = ["Chunk", "LanePlan", "Ragged", "Streams", "Vocabulary", "lanes", "read_text"]
