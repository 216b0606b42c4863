import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import Vocabulary
from elman.errors import DataError, FormatError


@given(st.text(min_size=1))
def test_characters_round_trip_through_tokens_and_json(text):
    vocabulary = Vocabulary.characters(text)
    tokens = vocabulary.encode(text)
    assert tokens.dtype == np.int64
    assert sorted(set(tokens.tolist())) == list(range(len(vocabulary)))
    assert [vocabulary.symbols[token] for token in tokens] == list(text)
    assert vocabulary.decode(tokens) == text
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


@given(st.text(st.characters(codec="utf-8")), st.data())
def test_bytes_take_any_text_and_a_stream_of_them_gives_it_back(text, data):
    vocabulary = Vocabulary.bytes()
    tokens = vocabulary.encode(text)
    assert len(vocabulary) == 256
    assert tokens.tolist() == list(text.encode())
    assert vocabulary.decode(tokens) == text
    decode, at = vocabulary.decoder(), data.draw(st.integers(0, len(tokens)))
    assert decode(tokens[:at]) + decode(tokens[at:]) + decode([], True) == text


@given(st.binary())
def test_any_bytes_are_encoded(raw):
    assert Vocabulary.bytes().encode(raw).tolist() == list(raw)


def test_broken_bytes_are_shown_as_replacement_characters():
    assert Vocabulary.bytes().decode([0x61, 0xFF, 0x62]) == "a\ufffdb"


def test_a_character_decoder_streams_as_well():
    decode = Vocabulary.characters("abc").decoder()
    assert decode([0]) + decode([2, 1]) + decode([], True) == "acb"


@pytest.mark.parametrize(
    ("text", "word", "position"), [("abz", "'z'", 2), ("A", "'A'", 0), ("ab\U0010ffffz", "U+10FFFF", 2)]
)
def test_an_unknown_character_is_named_with_its_position(text, word, position):
    with pytest.raises(DataError) as refused:
        Vocabulary.characters("abc").encode(text)
    assert word in str(refused.value)
    assert f"position {position} " in str(refused.value)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: Vocabulary.characters(""), "at least one"),
        (lambda: Vocabulary.characters("ab").encode(b"ab"), "got bytes"),
        (lambda: Vocabulary.characters("ab").decode([0, 2]), r"0 \.\.\. 1, got 0 \.\.\. 2"),
        (lambda: Vocabulary.bytes().decode([-1]), r"0 \.\.\. 255, got -1"),
        (lambda: Vocabulary.bytes().decode([0.5]), "integers"),
        (lambda: Vocabulary.bytes().encode("a\ud800"), "position 1 has no UTF-8 form"),
        (lambda: Vocabulary("words"), "kind"),
        (lambda: Vocabulary("bytes", "ab"), "no symbols"),
        (lambda: Vocabulary("characters", "ba"), "rising"),
        (lambda: Vocabulary("characters", "aa"), "once"),
    ],
)
def test_what_makes_no_sense_is_refused(act, words):
    with pytest.raises(DataError, match=words):
        act()


@pytest.mark.parametrize(
    "data", [{}, [], None, {"kind": "characters"}, {"kind": "characters", "symbols": "ba"}, {"kind": 1, "symbols": ""}]
)
def test_json_of_something_else_is_refused(data):
    with pytest.raises(FormatError, match="vocabulary"):
        Vocabulary.from_json(data)
