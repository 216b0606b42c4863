"""Steppers of one's own: what they must have, what they get, and what is looked at where they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman.decode import Fusion, Options, Stepper, decode, score
from elman.errors import ConfigError, DataError, ShapeError
from tests.decode.small import markov, model


class Inherited(Stepper):
    """A user's stepper with the defaults of the role."""

    size = 4

    def __init__(self) -> None:
        self.table = markov(4, 3)

    def start(self, batch: int, /) -> Any:
        return self.table.start(batch)

    def step(self, tokens: Any, state: Any, /) -> Any:
        return self.table.step(tokens, state)


def test_a_stepper_that_inherits_has_defaults_and_is_checked() -> None:
    found, expected = (decode(s, [[0], [1, 2]], Options(max_length=5)) for s in (Inherited(), markov(4, 3)))
    assert [r.best.tokens.tolist() for r in found] == [r.best.tokens.tolist() for r in expected]
    assert np.array_equal(score(Inherited(), [0, 1, 2], 1)[1:], score(markov(4, 3), [0, 1, 2], 1)[1:])
    bad = Inherited()
    bad.table.log_probabilities = np.zeros((4, 4))
    for use in (lambda: decode(bad, [[0]]), lambda: score(bad, [0, 1])):
        with pytest.raises(DataError, match="the stepper's probabilities of sequence 0 sum to 4, expected 1"):
            use()


class Bare:
    """A stepper that inherits from nothing, whose parts a test may replace."""

    def __init__(self, **parts: Any) -> None:
        vars(self).update({"size": 4, "start": markov(4, 3).start, "step": markov(4, 3).step} | parts)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"size": "4"}, "the stepper's size must be a whole number of at least 1, got '4'"),
        ({"step": None}, "a stepper is needed, got .*; CallableStepper makes one of a function"),
        ({"spelling": "abcd"}, "the stepper's spelling must be a Spelling or None, got 'abcd'"),
        ({"begin": -1}, "the stepper's begin must be a whole number of at least 0, got -1"),
        ({"start": lambda batch: np.zeros(batch)}, r"state must have select\(parents\), got ndarray"),
        ({"step": lambda tokens, state: np.zeros((1, 4))}, r"must give \(log-probabilities, state\), got ndarray"),
    ],
)
def test_a_stepper_is_looked_at_where_it_comes_in(parts: dict[str, Any], message: str) -> None:
    for use in (lambda s: decode(s, [[0]]), lambda s: score(s, [0, 1]), lambda s: decode(Fusion(s, s, 0.5), [[0]])):
        with pytest.raises(ConfigError, match=message):
            use(Bare(**parts))


def test_what_another_stepper_has_carried_is_refused() -> None:
    (result,) = decode(markov(6, 0), [[0]], Options(max_length=3))
    for prompts in ([result.best.carried], [result.best.carried, [1, 2]]):
        with pytest.raises(ConfigError, match="state"):
            decode(model("lstm"), prompts, Options(max_length=3))


def test_what_a_model_of_another_size_has_carried_is_refused() -> None:
    (result,) = decode(model("lstm", hidden=9), [[0]], Options(max_length=3))
    for prompts, error in (([result.best.carried], ShapeError), ([result.best.carried, [1, 2]], ConfigError)):
        with pytest.raises(error, match="another"):
            decode(model("lstm", hidden=7), prompts, Options(max_length=3))
