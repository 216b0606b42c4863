"""What is refused, each with its reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from elman.decode import Constraint, Decoding, Fusion, Infix, Options, Rank, Spelling, UserRank, decode
from elman.decode.constraints.automaton import BEGIN, DEAD, Automaton
from elman.errors import ConfigError, DataError
from tests.decode.small import markov

NAN = math.nan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "best"}, "strategy must be one of greedy, sample, beam, exact, got 'best'"),
        ({"early": "soon", "strategy": "beam"}, "early must be one of proved, first, never, got 'soon'"),
        ({"unknown": "drop"}, "unknown must be one of error, skip, replace"),
        ({"max_length": -1}, "max_length must be a whole number of at least 0, got -1"),
        ({"max_length": 2.5}, "max_length must be a whole number of at least 0, got 2.5"),
        ({"min_length": -1}, "min_length must be a whole number of at least 0"),
        ({"count": 0, "strategy": "sample"}, "count must be a whole number of at least 1, got 0"),
        ({"width": 0, "strategy": "beam"}, "width must be a whole number of at least 1"),
        ({"width": 1 << 62, "strategy": "beam"}, "width must be at most 1,048,576, got 4611686018427387904"),
        ({"count": 10**23, "strategy": "sample"}, "count must be at most 1,048,576"),
        ({"top_k": -1, "strategy": "sample"}, "top_k must be a whole number of at least 0"),
        ({"budget": 0, "strategy": "exact"}, "budget must be a whole number of at least 1"),
        ({"groups": 0, "strategy": "beam"}, "groups must be a whole number of at least 1"),
        ({"no_repeat_ngram": -2}, "no_repeat_ngram must be a whole number of at least 0"),
        ({"seed": -1}, "seed must be a whole number, 0 … 2\\^64 - 1"),
        ({"seed": 1 << 64}, "seed must be a whole number"),
        ({"seed": (0, 1.5)}, "seed must be a whole number"),
        ({"temperature": -0.1, "strategy": "sample"}, "temperature must be 0 or above and finite, got -0.1"),
        ({"temperature": NAN, "strategy": "sample"}, "temperature must be 0 or above and finite, got nan"),
        ({"temperature": math.inf, "strategy": "sample"}, "temperature must be 0 or above and finite, got inf"),
        ({"top_p": 0.0, "strategy": "sample"}, "top_p must be above 0 and at most 1, got 0.0"),
        ({"top_p": 1.1, "strategy": "sample"}, "top_p must be above 0 and at most 1"),
        ({"min_p": -0.1, "strategy": "sample"}, "min_p must be 0 … 1, got -0.1"),
        ({"typical_p": 0, "strategy": "sample"}, "typical_p must be above 0 and at most 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0 and finite"),
        ({"frequency_penalty": NAN}, "frequency_penalty must be -1e6 or above and finite"),
        ({"frequency_penalty": -1e308}, "frequency_penalty must be -1e6 or above and finite, got -1e\\+308"),
        ({"presence_penalty": math.inf}, "presence_penalty must be -1e6 or above and finite"),
        ({"diversity": -1.0, "strategy": "beam", "groups": 2, "width": 2}, "diversity must be 0 or above and finite"),
        ({"stop_tokens": (-1,)}, "stop_tokens must be tokens, 0 or above"),
        ({"stop_strings": "abc"}, "stop_strings must be a tuple, got 'abc'"),
        ({"stop_tokens": 5}, "stop_tokens must be a tuple, got 5"),
        ({"stop_tokens": ("a",)}, "name tokens by their numbers, got 'a'"),
        ({"stop_tokens": (True,)}, "name tokens by their numbers, got True"),
        ({"stop_tokens": (1.0,)}, "name tokens by their numbers, got 1.0"),
        ({"bias": {-1: -math.inf}}, "bias must name tokens, 0 or above, got -1"),
        ({"bias": {-99: 0.0}}, "bias must name tokens, 0 or above, got -99"),
        ({"bias": {False: 1.0}}, "name tokens by their numbers, got False"),
        ({"bias": {0.0: 1.0}}, "name tokens by their numbers, got 0.0"),
        ({"bias": {"a": 1.0}}, "name tokens by their numbers, got 'a'"),
        ({"constraints": Infix("a")}, r"constraints must be a tuple, got Infix\(part='a'\)"),
        ({"constraints": ("a*",)}, r"constraints are values such as Regex\(…\) or Prefix\(…\), got 'a\*'"),
        ({"temperature": "hot", "strategy": "sample"}, "temperature must be 0 or above and finite, got 'hot'"),
        ({"stop_strings": (5,)}, "stop_strings must be texts that are not empty"),
        ({"stop_strings": ("",)}, "stop_strings must be texts that are not empty"),
        ({"bias": None}, "bias must give a number for each token that it names, got None"),
        ({"bias": {0: "x"}}, "bias must give a number for each token"),
        ({"ranker": "best", "strategy": "beam"}, "ranker must be a Rank, a UserRank, or another Ranker"),
        ({"replacement": "c"}, "replacement is for unknown='replace', not for 'error'"),
        ({"replacement": None}, "replacement must be text, got None"),
        ({"bias": {0: NAN}}, "the bias of token 0 must be a number or -inf, got nan"),
        ({"bias": {1: math.inf}}, "the bias of token 1 must be a number or -inf"),
        ({"temperature": 0.5}, "temperature is for strategy 'sample', not for 'greedy'"),
        ({"top_p": 0.5, "strategy": "beam"}, "top_p is for strategy 'sample', not for 'beam'"),
        ({"width": 4}, "width is for strategy 'beam', not for 'greedy'"),
        ({"stochastic": True, "strategy": "sample"}, "stochastic is for strategy 'beam', not for 'sample'"),
        ({"keep_tree": True, "strategy": "exact"}, "keep_tree is for strategy 'beam', not for 'exact'"),
        ({"budget": 5}, "budget is for strategy 'exact', not for 'greedy'"),
        ({"min_length": 5, "max_length": 4}, "min_length 5 is above max_length 4"),
        ({"count": 2}, "greedy gives one output for a prompt, count is 2"),
        ({"ranker": Rank(alpha=1.0)}, "a ranker compares finished hypotheses; strategy 'greedy' has none"),
        ({"strategy": "exact", "ranker": UserRank(lambda p, t: p)}, "the exact search needs a ranker with a bound"),
        ({"strategy": "beam", "ranker": UserRank(lambda p, t: p)}, "early='proved' needs a ranker with a bound"),
        ({"strategy": "beam", "width": 2, "count": 3}, "the 3 best are asked of a beam of width 2"),
        ({"strategy": "beam", "width": 5, "groups": 2}, "width 5 must be a multiple of groups, 2"),
        ({"strategy": "beam", "width": 4, "diversity": 0.5}, "diversity needs groups that can differ"),
        ({"strategy": "beam", "width": 4, "groups": 2, "stochastic": True}, "a stochastic beam .* needs no groups"),
        ({"strategy": "beam", "width": 4, "stochastic": True, "ranker": Rank(1.0)}, "a stochastic beam is ordered by"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Options(**options)


def test_lists_and_numbers_of_numpy_will_do() -> None:
    given = Options(
        stop_tokens=[1, 2], seed=[np.uint64(3)], max_length=np.int64(4), bias={np.int64(0): np.float32(0.5)}
    )  # type: ignore[arg-type]
    assert (given.stop_tokens, given.seed) == ((1, 2), (3,))
    assert len(decode(markov(4, 0), [[0]], given)[0].best.tokens) <= 4


def test_enormous_penalties_forbid() -> None:
    for options in ({"repetition_penalty": 1e308}, {"frequency_penalty": 1e308}, {"presence_penalty": 1e308}):
        (result,) = decode(markov(4, 0), [[0]], Options(max_length=3, **options))
        assert len(set(result.best.tokens.tolist())) == 3


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"max_length .*; top_p .*; width is for strategy 'beam'"):
        Options(max_length=-1, top_p=2.0, width=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_tokens": (4,)}, "token 4 is named in the options; the stepper has 0 … 3"),
        ({"bias": {7: 1.0}}, "token 7 is named in the options"),
        ({"bias": {2**70: 1.0}}, "token 1180591620717411303424 is named in the options"),
        ({"strategy": "beam", "ranker": Rank(bonus=1.0, bonus_tokens=(5,))}, "token 5 is named in the options"),
        ({"seed": (1, 2), "strategy": "sample"}, "1 prompts need as many seeds, or one; got 2"),
    ],
)
def test_options_that_do_not_fit_the_stepper(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decode(markov(4, 0), [[0]], Options(**options))


@pytest.mark.parametrize(
    ("prompts", "error", "message"),
    [
        ([], ConfigError, "a list of prompts is needed, with at least one"),
        ("ab", ConfigError, "a list of prompts is needed"),
        ([[]], ConfigError, "a prompt of at least one token"),
        ([""], ConfigError, "a prompt of at least one token"),
        ([[0], []], ConfigError, "a prompt of at least one token"),
        (["abß"], DataError, r"character 'ß' \(U\+00DF\) at position 2 is not among the 4 characters"),
        ([[0, 4]], DataError, "the prompt has token 4, the stepper knows 0 … 3"),
        ([[-1]], DataError, "the prompt has token -1"),
        ([[0.5]], DataError, r"a prompt is text, or whole numbers \[N\]; got float64 \[1\]"),
        ([[[0]]], DataError, r"a prompt is text, or whole numbers \[N\]; got int64 \[1, 1\]"),
    ],
)
def test_prompts_that_cannot_be_used(prompts: Any, error: type[Exception], message: str) -> None:
    for strategy in ("greedy", "sample", "beam", "exact"):
        with pytest.raises(error, match=message):
            Decoding(markov(4, 0), prompts, Options(strategy=strategy))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unknown", "replacement", "read"), [("skip", "?", "ab"), ("replace", "c", "accbc"), ("replace", "da", "adadabda")]
)
def test_unknown_characters_in_a_prompt(unknown: Any, replacement: str, read: str) -> None:
    options = Options(unknown=unknown, replacement=replacement, max_length=6)
    (result,) = decode(markov(4, 0, order=2), ["aßßbü"], options)
    (plain,) = decode(markov(4, 0, order=2), [read], Options(max_length=6))
    assert result.best.carried.prompt.tolist() == ["abcd".index(character) for character in read]
    assert result.best.tokens.tolist() == plain.best.tokens.tolist()


def test_a_replacement_that_cannot_be_written() -> None:
    with pytest.raises(DataError, match="the replacement '!' cannot be written either"):
        decode(markov(4, 0), ["aß"], Options(unknown="replace", replacement="!"))


def test_nothing_but_unknown_characters_is_an_empty_prompt() -> None:
    with pytest.raises(ConfigError, match="a prompt of at least one token"):
        decode(markov(4, 0), ["ßß"], Options(unknown="skip"))


def test_options_that_are_none() -> None:
    with pytest.raises(ConfigError, match=r"options must be Options\(…\), got \{'width': 2\}"):
        decode(markov(4, 0), [[0]], {"width": 2})  # type: ignore[arg-type]


def test_a_text_prompt_needs_a_spelling() -> None:
    stepper = Fusion(markov(3, 0), markov(3, 1), 0.5)
    stepper.spelling = None
    with pytest.raises(ConfigError, match="the prompt speaks of text"):
        decode(stepper, ["ab"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rank(coverage=-0.1), r"coverage must be a finite number, 0 … 1e\+06, got -0.1"),
        (lambda: Rank(bonus_tokens=(-1,)), r"bonus_tokens must be a tuple of tokens, 0 or above, got \(-1,\)"),
        (lambda: Rank(bonus_tokens=(True,)), r"bonus_tokens must be a tuple of tokens, 0 or above, got \(True,\)"),
        (lambda: Rank(offset=-1.0), r"offset must be a finite number, 0 … 1e\+06, got -1.0"),
        (lambda: Rank(alpha=1e300), "alpha must be a finite number, -10 … 10, got 1e\\+300"),
        (lambda: Rank(alpha=NAN), "alpha must be a finite number, -10 … 10, got nan"),
        (lambda: Rank(bonus=math.inf), r"bonus must be a finite number, -1e\+06 … 1e\+06, got inf"),
        (lambda: Rank(coverage=NAN), r"coverage must be a finite number, 0 … 1e\+06, got nan"),
        (lambda: Rank(coverage=0.2), "coverage is counted from attention: give attention="),
    ],
)
def test_ranks_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_users_rank_that_is_no_number() -> None:
    rank = UserRank(lambda total, tokens: NAN)
    with pytest.raises(ConfigError, match="the ranker's function gave a score that is no number"):
        decode(markov(3, 0), [[0]], Options(strategy="beam", early="never", max_length=3, ranker=rank))


@pytest.mark.parametrize(
    ("texts", "message"),
    [((), "got none"), (("a", b"b"), "got bytes, str"), ((1, 2), "got int")],
)
def test_spellings_that_are_none(texts: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"a spelling needs a str for each token, or bytes for each, {message}"):
        Spelling.of(texts)


def test_bytes_that_no_token_writes() -> None:
    with pytest.raises(DataError, match="byte 1 of the text is written by none of the 2 tokens"):
        Spelling.of([b"a", b"b"]).encode("ac")


def test_the_longest_token_first() -> None:
    spelling = Spelling.of(["a", "ab", "b", "", "abc"])
    assert spelling.encode("abcabab").tolist() == [4, 1, 1]
    assert spelling.text([4, 3, 2]) == "abcb"


class EvenlyMany(Constraint):
    """As many tokens as one can share."""

    is_over_tokens = True

    def over_tokens(self, size: int, /) -> Automaton:
        following = np.array([[DEAD] * size, [2] * size, [BEGIN] * size], np.int32)
        return Automaton.make(following, np.array([False, True, False]))


def test_a_constraint_of_the_users() -> None:
    options = Options(constraints=(EvenlyMany(),), max_length=7, min_length=5)
    assert len(decode(markov(4, 0), [[0]], options)[0].best.tokens) == 6


def test_a_constraint_that_says_nothing() -> None:
    class Rules:
        rules = over_text = None

    with pytest.raises(ConfigError, match="constraints are values such as Regex"):
        Options(constraints=(Rules(),))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Constraint does not say what texts meet it: it lacks over_text"):
        decode(markov(4, 0), [[0]], Options(constraints=(Constraint(),)))
