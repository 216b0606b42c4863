"""What a sample repeats."""

from __future__ import annotations

import random

from elman.compare.novelty import known_words, longest_copy


def test_known_words() -> None:
    text = "The cat's whiskers, naïve_and 42 grey."
    assert known_words("whiskers The grey", text) == 1.0
    assert known_words("the cat", text) == 0.5
    assert known_words("whisker 42 cat naïve", text) == 2 / 3
    assert known_words("42 ...", text) == 1.0


def test_longest_copy() -> None:
    assert longest_copy("xxhello worldxx", "say hello world now") == "hello world"
    assert longest_copy("abc", "xyz") == ""
    assert longest_copy("", "xyz") == ""
    assert longest_copy("abab", "ab") == "ab"
    assert longest_copy("abcd", "abcd") == "abcd"


def test_longest_copy_against_all_spans() -> None:
    draw = random.Random(0)
    for _ in range(50):
        sample, text = ("".join(draw.choices("ab", k=length)) for length in (20, 40))
        spans = [sample[i:j] for i in range(20) for j in range(i, 21) if sample[i:j] in text]
        assert len(longest_copy(sample, text)) == max(map(len, spans))
        assert longest_copy(sample, text) in text
