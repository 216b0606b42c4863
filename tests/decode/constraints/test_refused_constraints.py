"""Constraints that cannot be read, or can never be met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman.decode import Allowed, Infix, Lexicon, Options, Prefix, Regex, Spelling, TableStepper, decode
from elman.errors import ConfigError
from tests.decode.small import markov


def stepper() -> TableStepper:
    return markov(4, 7, sharp=1.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": (Regex("x+"),)}, "can never be met"),
        ({"constraints": (Regex("[^\\s\\S]"),)}, "can never be met"),
        ({"constraints": (Regex("a+"), Infix("b"))}, "can never be met"),
        ({"constraints": (Lexicon(("xyz",)),)}, "1 of the lexicon's 1 words have .*: 'xyz'; no word is left"),
        ({"constraints": (Lexicon(("a",), ","),)}, "the separator ',' has characters that no token writes"),
        ({"constraints": (Allowed("xyz"),)}, "no token writes any of the allowed characters 'xyz'"),
        ({"constraints": (Prefix((True,)),)}, r"the prefix must be text, or tokens 0 … 3, got \(True,\)"),
        ({"constraints": (Infix((1.0,)),)}, r"the infix must be text, or tokens 0 … 3, got \(1.0,\)"),
        ({"constraints": (Prefix((-1,)),)}, r"the prefix must be text, or tokens 0 … 3, got \(-1,\)"),
        ({"constraints": (Regex("a{4}"),), "max_length": 3}, "cannot be met by 0 … 3 tokens; .* has 4"),
        ({"constraints": (Regex("ab"),), "min_length": 3}, "cannot be met by 3 … 5 tokens"),
        ({"constraints": (Prefix("xy"),)}, "the prefix 'xy' has characters that no token writes"),
        ({"constraints": (Infix("x"),)}, "the infix 'x' has characters that no token writes"),
        ({"constraints": (Prefix((9,)),)}, r"the prefix must be text, or tokens 0 … 3, got \(9,\)"),
        ({"constraints": (Allowed((-1,)),)}, "the allowed tokens must be text, or tokens 0 … 3"),
        ({"constraints": (Infix((0.5,)),)}, r"the infix must be text, or tokens 0 … 3, got \(0.5,\)"),
        ({"constraints": (Prefix(5),)}, "the prefix must be text, or tokens 0 … 3, got 5"),
    ],
)
def test_what_can_never_be_met(options: dict[str, Any], message: str) -> None:
    for strategy in ("greedy", "sample", "beam", "exact"):
        with pytest.raises(ConfigError, match=message):
            decode(stepper(), [[0]], Options(strategy=strategy, **({"max_length": 5} | options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(a", r"position 0: '\(' without its '\)'"),
        ("a)", r"position 1: '\)' without its '\('"),
        ("[a", r"position 0: '\[' without its '\]'"),
        ("*a", "'\\*' has nothing to repeat"),
        ("a**", "a repetition of a repetition"),
        ("a*?", "a repetition of a repetition"),
        ("a{2", r"\{m\}, \{m,\}, \{,n\} or \{m,n\} expected"),
        ("a{x}", r"\{m\}, \{m,\}, \{,n\} or \{m,n\} expected"),
        ("a{3,2}", "the second number is the smaller one"),
        ("a{1234567890}", "a repetition of at most 9 digits"),
        ("^a", "the whole text is matched anyway"),
        ("a$", "the whole text is matched anyway"),
        (r"(a)\1", r"\\1 is not known here"),
        (r"\bb", r"\\b is not known here"),
        ("(?=a)", "look-around"),
        ("[b-a]", "the range b-a runs backwards"),
        (r"[\d-z]", "a range needs one character at each end"),
        (r"\xg0", "2 hexadecimal digits"),
        (r"\u12", "4 hexadecimal digits"),
        ("a\\", "it ends too early"),
        ("(" * 51 + ")" * 51, "position 50: groups are nested more than 50 deep"),
        (5, "a regular expression is text, got 5"),
    ],
)
def test_expressions_that_cannot_be_read(expression: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Regex(expression)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lexicon(()), "a lexicon needs words"),
        (lambda: Lexicon(("a", "")), "a lexicon needs words"),
        (lambda: Lexicon("abc"), "a lexicon needs words"),
        (lambda: Lexicon(("a b",), " "), "a separator is one character"),
        (lambda: Lexicon(("a",), ", "), "a separator is one character"),
        (lambda: Lexicon((1, 2)), "a lexicon needs words"),
        (lambda: Lexicon(5), "a lexicon needs words, got 5"),
        (lambda: Lexicon(("a",), 5), "a separator is one character that stands in no word, got 5"),
    ],
)
def test_lexicons_that_are_none(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_words_that_no_token_writes_are_counted() -> None:
    lexicon = Lexicon(("ab", "x", "yy", "ab", "zzz", "cx"))
    told = r"4 of the lexicon's 5 words have characters that no token writes, and are left out: 'x', 'yy', 'zzz', …"
    with pytest.warns(UserWarning, match=told):
        (result,) = decode(stepper(), [[0]], Options(max_length=5, constraints=(lexicon,)))
    assert result.best.text == "ab"


def test_text_needs_a_spelling() -> None:
    source = TableStepper(np.full((3, 3), 1 / 3))
    for options in ({"constraints": (Regex("a"),)}, {"stop_strings": ("a",)}):
        with pytest.raises(ConfigError, match="this stepper does not say what its tokens write"):
            decode(source, [[0]], Options(**options))
    with pytest.raises(ConfigError, match="the spelling has 2 tokens, the stepper 3"):
        decode(source, [[0]], Options(), Spelling.of(["a", "b"]))


def test_too_many_states() -> None:
    with pytest.raises(ConfigError, match=r"make them simpler|repetitions smaller"):
        decode(stepper(), [[0]], Options(max_length=2000, constraints=(Regex("((a{9}|b){300}c){700}"),)))
