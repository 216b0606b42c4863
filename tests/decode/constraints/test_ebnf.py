"""Grammars as they are written: escapes, the W3C's own way, counts, comments, differences."""

from __future__ import annotations

import re

import numpy as np
import pytest

from elman.decode import Grammar, Options, Spelling, decode
from elman.decode.constraints import ebnf
from elman.decode.constraints.compiled import compiled
from elman.decode.constraints.pattern import LAST, Chars, text
from elman.errors import ConfigError
from tests.decode.small import markov, texts


def derives(source: str, symbols: str, limit: int) -> set[str]:
    """All texts of some symbols that a grammar derives."""
    options = Options(max_length=limit, constraints=(Grammar(source),))
    force = compiled(options, len(symbols), Spelling.of(list(symbols)))
    assert force is not None
    found = set()
    for candidate in texts(symbols, limit):
        state = force.behind(Spelling.of(list(symbols)).encode(candidate))
        if force.accepts(np.array([state]))[0]:
            found.add(candidate)
    return found


@pytest.mark.parametrize(
    ("literal", "meant"),
    [
        (r'"\u00e9"', "é"), (r'"\x61"', "a"), (r'"\0"', "\0"), (r'"\012"', "\n"), (r"'\t\r\n'", "\t\r\n"),
        (r'"\\"', "\\"), (r'"\""', '"'), (r"'\''", "'"), (r'"\'"', "'"), (r'"\U0001F600"', "😀"),
        (r'"\b\f\v\a"', "\b\f\v\a"),
        (r'"\N{EURO SIGN}"', "€"), ("'\\'", "\\"), ('"\\"', "\\"), ('""', ""), ("'a\"b'", 'a"b'),
    ],
)  # fmt: skip
def test_literals(literal: str, meant: str) -> None:
    assert ebnf.parse(f"s ::= {literal}") == {"s": text(meant)}


@pytest.mark.parametrize(
    ("written", "ranges"),
    [
        (r"[\x41]", "A"), (r"[\u00e9-\u00eb]", "éêë"), (r"[#x41-#x43]", "ABC"), (r"[\]\[\\]", "[\\]"), (r"[]a]", "]a"),
        (r"[\-a\^]", "-^a"), (r"[a-c] - [b]", "ac"), (r"[a-c] - 'a' - 'b'", "c"),
        (r"([a-c] | 'x') - ('b' | [x])", "ac"),
        (r"[a-d] - v", "acd"), (r'["\/]', '"/\\'), (r'["\/bf]', '"/\\bf'),
    ],
)  # fmt: skip
def test_classes_and_differences_of_characters(written: str, ranges: str) -> None:
    pattern = ebnf.parse(f's ::= {written}  v ::= "b"')["s"]
    assert isinstance(pattern, Chars)
    assert {chr(p) for low, high in pattern.ranges for p in range(low, high + 1)} == set(ranges)


def test_a_dot_is_any_character_but_a_lines_end() -> None:
    assert ebnf.parse("s ::= .") == {"s": Chars(((0, 9), (11, LAST)))}


@pytest.mark.parametrize(
    ("source", "expression"),
    [
        ('s ::= "a"{2}', "a{2}"),
        ('s ::= ("a" | "b"){1,2} "c"?', "[ab]{1,2}c?"),
        ('s ::= "a"{,2}"b"{2,}', "a{,2}b{2,}"),
        ('s ::= . "b" .', ".b."),
        ('s ::= "a" # the first\n | "b"{3} /* the\nsecond */ # "c"', "a|b{3}"),
        ('s ::= [abc]* - (.* "bb" .*)', "(?!.*bb)[abc]*"),
        ('s ::= "a" (x - ("b" | "ab"))  x ::= [ab]{0,2}', "a(?!(b|ab)$)[ab]{0,2}"),
        ('s ::= ([abc]+ - "a"+) - ("b" [abc]*)', "(?!a+$)(?!b)[abc]+"),
        ('s ::= v+ - (v v)  v ::= "a" | "bc"', "(?!(a|bc){2}$)(a|bc)+"),
    ],
)
def test_counts_comments_and_differences(source: str, expression: str) -> None:
    assert derives(source, "abc", 4) == {t for t in texts("abc", 4) if re.fullmatch(expression, t)}


