"""Constraints that explode are refused after a bounded amount of work; those that people write need little."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from elman.decode import CallableStepper, Grammar, Infix, Lexicon, Options, Regex, Spelling, decode
from elman.decode.constraints import compiled, ebnf, pattern
from elman.decode.constraints.budget import WorkBudget
from elman.errors import ConfigError
from tests.decode.constraints.test_grammar import JSON, uniform

CHARACTERS = [chr(code) for code in range(32, 127)]
PIECES = [*CHARACTERS, *map("".join, itertools.product("abcdefghij", repeat=3)), '":', "true", '{"', '"}', "],[", '",']
DOUBLING = "\n".join(f"r{k} ::= r{k + 1} r{k + 1}" for k in range(30)) + '\nr30 ::= "a"'
EMPTIES = "\n".join(f"r{k} ::= r{k + 1} r{k + 1} | r{k + 1}" for k in range(60)) + '\nr60 ::= "a"?'


def words(count: int) -> tuple[str, ...]:
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), (count, 8))
    return tuple(map("".join, letters.tolist()))


@pytest.mark.parametrize(
    ("constraints", "options"),
    [
        ((Regex("(a|b)*a(a|b){20}"),), {}),
        ((Regex("a{1,1000000}"),), {}),
        ((Regex("(((a{0,900}){0,900}){0,900})"),), {}),
        ((Regex("(?:(?:(?:){1000000}){1000000}){1000000}"),), {}),
        ((Regex(".{0,500}(foo|bar).{0,500}"), Infix("foobar")), {}),
        ((Lexicon(words(30_000)),), {}),
        ((Grammar('s ::= ("a"{1000}){1000} s?'),), {}),
        ((Grammar('s ::= s s | "a"'),), {"max_length": 1000}),
        ((Grammar('s ::= s s s | "a" | ""'),), {"max_length": 1000}),
        ((Grammar('s ::= . - (.* "a" .{20})'),), {}),
        ((Grammar(EMPTIES),), {}),
        ((Grammar('s ::= "a"+'), Grammar(DOUBLING)), {}),
    ],
)
def test_what_explodes_is_refused(constraints: tuple[Any, ...], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"make them simpler, .* or raise max_states \(now 10,000\)"):
        decode(uniform(CHARACTERS), [[0]], Options(constraints=constraints, max_states=10_000, **options))


NESTED = "\n".join(f"r{k} ::= {'(' * 45} r{k + 1} {'?)' * 45}" for k in range(30)) + '\nr30 ::= "a"'


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Regex("a" * 1_000_000), "a regular expression has at most 200,000 characters, got 1,000,000"),
        (lambda: Regex("(" * 100_000), "groups are nested more than 50 deep"),
        (lambda: Grammar("s ::= " + '"a" ' * 200_000), "a grammar has at most 400,000 characters"),
        (lambda: Grammar("s ::= " + "(" * 100_000), "groups are nested more than 50 deep"),
        (lambda: Grammar('s ::= "b" - r0\n' + NESTED), "rules within rules are nested too deep"),
    ],
)
def test_what_is_too_long_or_too_deep(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_more_is_allowed_where_more_is_asked_for() -> None:
    constraint = (Regex("(a|b)*a(a|b){10}"),)
    with pytest.raises(ConfigError, match="raise max_states"):
        decode(uniform(CHARACTERS), [[0]], Options(constraints=constraint, max_states=1000))
    assert decode(uniform(CHARACTERS), [[0]], Options(constraints=constraint, max_length=11))[0].best.text == "a" * 11


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "many"])
def test_a_number_of_states_is_needed(count: Any) -> None:
    with pytest.raises(ConfigError, match="max_states must be a whole number of at least 1"):
        Options(max_states=count)


def chatty(pieces: list[str]) -> CallableStepper:
    """Writes objects with long strings in them."""
    likely = np.array([8.0 if piece in ('{"', "{", '"', '":', '",') else 0.0 for piece in pieces])
    return CallableStepper(
        lambda t, s: (np.tile(likely, (len(t), 1)), s), len(pieces), normalise=True, spelling=Spelling.of(pieces)
    )


@pytest.mark.parametrize("least", [0, 20])
def test_near_the_longest_length_nothing_is_searched(monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    """How much a grammar costs over pieces of several characters does not depend on how near the end is."""
    spent = []
    for most in (30, 60, 240):
        budgets: list[WorkBudget] = []
        monkeypatch.setattr(
            compiled, "WorkBudget", lambda states, kept=budgets: kept.append(WorkBudget(states)) or kept[0]
        )
        options = Options(
            strategy="sample", count=20, max_length=most, min_length=least, constraints=(Grammar(JSON),), seed=1
        )
        (result,) = decode(chatty(PIECES), [[0]], options)
        kinds = {type(json.loads(output.text or "")) for output in result.outputs}
        assert dict in kinds
        assert all(least <= len(output.tokens) <= most for output in result.outputs)
        spent.append(budgets[0].spent)
    assert max(spent) < 2_000_000
    assert spent[2] < 8 * spent[0]


@pytest.mark.parametrize("body", ["{0} {0}", "{0} | {0}"])
def test_rules_that_double_are_each_settled_once(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Written out, a rule of a difference stands in 2^40 places."""
    settled = []
    settle = pattern._settle
    monkeypatch.setattr(pattern, "_settle", lambda *given: settled.append(given) or settle(*given))
    rules = "\n".join(f"r{k} ::= {body.format(f'r{k + 1}')}" for k in range(40))
    ebnf._parsed.cache_clear()
    Grammar(f's ::= r0 - "b"\n{rules}\nr40 ::= "a"')
    assert len(settled) < 400


@pytest.mark.parametrize("beside", [(), (Grammar('s ::= "a" s | ""'),)])
def test_a_difference_of_rules_that_double_is_refused(beside: tuple[Grammar, ...]) -> None:
    constraints = (Grammar(f's ::= r0 - "b"\n{DOUBLING}'), *beside)
    with pytest.raises(ConfigError, match="raise max_states"):
        decode(uniform(CHARACTERS), [[0]], Options(constraints=constraints, max_states=10_000))


def test_ways_on_are_paid_for() -> None:
    """Over pieces that each open and close much, a rule may end in thousands of places, and each is looked at."""
    random = np.random.default_rng(3)
    made = ("".join(random.choice(list('abc {}[]",:01'), random.integers(2, 7))) for _ in range(2000))
    pieces = list(dict.fromkeys((*CHARACTERS, *made)))
    with pytest.raises(ConfigError, match="raise max_states"):
        decode(uniform(pieces), [[0]], Options(max_length=40, constraints=(Grammar(JSON),), max_states=20_000))
