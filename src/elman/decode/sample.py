"""Drawing a sequence from a model, one token after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError


class Stepper(Protocol):
    """What is decoded from: takes a token, gives the logits [V] of the next one."""

    def step(self, token: int, /) -> NDArray[Any]: ...


def sample(
    stepper: Stepper, prompt: Sequence[int], length: int, temperature: float = 1.0, seed: int = 0
) -> Iterator[int]:
    """Draw tokens, each given the prompt and all that were drawn before it.

    Args:
        stepper: fed with the prompt and then with its own tokens.
        prompt: at least one token; not given back.
        length: tokens to draw, at least 0.
        temperature: the logits are divided by it, so that below 1 likely tokens become likelier; 0 takes the likeliest.
        seed: the same seed draws the same tokens.

    Raises:
        ConfigError: an empty prompt, a negative length, or a temperature that is negative or not finite.
    """
    if len(prompt) == 0:
        raise ConfigError("sampling needs a prompt of at least one token")
    if length < 0:
        raise ConfigError(f"the length of a sample must be at least 0, got {length}")
    if not 0 <= temperature < np.inf:
        raise ConfigError(f"the temperature must be 0 or above and finite, got {temperature}")
    return _draws(stepper, prompt, length, temperature, np.random.default_rng(seed))


def _draws(
    stepper: Stepper, prompt: Sequence[int], length: int, temperature: float, random: np.random.Generator
) -> Iterator[int]:
    for token in prompt[:-1]:
        stepper.step(token)
    token = prompt[-1]
    for _ in range(length):
        token = draw(stepper.step(token), temperature, random)
        yield token


def draw(logits: NDArray[Any], temperature: float, random: np.random.Generator) -> int:
    """One token from softmax(logits / temperature), logits [V]; one random number is used, none at temperature 0."""
    if temperature == 0:
        return int(np.argmax(logits))
    with np.errstate(over="ignore"):  # a tiny temperature may push unlikely tokens to -inf, which is right
        scaled = (logits.astype(np.float64) - np.max(logits)) / temperature
    total = np.cumsum(np.exp(scaled))
    chosen = np.searchsorted(total, random.random() * total[-1], side="right")
    return min(int(chosen), len(total) - 1)  # the product may round up to the total