def test_differences_of_bytes() -> None:
    """What is taken away may share bytes with what stays."""
    spelling = Spelling.of([bytes([value]) for value in range(256)])
    constraint = Grammar('s ::= [é-ì]{2} - (. "ê" | "ì" .)')
    force = compiled(Options(max_length=4, constraints=(constraint,)), 256, spelling)
    assert force is not None
    for one in "éêëì":
        for other in "éêëì":
            state = np.array([force.behind(spelling.encode(one + other))])
            assert force.accepts(state)[0] == (other != "ê" and one != "ì")


W3C_JSON = r"""
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array  ::= "[" (value ("," value)*)? "]"
string ::= '"' ([^"\#x0-#x1F] | '\' ["\/bfnrt])* '"'
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?
"""


def test_backslashes_as_the_w3c_writes_them() -> None:
    escaped = W3C_JSON.replace(r'[^"\#', r'[^"\\#').replace(r"'\'", r'"\\"').replace(r'["\/', r'["\\/')
    assert ebnf.parse(W3C_JSON) == ebnf.parse(escaped)


def test_a_part_of_a_difference_beside_another_grammar() -> None:
    both = Grammar('s ::= "a" s "b" | "c"'), Grammar('s ::= x{1,3} - "c"   x ::= [abc]')
    options = Options(max_length=9, constraints=both, stop_tokens=(3,))
    for seed in range(5):
        assert decode(markov(4, seed), [[0]], options)[0].best.text == "acb"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (r's ::= "\q"', r"line 1: \\q is no escape in quotes; for a backslash write \\\\"),
        (r's ::= "\d"', r"\\d is no escape in quotes"),
        (r's ::= "\8"', r"\\8 is no escape in quotes"),
        (r's ::= "\x4"', r"line 1: \\x needs 2 hexadecimal digits"),
        (r's ::= "\n" [\#]', r"\\# is no escape in a class; for a backslash write \\\\"),
        (r's ::= [a\] "x" [b]', r"line 1: \\\] can be read in two ways; write #x5C for a backslash"),
        (r"s ::= '\' '\n'", r"'\\\\' cannot stand here"),
        (r's ::= "\n\q"', r"\\q is no escape"),
        ('s ::= "a"{}', r"\{m\}, \{m,\}, \{,n\} or \{m,n\} of at most"),
        ('s ::= "a"{3,2}', r"\{3,2\}: the second number is the smaller one"),
        ('s ::= "a"{x}', "'{' cannot stand here"),
        ('s ::= "a"{1234567890}', "at most 9 digits expected"),
        ('s ::= "a"**', "line 1: a repetition of a repetition: put parentheses"),
        ('s ::= "a"' + "*" * 5000, "a repetition of a repetition"),
        ('s ::= - "a"', "a difference A - B needs one part before it"),
        ('s ::= "a" "b" - "c"', "needs one part before it; put parentheses around several"),
        ('s ::= "a" - "b" "c"', "put parentheses around a difference"),
        ('s ::= "a" - t  t ::= "b" t', "a rule that recurs can be neither a part of a difference"),
        ('s ::= "a"  #xyz', "'#' cannot stand here: a comment begins with # and a blank"),
        ("\n s ::= [\\d-z]", "a range needs one character at each end"),
    ],
)  # fmt: skip
def test_what_is_refused(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grammar(source)


def test_what_is_copied_from_a_specification() -> None:
    """Numbers of rules and constraints in words are passed over; classes that look like them are not."""
    source = "[1] s ::= t [VC: of no weight]\n[2a]  t ::= 'a' [ wfc: no < in it ]\n  | [1] u\n[3] u ::= [vc]"
    assert derives(source, "a1vc23", 2) == {"a", "1v", "1c"}
    assert Grammar("\ufeff" + source).rules() == Grammar(source).rules()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s = 'a' ;", "line 1: '=' cannot stand here: a rule is written name ::= …"),
        ("s ::= 'a'\nt: 'b'", "line 2: ':' cannot stand here: a rule is written name ::= …"),
        ("s ::= 'a', 'b'", "',' cannot stand here: parts stand one behind another"),
        ("s ::= /a+/", "'/' cannot stand here: a comment is"),
        ("s ::= { 'a' }", r"'{' cannot stand here: a repetition is \{m\}"),
        ("s ::= 'a", '"\'" cannot stand here: a text in quotes ends on its line'),
        ("s ::= [a", r"'\[' cannot stand here: a class ends with \]"),
        ("s ::= 'a'\nt ::= [z-a]", r"grammar, line 2: regular expression '\[z-a\]', position 4: the range z-a"),
    ],
)
def test_what_other_tools_write_is_refused_with_the_cure(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grammar(source)
