"""Greedy decoding and sampling: the right distribution, and nothing of the batch in it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elman.decode import Decoding, Options, Reason, TableStepper, decode, sample
from tests.decode.small import STEPPERS, everything, markov, model, network, predictions

DRAWS, FEWER = 1_000_000, 100_000


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """The statistic, less its mean, in standard deviations: above 5 once in a few hundred thousand times."""
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    expected = counts.sum() * probabilities[possible]
    freedom = max(1, possible.sum() - 1)
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    return float((statistic - freedom) / math.sqrt(2 * freedom))


def drawn(stepper: Any, length: int, draws: int, **options: Any) -> np.ndarray:
    """Draws of `length` tokens after token 0, as one number each."""
    (result,) = decode(stepper, [[0]], Options(strategy="sample", max_length=length, count=draws, seed=5, **options))
    ended = {id(part): part for part in result.outputs._parts}.values()  # arrays rather than a million small ones
    written = np.concatenate([part.live.written for part in ended])
    assert written.shape == (len(result.outputs), length) == (draws, length)
    return written @ stepper.size ** np.arange(length)[::-1]


@pytest.mark.parametrize("kind", ["markov", "network"])
def test_a_million_draws(kind: str) -> None:
    stepper = {"markov": markov, "network": network}[kind](5, 0)
    listed = everything(stepper, [0], 2)
    probabilities = np.array([math.exp(listed.get((a, b), -math.inf)) for a in range(5) for b in range(5)])
    counts = np.bincount(drawn(stepper, 2, DRAWS), minlength=25)
    assert chi_square(counts, probabilities) < 5


ROW = np.array([0.30, 0.05, 0.25, 0.02, 0.25, 0.13])


def renormalised(kept: list[int]) -> np.ndarray:
    p = np.where(np.isin(np.arange(6), kept), ROW, 0.0)
    return p / p.sum()


ENTROPY = -(ROW * np.log(ROW)).sum()
NEAREST = np.argsort(np.abs(-np.log(ROW) - ENTROPY), kind="stable")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ROW),
        ({"temperature": 0.5}, ROW**2 / (ROW**2).sum()),
        ({"temperature": 2.5}, ROW**0.4 / (ROW**0.4).sum()),
        ({"top_k": 2}, renormalised([0, 2])),  # 2 and 4 are equal: the lower token is kept
        ({"top_k": 9}, ROW),
        ({"top_p": 0.55}, renormalised([0, 2])),  # exactly what these two hold
        ({"top_p": 0.80}, renormalised([0, 2, 4])),
        ({"top_p": 0.56}, renormalised([0, 2, 4])),
        ({"top_p": 1e-9}, renormalised([0])),
        ({"min_p": 0.4}, renormalised([0, 2, 4, 5])),
        ({"min_p": 1.0}, renormalised([0])),
        ({"min_p": 0.13 / 0.30}, renormalised([0, 2, 4, 5])),
        ({"typical_p": 0.6}, renormalised(NEAREST[:3].tolist())),
        ({"typical_p": 0.1}, renormalised(NEAREST[:1].tolist())),
        ({"bias": {1: math.log(4), 0: -math.inf}}, np.array([0, 0.2, 0.25, 0.02, 0.25, 0.13]) / 0.85),
        ({"repetition_penalty": 2.0}, np.array([0.09, 0.05, 0.25, 0.02, 0.25, 0.13]) / 0.79),  # the prompt is 0
        ({"presence_penalty": 1.0}, ROW),  # nothing stands in the text yet
        ({"top_k": 3, "top_p": 0.68}, renormalised([0, 2])),  # 0.55 of 0.80 is 0.6875
    ],
)
def test_filters_by_their_definitions(options: dict[str, Any], expected: np.ndarray) -> None:
    stepper = TableStepper(np.tile(ROW, (6, 1)))
    assert chi_square(np.bincount(drawn(stepper, 1, FEWER, **options), minlength=6), expected) < 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"repetition_penalty": 1.7}, [ROW[0] ** 1.7, *ROW[1:4], ROW[4] ** 1.7, ROW[5]]),
        ({"frequency_penalty": 0.8}, [*ROW[:4], ROW[4] * math.exp(-1.6), ROW[5]]),
        ({"presence_penalty": 0.8}, [*ROW[:4], ROW[4] * math.exp(-0.8), ROW[5]]),
        ({"presence_penalty": -0.5, "frequency_penalty": 0.1}, [*ROW[:4], ROW[4] * math.exp(0.3), ROW[5]]),
    ],
)
def test_penalties_by_their_definitions(options: dict[str, Any], expected: list[float]) -> None:
    """The prompt is 0, the text so far 4 4."""
    stepper = TableStepper(np.tile(ROW, (6, 1)))
    (begun,) = decode(stepper, [[0]], Options(max_length=2, bias={4: 50.0}))
    assert begun.best.tokens.tolist() == [4, 4]
    (result,) = decode(
        stepper, [begun.best.carried], Options(strategy="beam", width=6, count=6, max_length=1, **options)
    )
    found = {int(o.tokens[0]): math.exp(o.rank) for o in result.outputs}
    assert [found[k] for k in range(6)] == pytest.approx(np.array(expected) / np.sum(expected))


def test_what_was_drawn_says_how_likely_that_was() -> None:
    stepper = network(5, 2)
    options = Options(strategy="sample", max_length=6, count=50, temperature=0.7, top_k=3)
    (result,) = decode(stepper, [[1]], options)
    for output in result.outputs:
        rows = predictions(stepper, [1], output.tokens)[:-1]
        np.testing.assert_allclose(output.log_probabilities, rows[np.arange(6), output.tokens], rtol=1e-12)
        for row, token, score in zip(rows, output.tokens, output.scores, strict=True):
            kept = np.sort(row)[-3:] / 0.7
            assert row[token] >= np.sort(row)[-3]
            assert score == pytest.approx(row[token] / 0.7 - np.log(np.exp(kept).sum()))


@pytest.mark.parametrize("kind", STEPPERS)
@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_a_result_does_not_depend_on_the_batch(kind: str, strategy: str) -> None:
    stepper = STEPPERS[kind](1)
    extra: dict[str, Any] = {"beam": {"width": 3, "count": 3}, "sample": {"count": 4, "top_p": 0.9}}.get(strategy, {})
    options = Options(strategy=strategy, max_length=6, stop_tokens=(1,), seed=9, **extra)  # type: ignore[arg-type]
    prompts = [[0], [2, 1, 0], [1], [0, 0], [2], [0, 1, 2, 0, 1, 2, 2]]
    together = decode(stepper, prompts, options)
    for prompt, result in zip(prompts, together, strict=True):
        (alone,) = decode(stepper, [prompt], options)
        for one, other in zip(alone.outputs, result.outputs, strict=True):
            assert one.tokens.tolist() == other.tokens.tolist()
            assert one.log_probabilities.tobytes() == other.log_probabilities.tobytes()
            assert one.scores.tobytes() == other.scores.tobytes()


def test_seeds() -> None:
    stepper = markov(5, 0)

    def texts(prompts: int = 1, **options: Any) -> list[list[list[int]]]:
        results = decode(stepper, [[0]] * prompts, Options(strategy="sample", max_length=12, **options))
        return [[o.tokens.tolist() for o in r.outputs] for r in results]

    assert texts(seed=3) == texts(seed=3) != texts(seed=4)
    (many,) = texts(count=5)
    assert len({tuple(text) for text in many}) == 5
    assert texts(count=3)[0] == many[:3]
    assert texts(3, seed=(7, 8, 7)) == [texts(seed=7)[0], texts(seed=8)[0], texts(seed=7)[0]]
    assert texts(seed=(1 << 64) - 1) != texts(seed=0)


def test_going_on_is_the_same_as_not_stopping() -> None:
    for stepper in (markov(4, 0), network(4, 0), model(symbols="abcd")):
        for extra in (
            {},
            {"repetition_penalty": 1.5, "frequency_penalty": 0.4},
            {"no_repeat_ngram": 3},
            {"temperature": 0.5},
        ):
            options = {"strategy": "sample", "count": 3, "seed": 11, **extra}
            (whole,) = decode(stepper, [[2, 1]], Options(max_length=12, **options))  # type: ignore[arg-type]
            (first,) = decode(stepper, [[2, 1]], Options(max_length=5, **options))  # type: ignore[arg-type]
            carried = [output.carried for output in first.outputs]
            rest = decode(stepper, carried, Options(max_length=7, **(options | {"count": 1})))  # type: ignore[arg-type]
            again = decode(stepper, carried, Options(max_length=7, **(options | {"count": 1})))  # type: ignore[arg-type]
            for k in range(3):
                joined = [*first.outputs[k].tokens.tolist(), *rest[k].best.tokens.tolist()]
                assert joined == whole.outputs[k].tokens.tolist()
                assert again[k].best.tokens.tolist() == rest[k].best.tokens.tolist()
                assert rest[k].best.carried.text.tolist() == joined


def test_more_samples_than_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.decode.search import draw

    options = Options(strategy="sample", count=10, max_length=7, stop_tokens=(1,))
    prompts = [[0], [2, 3], [3]]
    expected = [[o.tokens.tolist() for o in r.outputs] for r in decode(markov(4, 1), prompts, options)]
    monkeypatch.setattr(draw, "_SIDE_BY_SIDE", 4)
    found = [[o.tokens.tolist() for o in r.outputs] for r in decode(markov(4, 1), prompts, options)]
    assert found == expected
    decoding = Decoding(markov(4, 1), prompts, options)
    next(iter(decoding))
    decoding.cancel()
    outputs = [output for result in decoding.results() for output in result.outputs]
    assert len(outputs) == 30
    assert sum(len(output.tokens) for output in outputs) == 4
    assert {output.reason for output in outputs} <= {Reason.CANCELLED, Reason.STOP_TOKEN}
    none = decode(markov(4, 1), prompts, replace(options, max_length=0))
    assert [len(result.outputs) for result in none] == [10, 10, 10]


def test_stopping_by_token() -> None:
    (result,) = decode(markov(4, 1), [[0]], Options(strategy="sample", count=200, max_length=9, stop_tokens=(1, 3)))
    for output in result.outputs:
        stopped = output.reason is Reason.STOP_TOKEN
        assert stopped == (output.tokens[-1] in (1, 3))
        assert not np.isin(output.tokens[:-1], (1, 3)).any()
        assert stopped or len(output.tokens) == 9
        assert output.text == "".join("abcd"[t] for t in output.tokens[: len(output.tokens) - stopped])


def test_frequencies_of_whole_sequences() -> None:
    """Sequences of different lengths: each as often as its probability says."""
    stepper = markov(3, 3)
    listed = everything(stepper, [0], 4, [1])
    assert sum(map(math.exp, listed.values())) == pytest.approx(1.0)
    (result,) = decode(stepper, [[0]], Options(strategy="sample", count=100_000, max_length=4, stop_tokens=(1,)))
    counts = Counter(tuple(o.tokens.tolist()) for o in result.outputs)
    names = sorted(listed)
    found, expected = np.array([counts[n] for n in names]), np.exp([listed[n] for n in names])
    assert found.sum() == 100_000
    assert chi_square(found, expected / expected.sum()) < 5


def test_temperature_zero_and_a_tiny_one_are_greedy() -> None:
    stepper = markov(5, 1)
    greedy = decode(stepper, [[0]], Options(max_length=20))[0].best.tokens.tolist()
    for temperature in (0.0, 1e-320):
        assert list(sample(stepper, [0], 20, temperature)) == greedy


def test_sampling_one_after_another_computes_nothing_in_advance() -> None:
    fed: list[int] = []
    table = markov(4, 0)

    class Watching(TableStepper):
        def step(self, tokens: Any, state: Any) -> Any:
            fed.extend(tokens.tolist())
            return super().step(tokens, state)

    tokens = sample(Watching(np.exp(table.log_probabilities)), [3, 1, 2], 10)
    assert fed == [3, 1]
    drawn = [next(tokens), next(tokens)]
    assert fed == [3, 1, 2, drawn[0]]


def test_no_tokens_at_all() -> None:
    for strategy in ("greedy", "sample", "beam", "exact"):
        (result,) = decode(markov(3, 0), [[0]], Options(strategy=strategy, max_length=0))  # type: ignore[arg-type]
        assert (result.best.tokens.tolist(), result.best.text, result.best.reason) == ([], "", Reason.LENGTH)
        assert result.best.log_probability == 0.0
