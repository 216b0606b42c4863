"""Decodings in several threads at once share steppers; one decoding or scorer is of one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from elman.decode import CallableStepper, Decoding, Fusion, Grammar, Options, Reason, Regex, Scorer, decode
from elman.decode.scoring import score
from elman.errors import ConfigError
from tests.decode.small import markov, model, network
from tests.runtime.test_threads import at_once

STEPPERS: dict[str, Callable[[], Any]] = {
    "model": lambda: model("lstm", "gru", symbols="abcd", hidden=33),
    "table": lambda: markov(4, 0, order=2),
    "function": lambda: network(4, 0),
    "fusion": lambda: Fusion(model("gru", symbols="abcd"), model("lstm", symbols="abcd"), 0.5),
}
OPTIONS = (
    Options(strategy="sample", count=3, max_length=12, stop_tokens=(3,)),
    Options(strategy="beam", width=4, count=4, max_length=8),
    Options(strategy="greedy", max_length=12, constraints=(Regex("(ab|c)*"),)),
    Options(strategy="sample", max_length=12, constraints=(Grammar('s ::= "a" s "b" | "c"'),)),
)


@pytest.mark.parametrize("name", STEPPERS)
def test_threads_share_a_stepper(name: str) -> None:
    stepper = STEPPERS[name]()

    def work(job: int) -> list[Any]:
        prompts = [[job % 4], [1, job % 3, 2]]
        results = decode(stepper, prompts, OPTIONS[job % len(OPTIONS)])
        return [(o.tokens.tolist(), o.log_probabilities.tobytes()) for r in results for o in r.outputs]

    assert at_once(work, range(24), threads=3) == [work(job) for job in range(24)]


def test_threads_go_on_from_what_one_has_carried() -> None:
    stepper = model("lstm", hidden=33)
    (result,) = decode(stepper, ["ab"], Options(max_length=5))
    carried = result.best.carried

    def work(seed: int) -> list[int]:
        (more,) = decode(stepper, [carried], Options(strategy="sample", max_length=20, seed=seed))
        return more.best.tokens.tolist()

    assert at_once(work, range(20)) == [work(seed) for seed in range(20)]


def test_threads_score_with_one_stepper() -> None:
    stepper, tokens = model("gru", hidden=33), np.random.default_rng(0).integers(0, 6, (12, 40))
    found = at_once(lambda k: score(stepper, tokens[k], 1 + k % 3).tobytes(), range(12))
    assert found == [score(stepper, row, 1 + k % 3).tobytes() for k, row in enumerate(tokens)]


class Held:
    """A stepper whose first step in another thread waits until it is let go."""

    def __init__(self) -> None:
        self.inside, self.go_on, self._mine = threading.Event(), threading.Event(), threading.get_ident()
        self._table = markov(4, 0).log_probabilities

    def stepper(self) -> CallableStepper:
        return CallableStepper(self._step, 4)

    def _step(self, tokens: Any, state: Any) -> Any:
        if threading.get_ident() != self._mine:
            self.inside.set()
            assert self.go_on.wait(600)
        return self._table[tokens], state


def test_a_decoding_of_two_threads_is_refused_and_can_be_cancelled() -> None:
    held = Held()
    decoding = Decoding(held.stepper(), [[0]], Options(max_length=50))
    expected = decode(held.stepper(), [[0]], Options(max_length=50))[0].best.tokens.tolist()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(decoding.results)
        assert held.inside.wait(600)
        for use in (lambda: next(decoding), decoding.results):
            with pytest.raises(ConfigError, match=r"this decoding is in use.*: give each thread a decoding of its own"):
                use()
        decoding.cancel()
        held.go_on.set()
        (output,) = first.result()[0].outputs
    assert output.reason is Reason.CANCELLED
    assert output.tokens.tolist() == expected[: len(output.tokens)]


def test_a_scorer_of_two_threads_is_refused() -> None:
    held = Held()
    scorer = Scorer(held.stepper())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(scorer.feed, [0, 1, 2])
        assert held.inside.wait(600)
        with pytest.raises(ConfigError, match=r"this scorer is in use.*: give each thread a scorer of its own"):
            scorer.feed([1])
        held.go_on.set()
        np.testing.assert_array_equal(first.result(), Scorer(held.stepper()).feed([0, 1, 2]))


def test_a_decoding_is_not_entered_from_within() -> None:
    def step(tokens: Any, state: Any) -> Any:
        with pytest.raises(ConfigError, match="this decoding is in use"):
            decoding.results()
        return markov(4, 0).log_probabilities[tokens], state

    decoding = Decoding(CallableStepper(step, 4), [[0]], Options(max_length=3))
    assert len(decoding.results()[0].best.tokens) == 3
