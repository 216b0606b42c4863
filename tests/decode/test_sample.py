"""Drawing tokens."""

from __future__ import annotations

import numpy as np
import pytest

from elman.decode import sample
from elman.errors import ConfigError


class Table:
    """A stepper whose logits depend on the last token alone; remembers what it was fed."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits, self.fed = logits, list[int]()

    def step(self, token: int) -> np.ndarray:
        self.fed.append(token)
        return self.logits[token]


LOGITS = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)


def test_a_stepper_gets_the_prompt_and_then_what_was_drawn() -> None:
    stepper = Table(LOGITS)
    drawn = list(sample(stepper, [3, 1, 2], 5))
    assert stepper.fed == [3, 1, 2, *drawn[:-1]]


def test_seeds() -> None:
    draws = [list(sample(Table(LOGITS), [0], 50, seed=seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_greedy() -> None:
    drawn = list(sample(Table(LOGITS), [0], 6, temperature=0.0))
    expected, token = [], 0
    for _ in range(6):
        token = int(LOGITS[token].argmax())
        expected.append(token)
    assert drawn == expected


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_softmax(temperature: float) -> None:
    row = np.array([1.0, 0.0, -1.0, 0.5])
    drawn = list(sample(Table(np.tile(row, (4, 1))), [0], 20_000, temperature, seed=3))
    expected = np.exp(row / temperature) / np.exp(row / temperature).sum()
    found = np.bincount(drawn, minlength=4) / len(drawn)
    # Five standard deviations of a frequency at p = 1/2 are 5 / (2 sqrt(20000)) = 0.018.
    assert np.abs(found - expected).max() < 0.018


def test_what_cannot_be_is_never_drawn() -> None:
    row = np.array([-np.inf, 0.0, 0.0, -np.inf])
    assert set(sample(Table(np.tile(row, (4, 1))), [1], 500)) == {1, 2}


def test_a_tiny_temperature_is_greedy() -> None:
    warm = list(sample(Table(LOGITS), [0], 20, temperature=1e-320))
    assert warm == list(sample(Table(LOGITS), [0], 20, temperature=0.0))


def test_nothing_is_drawn_in_advance() -> None:
    stepper = Table(LOGITS)
    tokens = sample(stepper, [1, 0], 10)
    assert stepper.fed == []
    next(tokens)
    assert stepper.fed == [1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": []}, "a prompt of at least one token"),
        ({"length": -1}, "at least 0, got -1"),
        ({"temperature": -0.1}, "0 or above and finite, got -0.1"),
        ({"temperature": float("nan")}, "0 or above and finite"),
        ({"temperature": float("inf")}, "0 or above and finite"),
    ],
)
def test_refusals_come_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sample(Table(LOGITS), **({"prompt": [0], "length": 3} | options))  # type: ignore[arg-type]
