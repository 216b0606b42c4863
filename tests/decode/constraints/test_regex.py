"""Regular expressions mean what they mean to Python's `re`, or are refused."""

from __future__ import annotations

import re
import string
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode import Regex
from elman.decode.constraints import nfa, regex
from elman.decode.constraints.budget import WorkBudget
from elman.errors import ConfigError
from tests.decode.small import texts

POINTS = [*range(0x250), 0x660, 0x966, 0x1680, 0x2028, 0x3000, 0xFF10, 0x1D7CE, 0x1F600, 0x10FFFF]


def matcher(expression: str, points: list[int]) -> Callable[[str], bool]:
    """Whether our automaton accepts a text."""
    alphabet = np.array(sorted(points), np.int64)
    automaton = nfa.automaton(regex.parse(expression), alphabet, False, WorkBudget(100_000))
    symbol = {point: k for k, point in enumerate(alphabet.tolist())}

    def accepts(text: str) -> bool:
        state = 1
        for character in text:
            state = int(automaton.next[state, symbol[ord(character)]])
        return bool(automaton.accept[state])

    return accepts


def compiled(expression: str) -> re.Pattern[str] | None:
    """Python's reading; None where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested sets are announced, and still read as before
        try:
            return re.compile(expression)
        except (re.error, OverflowError):
            return None


def test_every_escape_stands_for_the_same_characters() -> None:
    understood = set()
    for form in ("\\{}", "[\\{}]", "[^\\{}]", "\\{}1", "\\{}12", "\\{}41", "\\{}0041", "[\\{}12]", "\\{}00000041"):
        for mark in map(chr, range(32, 0x100)):
            expression = form.format(mark)
            try:
                accepts = matcher(expression, POINTS)
            except ConfigError:
                continue
            understood.add((form, mark))
            python = compiled(expression)
            assert python is not None, expression
            for character in map(chr, POINTS):
                for text in (character, character + "1", character + "12"):
                    assert accepts(text) == bool(python.fullmatch(text)), (expression, text)
    marks = {mark for form, mark in understood if form == "\\{}"}
    assert marks >= {*string.punctuation, *"dDsSwWafnrtv0"}
    assert not marks & {*"AbBZzgGkKpPQXyY123456789"}
    assert {mark for form, mark in understood if form == "[\\{}]"} >= {*string.punctuation, *"dDsSwWabfnrtv01234567"}
    assert {("\\{}41", "x"), ("\\{}0041", "u"), ("\\{}00000041", "U")} <= understood


@pytest.mark.parametrize(
    ("expression", "character"),
    [(r"\012", "\n"), (r"\x2b", "+"), (r"\101", "A"), (r"\u0041", "A"), (r"\N{EURO SIGN}", "€"), (r"[\1]", "\x01"),
     (r"[\b]", "\b"), (r"[\N{DIGIT ONE}-\x33]", "2"), (r"\d", "٣"), (r"\w", "é"), (r"\s", "\u3000")],
)  # fmt: skip
def test_characters_by_number_and_name(expression: str, character: str) -> None:
    assert re.fullmatch(expression, character)
    assert matcher(expression, [ord(character), 0x7F])(character)
    assert not matcher(expression, [ord(character), 0x7F])("\x7f")


PIECES = [*"ab01{},-^]|.$ :[()*+?\\"]
PIECES += ["(?:", "{2}", "{1,2}", "{,1}", "{,}", "\\d", "[ab", "[^a", "a-b]", "\\0", "\\x61", "x{", "[]", "\\]"]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join))
def test_any_expression_is_read_as_python_reads_it_or_refused(expression: str) -> None:
    try:
        accepts = matcher(expression, [ord(c) for c in "ab01-\n{}"])
    except ConfigError:
        return
    python = compiled(expression)
    assert python is not None, expression
    for text in texts("ab01-\n{}", 3):
        assert accepts(text) == bool(python.fullmatch(text)), (expression, text)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (r"\x+1", r"position 0: \\x needs 2 hexadecimal digits"),
        (r"a\u 041", r"position 1: \\u needs 4 hexadecimal digits"),
        (r"\U00110000", r"\\U needs 8 hexadecimal digits of a character"),
        (r"\8", r"\\8 is not known here; back-references are not supported"),
        (r"\12", r"\\1 is not known here; back-references"),
        (r"\400", r"\\400 is above the largest octal escape, \\377"),
        (r"[\8]", r"\\8 is not known here"),
        (r"\N{NO SUCH}", r"\\N: no character is named 'NO SUCH'"),
        (r"\Nx", r"\\N needs the name of a character"),
        (r"a\Z", r"position 1: \\Z is not known here; boundaries and anchors"),
        (r"[\Z]", r"\\Z is not known here"),
        ("a{٣}", r"\{m\}, \{m,\}, \{,n\} or \{m,n\} expected"),
        ("a{}", r"for the character write \\{"),
    ],
)
def test_what_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Regex(expression)


def test_counts_without_a_lower_or_an_upper_end() -> None:
    assert [t for t in texts("a", 4) if matcher("a{,2}", [97])(t)] == ["", "a", "aa"]
    assert [t for t in texts("a", 4) if matcher("a{,}", [97])(t)] == ["", "a", "aa", "aaa", "aaaa"]
