"""Grammars: what they derive, and nothing else."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elman.decode import Allowed, CallableStepper, Grammar, Options, Reason, Regex, Spelling, decode
from elman.decode.constraints.compiled import compiled
from elman.decode.constraints.recogniser import Recogniser
from elman.errors import ConfigError
from tests.decode.small import everything, markov, network, texts

STOP = 3
BRACKETS = "s ::= (\"a\" s 'b')?"


def is_palindrome(t: str) -> bool:
    return len(t) % 2 == 1 and t == t[::-1] and t.count("c") == 1 and t[len(t) // 2] == "c"


def has_two_counts(t: str) -> bool:
    return len(t) % 2 == 0 and t == "a" * t.count("a") + "b" * t.count("b") + "c" * (len(t) // 2)


CASES: dict[str, tuple[str, Any]] = {
    "brackets": (BRACKETS, lambda t: t == "a" * (len(t) // 2) + "b" * (len(t) // 2)),
    "left recursion": ('s ::= s "a" | "b"', lambda t: t[:1] == "b" and set(t[1:]) <= {"a"}),
    "right recursion": ('s ::= "a" s | "b"', lambda t: t[-1:] == "b" and set(t[:-1]) <= {"a"}),
    "empty parts": ('s ::= x y x  x ::= "a"*  y ::= ("b" | "")', lambda t: set(t) <= {"a", "b"} and t.count("b") < 2),
    "nested empties": ('s ::= (x x)+ "c"?  x ::= "a"? y  y ::= x?', lambda t: set(t[:-1]) <= {"a"} and t[-1:] != "b"),
    "palindromes": ('s ::= "a" s "a" | "b" s "b" | "c"', is_palindrome),
    "ambiguous": ('s ::= s s | "a" | "ab"', lambda t: t != "" and t[0] == "a" and "bb" not in t and "c" not in t),
    "two counts": ('s ::= "a" s "c" | t   t ::= "b" t "c" | ""', has_two_counts),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_derived_and_nothing_else(name: str) -> None:
    source, derives = CASES[name]
    expected = {t for t in texts("abc", 5) if derives(t)}
    for stepper in (markov(4, 7, sharp=1.5), network(4, 1)):
        options = Options(
            strategy="beam", width=4**6, count=4**6, max_length=6, early="never", stop_tokens=(STOP,),
            constraints=(Grammar(source),),
        )  # fmt: skip
        (result,) = decode(stepper, [[0]], options)
        assert {o.text for o in result.outputs if o.reason is Reason.STOP_TOKEN} == expected
        assert all(derives(o.text) for o in result.outputs)
        listed = everything(stepper, [0], 6, [STOP])
        for output in result.outputs:
            assert output.log_probability == pytest.approx(listed[tuple(output.tokens.tolist())])


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
@pytest.mark.parametrize("name", CASES)
def test_every_searcher_keeps_to_it_within_the_longest_length(name: str, strategy: str) -> None:
    source, derives = CASES[name]
    extra: dict[str, Any] = {"beam": {"width": 3}, "sample": {"count": 50}}.get(strategy, {})
    options = Options(
        strategy=strategy,
        max_length=7,
        constraints=(Grammar(source),),
        bias={STOP: -math.inf},
        **extra,  # type: ignore[arg-type]
    )
    for stepper in (markov(4, 3), network(4, 5)):
        for result in decode(stepper, [[0], [1]], options):
            assert all(derives(output.text) and output.finished for output in result.outputs)


JSON = r"""
value  ::= object | array | string | number | "true" | "false" | "null"   /* what JSON is */
object ::= "{" (pair ("," pair)*)? "}"
pair   ::= string ":" value
array  ::= "[" (value ("," value)*)? "]"
string ::= '"' ([^"\\#x0-#x1F] | "\\" ["\\/bfnrt])* '"'
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?
"""


def uniform(texts: list[Any]) -> CallableStepper:
    size = len(texts)
    return CallableStepper(
        lambda t, s: (np.zeros((len(t), size)), s), size, normalise=True, spelling=Spelling.of(texts)
    )


@pytest.mark.parametrize(
    "tokens",
    [
        [chr(code) for code in range(32, 127)],
        [bytes([value]) for value in range(256)],
        [*(chr(code) for code in range(32, 127)), '":', "true", '{"', '"}', "],[", '"a":'],
    ],
    ids=["characters", "bytes", "longer tokens"],
)
def test_json(tokens: list[Any]) -> None:
    options = Options(strategy="sample", count=200, max_length=40, constraints=(Grammar(JSON),), seed=2)
    (result,) = decode(uniform(tokens), [[0]], options)
    kinds = set()
    for output in result.outputs:
        kinds.add(type(json.loads(output.text or "")))
    assert {dict, list, str} <= kinds


@pytest.mark.parametrize("pieces", [["a", "b", "c", "ab", "bcb"], ["ab", "c", "bc", "aab"], ["aa", "bb", "cc", "abc"]])
@pytest.mark.parametrize("name", CASES)
def test_pieces_of_several_characters(name: str, pieces: list[str]) -> None:
    """All that at most three pieces write and the grammar derives, and nothing else, to the last token."""
    source, derives = CASES[name]
    spellings = [tokens for n in range(4) for tokens in itertools.product(range(len(pieces)), repeat=n)]
    expected = {tokens for tokens in spellings if derives("".join(pieces[t] for t in tokens))}
    options = Options(
        strategy="beam", width=6**4, count=6**4, max_length=4, early="never", stop_tokens=(len(pieces),),
        constraints=(Grammar(source),),
    )  # fmt: skip
    if not expected:
        return
    (result,) = decode(uniform([*pieces, ""]), [[0]], options)
    found = {tuple(o.tokens[:-1].tolist()) for o in result.outputs if o.reason is Reason.STOP_TOKEN}
    assert found == expected
    assert all(derives(output.text) for output in result.outputs)


def test_near_the_end_pieces_are_searched_for() -> None:
    """`tr` and `ue` have no tokens for single characters; of `a` and `aaa` three and a half fit."""
    options = Options(max_length=2, constraints=(Grammar('s ::= "true"'),))
    assert decode(uniform(["tr", "ue", "x"]), [[0]], options)[0].best.text == "true"
    options = Options(max_length=4, constraints=(Grammar('s ::= "aaaaaaaaaa"'),))
    assert decode(uniform(["a", "aaa"]), [[0]], options)[0].best.text == "a" * 10
    with pytest.raises(ConfigError, match="derives no text of at most 3 tokens; its shortest has 4"):
        decode(uniform(["a", "aaa"]), [[0]], replace(options, max_length=3))
    with pytest.raises(ConfigError, match="derives no text that these tokens can write"):
        decode(uniform(["ab", "c"]), [[0]], Options(max_length=50, constraints=(Grammar('s ::= "a" "c"+'),)))


def test_sets_are_met_again() -> None:
    """A long string of a language without nesting needs few sets, wherever in the text it stands."""
    options = Options(max_length=10_000, constraints=(Grammar('s ::= (word ";")* word ::= [abc]+'),))
    recogniser = compiled(options, 4, Spelling.of(list("abc;")))
    assert isinstance(recogniser, Recogniser)
    state = np.array([recogniser.begin()])
    for token in np.random.default_rng(0).choice([0, 1, 2], 3000):
        assert recogniser.allowed(state, 0)[0, token]
        state = recogniser.advance(state, np.array([token]))
        if token == 2:
            state = recogniser.advance(state, np.array([3]))
    assert len(recogniser._sets) < 10


def test_with_other_constraints() -> None:
    options = Options(
        strategy="beam", width=300, count=300, max_length=6, early="never",
        constraints=(Grammar('s ::= "a" s "a" | "b" s "b" | "c"'), Allowed("bc")), bias={STOP: -math.inf},
    )  # fmt: skip
    (result,) = decode(markov(4, 1), [[0]], options)
    assert {o.text for o in result.outputs} == {"c", "bcb", "bbcbb"}


def test_ending_as_soon_as_accepted() -> None:
    options = Options(max_length=9, constraints=(Grammar('s ::= "b"+ "c"*'),), stop_when_accepted=True)
    (result,) = decode(markov(4, 1), [[0]], options)
    assert (result.best.text, result.best.reason) == ("b", Reason.CONSTRAINT)


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
@pytest.mark.parametrize("constraint", [Grammar('s ::= "b"*'), Regex("b*")])
def test_what_is_accepted_at_once_needs_no_step(strategy: Any, constraint: Any) -> None:
    options = Options(strategy=strategy, max_length=9, constraints=(constraint,), stop_when_accepted=True)
    (result,) = decode(markov(4, 1), [[0]], options)
    assert (result.best.text, result.best.reason, result.steps) == ("", Reason.CONSTRAINT, 0)
    (longer,) = decode(markov(4, 1), [[0]], replace(options, min_length=3))
    assert longer.best.text == "bbb"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the grammar has no rules"),
        ("s ::= t", "line 1: t has no rule; the rules are s"),
        ('s ::= "a"\n\ns ::= "b"', "line 3: s has a rule already"),
        ('"a"', "line 1: a rule `name ::= …` expected"),
        ("s ::= (", "line 1: it ends too early|without"),
        ('s ::= ("a"', r"line 1: '\(' without its '\)'"),
        ("s ::= *", "line 1: '\\*' has nothing before it"),
        ('s ::= "a', "line 1: '\"' cannot stand here"),
        ("s ::= #x110000", "#x110000 is no character"),
        ("s ::= [z-a]", "the range z-a runs backwards"),
        ('s ::= "a" )', "a rule `name ::= …` expected"),
        ("s ::= " + "(" * 51 + '"a"' + ")" * 51, "line 1: groups are nested more than 50 deep"),
        (5, "a grammar is text, got 5"),
    ],
)
def test_grammars_that_cannot_be_read(source: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grammar(source)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ('s ::= "x"', {}, "derives no text that these tokens can write"),
        ('s ::= "a" s', {}, "derives no text that these tokens can write"),
        (
            's ::= "aabba"',
            {"max_length": 4},
            "the grammar derives no text of at most 4 tokens; its shortest has 5",
        ),
        ('s ::= "aab"', {"min_length": 4}, "the grammar derives no text of 4 … 100 tokens"),
    ],
)
def test_grammars_that_can_never_be_met(source: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decode(markov(4, 0), [[0]], Options(constraints=(Grammar(source),), **options))


def test_two_grammars_that_recur() -> None:
    both = Grammar('s ::= "a" s "b" | "c"'), Grammar('s ::= "a" s | "c"')
    with pytest.raises(ConfigError, match="two grammars that recur cannot hold at once: make them one"):
        decode(markov(4, 0), [[0]], Options(constraints=both))
