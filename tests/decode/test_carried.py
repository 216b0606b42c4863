"""What is carried on: a text goes on as if it had never stopped, under its constraints or under others."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from elman.decode import Carried, Decoding, Grammar, Infix, Options, Reason, Regex, decode
from elman.errors import ConfigError, ElmanError, ShapeError
from tests.decode.small import markov, model

RULES: dict[str, dict[str, Any]] = {
    "regex": {"constraints": (Regex("[abc]{9}abc"),)},
    "grammar": {"constraints": (Grammar('s ::= "a" s "b" | "b" s "a" | "c"'),)},
    "both": {"constraints": (Grammar('s ::= t+  t ::= "a" t? "b" | "c"'), Infix("bc"))},
    "stop strings": {"stop_strings": ("abc", "cab")},
    "stop tokens": {"constraints": (Regex("(ab|c|b)*"),), "stop_tokens": (3,)},
}


def begun(options: Options, steps: int) -> Carried:
    """Where a search has got to after some steps."""
    decoding = Decoding(markov(4, 3, sharp=2.0), [[0]], options)
    for _, _ in zip(range(steps), decoding, strict=False):
        pass
    decoding.cancel()
    return decoding.results()[0].best.carried


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("steps", [1, 4, 6])
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_rules_go_on(rules: str, steps: int, strategy: Any) -> None:
    stepper, seeds = markov(4, 3, sharp=2.0), range(1 if strategy == "greedy" else 8)
    for seed in seeds:
        given = {"strategy": strategy, "seed": seed, "bias": {} if rules == "stop tokens" else {3: -9.0}} | RULES[rules]
        (whole,) = decode(stepper, [[0]], Options(max_length=12, **given))
        if len(whole.best.tokens) <= steps:
            continue
        carried = begun(Options(max_length=12, **given), steps)
        for _ in range(2):  # as often as wanted
            (rest,) = decode(stepper, [carried], Options(max_length=12 - steps, **given))
            assert [*carried.text, *rest.best.tokens] == whole.best.tokens.tolist()
            assert rest.best.reason is whole.best.reason


def test_other_rules_begin_anew() -> None:
    carried = begun(Options(max_length=12, **RULES["regex"]), 8)
    (result,) = decode(markov(4, 3), [carried], Options(max_length=5, constraints=(Regex("a*b"),)))
    assert re.fullmatch("a*b", result.best.text or "")
    (again,) = decode(markov(4, 3), [result.best.carried], Options(max_length=5, constraints=(Regex("a*b"),)))
    assert (again.best.text, again.best.reason) == ("", Reason.CONSTRAINT)


def test_behind_a_stop_string_the_rules_begin_anew() -> None:
    given: dict[str, Any] = {"strategy": "sample", "stop_strings": ("c",), "constraints": (Regex("[ab]*"),)}
    (first,) = decode(markov(4, 3, sharp=2.0), [[0]], Options(max_length=40, **given))
    assert first.best.reason is Reason.STOP_STRING
    (second,) = decode(markov(4, 3, sharp=2.0), [first.best.carried], Options(max_length=40, **given))
    assert second.best.reason is Reason.STOP_STRING
    assert "c" not in (second.best.text or "")


def test_what_cannot_end_in_time_is_a_dead_end() -> None:
    carried = begun(Options(max_length=12, **RULES["regex"]), 8)
    (result,) = decode(markov(4, 3), [carried], Options(max_length=3, **RULES["regex"]))
    assert (result.best.tokens.tolist(), result.best.reason) == ([], Reason.DEAD_END)
    with pytest.raises(ConfigError, match="the shortest text that meets them has 12"):
        decode(markov(4, 3), [carried, [0]], Options(max_length=4, **RULES["regex"]))


def test_it_keeps_its_stream_of_random_numbers() -> None:
    (result,) = decode(markov(4, 0), [[0]], Options(strategy="sample", count=2, max_length=3))
    carried = result.outputs[1].carried
    assert isinstance(carried, Carried)
    assert (carried.stream, carried.draws, carried.prompt.tolist()) == (1, 3, [0])
    np.testing.assert_array_equal(carried.text, result.outputs[1].tokens)


def test_another_models_state() -> None:
    (result,) = decode(model(hidden=5), [[0]], Options(max_length=2))
    with pytest.raises(ShapeError, match="this state is another model's: its arrays have other shapes"):
        decode(model(hidden=6), [result.best.carried])


@pytest.mark.parametrize("constraint", [Regex("a[abc]{5}"), Grammar('s ::= "a" t{5}  t ::= [abc]')])
def test_what_is_forbidden_from_now_on_may_stand_in_what_was_written(constraint: Any) -> None:
    first = Options(max_length=6, constraints=(constraint,))
    carried = begun(first, 3)
    assert carried.text.tolist()[:1] == [0]
    later = Options(max_length=3, constraints=(constraint,), bias={0: -np.inf, 1: -np.inf})
    (result,) = decode(markov(4, 3, sharp=2.0), [carried], later)
    assert (result.best.text, result.best.reason) == ("ccc", Reason.CONSTRAINT)


@pytest.mark.parametrize("wrong", [{"last": "a"}, {"last": -1}, {"draws": None}, {"text": 5}, {"prompt": [[1]]}])
def test_what_is_carried_is_of_its_kind(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"state": None, "last": 0, "prompt": [0], "text": []}
    with pytest.raises(ElmanError, match=r"carried: (last|draws) must be a whole number|tokens must be whole numbers"):
        Carried(**(given | wrong))
