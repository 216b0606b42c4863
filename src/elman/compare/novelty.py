"""What is new in a text that a model wrote, and what it only repeats."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")


def known_words(sample: str, text: str) -> float:
    """The share of the sample's words (runs of letters) that occur as words of `text`; 1.0 where it has none."""
    known = set(_WORD.findall(text))
    words = _WORD.findall(sample)
    return sum(word in known for word in words) / len(words) if words else 1.0


def longest_copy(sample: str, text: str) -> str:
    """The longest span of the sample that occurs in `text`, the first of several."""
    best, begin = 0, 0
    for start in range(len(sample)):
        while start + best < len(sample) and sample[start : start + best + 1] in text:
            best, begin = best + 1, start
    return sample[begin : begin + best]
