"""Files on their way into numbers: readers, datasets, vocabularies, splits; no network is known here (numpy)."""

from __future__ import annotations

from elman.data.dataset import Dataset
from elman.data.text import read_text
from elman.data.vocabulary import Vocabulary

__all__ = ["Dataset", "Vocabulary", "read_text"]
