"""Files and texts on their way into numbers: readers and vocabularies; no network is known here (numpy)."""

from __future__ import annotations

from elman.data.text import read_text
from elman.data.vocabulary import Vocabulary

__all__ = ["Vocabulary", "read_text"]
