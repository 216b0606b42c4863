"""Any constraints with any lengths, stops and bans: all outputs are legal, nothing legal is lost, the best is found."""

from __future__ import annotations

import itertools
import math
import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode import (
    Allowed,
    Grammar,
    Infix,
    Lexicon,
    Options,
    Output,
    Prefix,
    Rank,
    Reason,
    Regex,
    Spelling,
    TableStepper,
    TextStream,
    Utf8,
    decode,
)
from elman.decode.constraints.compiled import compiled
from elman.decode.constraints.stops import before as stops_before
from elman.errors import ConfigError
from tests.decode.constraints.enumerated import Problem, before_stop
from tests.decode.constraints.test_constraints import written
from tests.decode.constraints.test_grammar import CASES

VOCABULARIES = [
    ("a", "b", "c", ""),
    ("a", "b", "c", "b"),
    ("a", "ab", "bc", "cc", ""),
    ("a", "b", "abc", "bca", "x"),
    ("ab", "c", "bca", "aab", ""),
]
STRINGS = ["a", "b", "c", "ab", "bc", "abc", "ca", "bb", "x"]


def stepper(pieces: tuple[str, ...], seed: int) -> TableStepper:
    size = len(pieces)
    table = np.random.default_rng(seed).dirichlet(np.full(size, 0.7), size=size) * 0.99 + 0.01 / size
    return TableStepper(table, Spelling.of(list(pieces)))


def over_tokens(kind: str, tokens: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """The same for constraints on tokens."""
    if kind == "tokens":
        return Prefix(tokens), None, lambda given: given[: len(tokens)] == tokens
    if kind == "some":
        return Allowed(tokens), None, lambda given: set(given) <= set(tokens)
    return Infix(tokens), None, lambda given: tokens in [given[k : k + len(tokens)] for k in range(len(given))]


@st.composite
def constraints(draw: Any, size: int, has_grammar: bool) -> tuple[Any, Any, Any]:
    """A constraint, its test on texts, and its test on tokens."""
    kinds = ["regex", "grammar", "lexicon", "words", "prefix", "infix", "allowed", "utf8", "tokens", "part", "some"]
    kind = draw(st.sampled_from(kinds))
    text = draw(st.sampled_from(["a", "b", "ab", "ca", "bc"]))
    if kind == "grammar" and not has_grammar:
        source, test = draw(st.sampled_from(list(CASES.values())))
        return Grammar(source), lambda t: set(t) <= set("abc") and test(t), None
    if kind == "grammar":
        return Grammar('s ::= t t?  t ::= "a"* "b" | "ca"'), lambda t: re.fullmatch("(a*b|ca){1,2}", t), None
    if kind == "lexicon":
        words = tuple(draw(st.sets(st.sampled_from(["a", "ab", "bca", "cc", "abab", "aabb"]), min_size=1)))
        return Lexicon(words), lambda t: t in words, None
    if kind in ("tokens", "part", "some"):
        return over_tokens(kind, tuple(draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=2))))
    if kind == "words":
        return Lexicon(("a", "aa", "ca"), "b"), lambda t: re.fullmatch("(a|aa|ca)(b(a|aa|ca))*", t), None
    expression = written(random.Random(draw(st.integers(0, 10**6))), 2)
    return {
        "regex": (Regex(expression), lambda t: re.fullmatch(expression, t), None),
        "prefix": (Prefix(text), lambda t: t.startswith(text), None),
        "infix": (Infix(text), lambda t: text in t, None),
        "allowed": (Allowed("ab"), lambda t: set(t) <= {"a", "b"}, None),
        "utf8": (Utf8(), lambda t: True, None),
    }[kind]


