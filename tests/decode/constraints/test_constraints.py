"""Constraints: every output satisfies them, nothing that does is lost, and the probabilities are right."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import numpy as np
import pytest

from elman.decode import (
    Allowed,
    CallableStepper,
    Infix,
    Lexicon,
    Options,
    Prefix,
    Reason,
    Regex,
    Spelling,
    TableStepper,
    Utf8,
    decode,
)
from elman.decode.constraints import nfa, pattern
from elman.decode.constraints.budget import WorkBudget
from elman.errors import ConfigError
from tests.decode.constraints.enumerated import before_stop
from tests.decode.small import everything, markov, network, texts

LIMIT, STOP = 5, 3
pytestmark = pytest.mark.filterwarnings("ignore:.*words have characters that no token writes")

CONSTRAINTS: dict[str, tuple[Any, Any]] = {
    "regex": (Regex("(ab|c)*a?"), lambda t: re.fullmatch("(ab|c)*a?", t)),
    "regex of a fixed length": (Regex("[ab]{2}c"), lambda t: re.fullmatch("[ab]{2}c", t)),
    "prefix": (Prefix("ca"), lambda t: t.startswith("ca")),
    "prefix of tokens": (Prefix((2, 0)), lambda t: t.startswith("ca")),
    "infix": (Infix("aba"), lambda t: "aba" in t),
    "infix of tokens": (Infix((0, 0)), lambda t: "aa" in t),
    "allowed": (Allowed("ac"), lambda t: "b" not in t),
    "allowed tokens": (Allowed((1, 2)), lambda t: "a" not in t),
    "lexicon": (Lexicon(("a", "ab", "abc", "bca", "zz")), lambda t: t in ("a", "ab", "abc", "bca")),
    "words": (Lexicon(("a", "bb"), "c"), lambda t: re.fullmatch("(a|bb)(c(a|bb))*", t)),
    "nothing": (Regex(""), lambda t: t == ""),
}


def stepper() -> TableStepper:
    return markov(4, 7, sharp=1.5)


def satisfying(stepper: Any, satisfies: Any, limit: int = LIMIT, least: int = 0) -> dict[tuple[int, ...], float]:
    """The log-probability of everything that ends with the stop token, or is cut, and satisfies."""
    listed = everything(stepper, [0], limit, [STOP])
    found = {}
    for tokens, total in listed.items():
        text = tokens[:-1] if tokens[-1] == STOP else tokens
        if satisfies("".join("abc"[t] for t in text)) and len(text) >= least:
            found[tokens] = total
    return found


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("least", [0, 3])
def test_all_outputs_that_satisfy_and_no_others(name: str, least: int) -> None:
    constraint, satisfies = CONSTRAINTS[name]
    for source in (stepper(), network(4, 2)):
        expected = satisfying(source, satisfies, least=least)
        for strategy, wide in (("beam", {"width": 4**LIMIT, "early": "never"}), ("exact", {})):
            options = {"max_length": LIMIT, "min_length": least, "stop_tokens": (STOP,), "constraints": (constraint,)}
            count = min(len(expected), 50) if strategy == "exact" else 4**LIMIT
            if not expected:
                with pytest.raises(ConfigError, match="cannot be met"):
                    decode(source, [[0]], Options(strategy=strategy, **options, **wide))  # type: ignore[arg-type]
                continue
            (result,) = decode(source, [[0]], Options(strategy=strategy, count=count, **options, **wide))  # type: ignore[arg-type]
            found = {tuple(o.tokens.tolist()): o.log_probability for o in result.outputs}
            if strategy == "beam":
                assert found.keys() == expected.keys()
                assert math.fsum(map(math.exp, found.values())) == pytest.approx(
                    math.fsum(map(math.exp, expected.values()))
                )
            best = sorted(expected.values(), reverse=True)[:count]
            assert sorted(found.values(), reverse=True)[: len(best)] == pytest.approx(best)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_draws_satisfy_and_their_weights_give_the_mass(name: str) -> None:
    """The mean of p/q over draws from q is the probability p of all that satisfies."""
    constraint, satisfies = CONSTRAINTS[name]
    source = stepper()
    options = Options(strategy="sample", count=20_000, max_length=LIMIT, stop_tokens=(STOP,), constraints=(constraint,))
    (result,) = decode(source, [[0]], options)
    ratios = []
    for output in result.outputs[:4000]:
        assert satisfies(output.text)
        assert output.reason in (Reason.STOP_TOKEN, Reason.LENGTH)
        ratios.append(math.exp(output.log_probability - output.scores.sum()))
    mass = math.fsum(map(math.exp, satisfying(source, satisfies).values()))
    spread = np.std(ratios) / math.sqrt(len(ratios))
    assert abs(np.mean(ratios) - mass) <= 5 * spread + 1e-12


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_every_searcher_keeps_to_them_without_stop_tokens(name: str, strategy: str) -> None:
    constraint, satisfies = CONSTRAINTS[name]
    wide = {"width": 3} if strategy == "beam" else {}
    for source in (stepper(), network(4, 5)):
        options = Options(
            strategy=strategy, max_length=LIMIT, constraints=(constraint,), bias={STOP: -math.inf}, **wide
        )  # type: ignore[arg-type]
        for result in decode(source, [[0], [1, 2]], options):
            assert satisfies(result.best.text)
            assert result.best.finished


def test_several_constraints_hold_at_once() -> None:
    both = (Regex("[abc]*"), Infix("ab"), Prefix((2,)), Allowed("abc"))
    options = Options(strategy="beam", width=1024, count=1024, max_length=LIMIT, constraints=both, early="never")
    (result,) = decode(stepper(), [[0]], options)
    expected = {t for t in texts("abc", LIMIT) if len(t) == LIMIT and t.startswith("c") and "ab" in t}
    assert {o.text for o in result.outputs} == expected


def test_ending_as_soon_as_accepted() -> None:
    options = Options(
        strategy="sample", count=500, max_length=9, constraints=(Regex("a*b+c?"),), stop_when_accepted=True
    )
    (result,) = decode(stepper(), [[0]], options)
    for output in result.outputs:
        assert re.fullmatch("a*b", output.text or "")
        assert output.reason is Reason.CONSTRAINT


@pytest.mark.parametrize("stops", [("b",), ("ab",), ("aa", "ba"), ("abab", "ba"), ("abc", "b")])
@pytest.mark.parametrize("tokens", [["a", "b", "c"], ["a", "b", "ab", "bab", "ca", "c"]])
def test_stop_strings_across_tokens(stops: tuple[str, ...], tokens: list[str]) -> None:
    source = CallableStepper(lambda t, s: (np.zeros((len(t), len(tokens))), s), len(tokens), normalise=True)
    spelling = Spelling.of(tokens)
    options = Options(strategy="sample", count=3000, max_length=7, stop_strings=stops)
    (result,) = decode(source, [[0]], options, spelling)
    for output in result.outputs:
        whole = "".join(tokens[t] for t in output.tokens)
        before = "".join(tokens[t] for t in output.tokens[:-1])
        assert not any(stop in before for stop in stops)
        stopped = any(stop in whole for stop in stops)
        assert (output.reason is Reason.STOP_STRING) == stopped
        assert output.text == before_stop(whole, stops)


def test_the_text_before_a_stop_string_meets_the_constraint() -> None:
    options = Options(
        strategy="beam", width=3**7, count=3**7, max_length=7, early="never",
        constraints=(Regex("(ab)+"),), stop_strings=("ca", "cc"), bias={STOP: -math.inf},
    )  # fmt: skip
    (result,) = decode(stepper(), [[0]], options)
    found = {"".join("abc"[t] for t in o.tokens) for o in result.outputs if o.reason is Reason.STOP_STRING}
    assert found == {"ab" * n + stop for n in (1, 2) for stop in ("ca", "cc")}
    assert {o.text for o in result.outputs} == {"ab", "abab", "ababab"}  # behind the last there is no room to stop


def test_a_stop_string_that_no_token_writes() -> None:
    (result,) = decode(stepper(), [[0]], Options(max_length=4, stop_strings=("xyz",)))
    assert result.best.reason is Reason.LENGTH


@pytest.mark.parametrize("seed", range(60))
def test_random_expressions_against_python(seed: int) -> None:
    expression = written(random.Random(seed), 3)
    expected = {t for t in texts("abc", 4) if re.fullmatch(expression, t)}
    options = Options(
        strategy="beam", width=400, count=400, max_length=5, early="never", stop_tokens=(STOP,),
        constraints=(Regex(expression),),
    )  # fmt: skip
    if not expected:
        return
    (result,) = decode(markov(4, 0, sharp=5.0), [[0]], options)
    found = {o.text for o in result.outputs if o.reason is Reason.STOP_TOKEN}
    assert found == expected, expression


def written(pick: random.Random, depth: int) -> str:
    """A random expression over a, b, c."""
    if depth == 0:
        return pick.choice(["a", "b", "c", "[ab]", "[^b]", ".", r"\w", "(?:)", "[a-c]", r"\x61"])
    inner = [written(pick, depth - 1) for _ in range(2)]
    return pick.choice(
        [f"{inner[0]}{inner[1]}", f"(?:{inner[0]}|{inner[1]})", f"(?:{inner[0]})*{inner[1]}", f"(?:{inner[0]}){{1,2}}",
         f"({inner[0]})?{inner[1]}", f"(?:{inner[0]})+", f"(?:{inner[0]}){{2}}", f"(?:{inner[0]}){{1,}}|{inner[1]}"]
    )  # fmt: skip


BYTES = Spelling.of([bytes([value]) for value in range(256)])
ANY_BYTE = CallableStepper(lambda t, s: (np.zeros((len(t), 256)), s), 256, normalise=True, spelling=BYTES)


@pytest.mark.parametrize("expression", [None, "[äöü€]+😀", ".{3}", "[^a-zé]{2}x"])
def test_bytes_are_whole_characters(expression: str | None) -> None:
    constraint = Utf8() if expression is None else Regex(expression)
    (result,) = decode(ANY_BYTE, [[0]], Options(strategy="sample", count=300, max_length=12, constraints=(constraint,)))
    for output in result.outputs:
        text = bytes(output.tokens.astype(np.uint8)).decode("utf-8")
        assert text == output.text
        if expression is not None:
            assert re.fullmatch(expression, text)


def test_words_between_separators_of_several_bytes() -> None:
    words = Lexicon(("à", "b", "bà"), "é")
    (result,) = decode(ANY_BYTE, [[0]], Options(strategy="sample", count=300, max_length=9, constraints=(words,)))
    assert all(re.fullmatch("(à|b|bà)(é(à|b|bà))*", output.text or "") for output in result.outputs)
    assert len({output.text for output in result.outputs}) > 10


def test_every_character_is_possible_in_bytes() -> None:
    everything = nfa.automaton(pattern.Chars(((0, pattern.LAST),)), np.arange(256), True, WorkBudget(10_000))
    for point in [*range(0, 0x900, 3), 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF, 0x10000, 0x10FFFF]:
        state = 1
        for byte in chr(point).encode():
            state = everything.next[state, byte]
        assert everything.accept[state]
    for wrong in (b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"\xe0\x80\x80"):
        state = 1
        for byte in wrong:
            state = everything.next[state, byte]
        assert not everything.accept[state]


def test_what_the_model_makes_impossible_ends_with_that_reason() -> None:
    """The model never writes c after a: the constraint can be met by tokens, not by this model."""
    source = TableStepper([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]], Spelling.of(list("abc")))
    for strategy in ("greedy", "sample", "beam", "exact"):
        (result,) = decode(source, [[0]], Options(strategy=strategy, max_length=6, constraints=(Regex("ab*c"),)))  # type: ignore[arg-type]
        assert result.best.reason is Reason.DEAD_END
        assert not result.best.finished
        assert re.fullmatch("(ab*)?", result.best.text or "")