@st.composite
def problems(draw: Any) -> Problem:
    pieces = draw(st.sampled_from(VOCABULARIES))
    found: list[tuple[Any, Any, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        found.append(draw(constraints(len(pieces), any(isinstance(f[0], Grammar) for f in found))))
    most = draw(st.integers(1, 5))
    has_stops = draw(st.booleans())
    banned = draw(st.sets(st.integers(0, len(pieces) - 1), max_size=1)) if draw(st.booleans()) else set()
    options = Options(
        max_length=most,
        min_length=draw(st.integers(0, most)),
        stop_tokens=(len(pieces) - 1,) if has_stops else (),
        stop_strings=tuple(draw(st.sets(st.sampled_from(STRINGS), max_size=2))),
        stop_when_accepted=not has_stops and draw(st.booleans()),
        constraints=tuple(f[0] for f in found),
        bias=dict.fromkeys(banned, -math.inf) | {0: 0.5} if 0 not in banned else dict.fromkeys(banned, -math.inf),
    )
    over_text = tuple(f[1] for f in found if f[1] is not None)
    return Problem(pieces, options, over_text, tuple(f[2] for f in found if f[2] is not None))


def searched(problem: Problem, source: TableStepper, **how: Any) -> list[Output]:
    options = Options(**(vars(problem.options) | how))
    return list(decode(source, [[0]], options)[0].outputs)


def tokens_of(output: Output) -> tuple[int, ...]:
    assert output.reason is not Reason.DEAD_END
    return tuple(output.tokens.tolist())


@pytest.mark.filterwarnings("ignore:.*words have characters that no token writes")
@settings(max_examples=300, deadline=None)
@given(problems(), st.integers(0, 5))
def test_random_compositions_against_everything_written_out(problem: Problem, seed: int) -> None:
    expected, source = problem.outputs(), stepper(problem.pieces, seed)
    if not expected:
        with pytest.raises(ConfigError, match=r"met|derives no text|no token writes"):
            searched(problem, source)
        return
    every = 6**problem.options.max_length
    wide = searched(problem, source, strategy="beam", width=every, count=every, early="never")
    assert {tokens_of(output) for output in wide} == expected
    for how in ({"strategy": "greedy"}, {"strategy": "sample", "count": 20}, {"strategy": "beam", "width": 2}):
        assert {tokens_of(output) for output in searched(problem, source, **how)} <= expected
    for ranker in (Rank(), Rank(alpha=0.8)):
        (best,) = searched(problem, source, strategy="exact", ranker=ranker)
        ranked = searched(problem, source, strategy="beam", width=every, count=every, early="never", ranker=ranker)
        assert best.rank == pytest.approx(max(output.rank for output in ranked))


def test_a_grammar_with_a_least_length_looks_ahead() -> None:
    source = TableStepper(np.tile([0.7, 0.1, 0.1, 0.1], (4, 1)), Spelling.of(list("abcd")))
    for strategy in ("greedy", "sample", "beam", "exact"):
        options = Options(strategy=strategy, min_length=3, max_length=5, constraints=(Grammar('s ::= "a" | "bcd"'),))  # type: ignore[arg-type]
        assert decode(source, [[0]], options)[0].best.text == "bcd"


@given(st.lists(st.sampled_from(STRINGS), min_size=1, max_size=3, unique=True), st.integers(0, 10**6))
def test_where_a_text_stops_does_not_depend_on_its_tokens(stops: list[str], seed: int) -> None:
    """One text in many tokenisations, read by an automaton, by a stream, and character by character."""
    pick = random.Random(seed)
    text = "".join(pick.choice("abcx") for _ in range(8))
    expected = before_stop(text, stops)
    for _ in range(4):
        cuts = sorted({0, len(text), *(pick.randrange(1, 8) for _ in range(pick.randrange(6)))})
        pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]
        spelling = Spelling.of([*pieces, *"abcx"])
        options = Options(max_length=20, stop_strings=tuple(stops), constraints=(Regex("[abcx]*"),))
        force = compiled(options, len(spelling), spelling)
        assert force is not None
        state, stream, shown, taken = np.array([force.begin()]), TextStream(spelling, options), "", []
        for token in range(len(pieces)):
            state = force.advance(state, np.array([token]))
            shown += stream.push([token])
            taken.append(token)
            if force.stopped(state)[0]:
                break
        whole = "".join(pieces[t] for t in taken)
        assert bool(force.stopped(state)[0]) == (before_stop(whole, stops) != whole) == (expected != text)
        assert stops_before(whole, stops) == (len(expected) if expected != text else None)
        assert shown + stream.end(expected) == expected


def test_a_stop_string_of_one_character_within_a_token_ends_a_grammars_text() -> None:
    """The text ends before the last character of a token, and the token is the only way to write it."""
    pieces = ("ab", "b", "c")
    options = Options(max_length=2, stop_strings=("b",), constraints=(Grammar('s ::= "a"+'),))
    expected = Problem(pieces, options, (lambda t: re.fullmatch("a+", t),)).outputs()
    assert expected == {(0,)}
    for strategy in ("greedy", "sample", "beam", "exact"):
        (output,) = searched(Problem(pieces, options), stepper(pieces, 0), strategy=strategy)
        assert (tokens_of(output), output.text, output.reason) == ((0,), "a", Reason.STOP_STRING)
