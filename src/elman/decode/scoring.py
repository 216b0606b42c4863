"""How likely a stepper finds what is there already."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.arrays import as_array
from elman.checks import OneAtATime, shown, whole
from elman.decode.door import admitted
from elman.decode.roles import Floats, Integers, Stepper
from elman.errors import ConfigError, DataError


class Scorer:
    """Reads a sequence in chunks of any size; where they are cut does not change a bit.

    Args:
        stepper: what predicts.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = admitted(stepper)
        self._state = self._stepper.start(1)
        self._last = self._stepper.begin
        self._one_at_a_time = OneAtATime("this scorer", "give each thread a scorer of its own")

    def feed(self, tokens: ArrayLike) -> Floats:
        """The log-probability of each token given all before it, [N]; NaN for a first one that nothing predicts.

        Raises:
            DataError: tokens that the stepper does not have.
            ConfigError: another thread feeds this scorer.
        """
        values = _checked(tokens, self._stepper.size)
        found = np.full(len(values), np.nan)
        with self._one_at_a_time:
            for place, token in enumerate(values.tolist()):
                if self._last is not None:
                    predicted, self._state = self._stepper.step(np.array([self._last]), self._state)
                    found[place] = predicted[0, token]
                self._last = token
        return found


def score(stepper: Stepper, tokens: ArrayLike, streams: int = 1) -> Floats:
    """The log-probability of each token given all before it.

    Args:
        stepper: what predicts.
        tokens: [N].
        streams: stretches that are read side by side, which is faster; each but the first knows one token of its past.

    Returns:
        [N]; NaN for a first token that nothing predicts.

    Raises:
        ConfigError, DataError: no stretches, or tokens that the stepper does not have.
    """
    stepper, streams = admitted(stepper), whole("streams", streams, 1)
    values = _checked(tokens, stepper.size)
    if streams == 1 or len(values) < 2 * streams:
        return Scorer(stepper).feed(values)
    return _side_by_side(stepper, values, streams)


def _side_by_side(stepper: Stepper, values: Integers, streams: int) -> Floats:
    """The first stretches are the longer ones, by a token, so that those that end first are the last rows."""
    begins = np.linspace(0, len(values), streams + 1).astype(np.int64)
    begins = np.concatenate(([0], np.cumsum(np.sort(np.diff(begins))[::-1])))
    lengths = np.diff(begins)
    found = np.full(len(values), np.nan)
    begin = stepper.begin
    state, alive = stepper.start(streams), streams
    before = np.where(begins[:-1] > 0, values[begins[:-1] - 1], 0 if begin is None else begin)
    for place in range(int(lengths[0])):
        going = int((lengths > place).sum())
        if going < alive:
            state, before, alive = state.select(np.arange(going)), before[:going], going
        predicted, state = stepper.step(before, state)
        at = begins[:going] + place
        before = values[at]
        found[at] = predicted[np.arange(going), before]
        if place == 0 and begin is None:
            found[0], state = np.nan, _begin_anew(stepper, state, going)
    return found


def _begin_anew(stepper: Stepper, state: Any, streams: int) -> Any:
    """The first stretch has read a token that is not there: let it begin at its own first token."""
    joined = stepper.join([stepper.start(1), state.select(np.arange(1, streams))])
    if joined is None:
        raise ConfigError("this stepper's states cannot be joined, so that it reads one stream; say streams=1")
    return joined


def bits_per_token(log_probabilities: Floats) -> float:
    """Mean −log2 p of what was predicted; NaN where nothing was."""
    values = _as_array(log_probabilities, np.float64)
    known = values[~np.isnan(values)]
    return float(-known.mean() / np.log(2)) if len(known) else float("nan")


def _checked(tokens: ArrayLike, size: int) -> Integers:
    values = _as_array(tokens)
    if values.ndim != 1 or (
        values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= size)
    ):
        raise DataError(f"tokens to score must be whole numbers 0 … {size - 1}, [N]; got {values.dtype} {values.shape}")
    checked: Integers = values.astype(np.int64)
    return checked


def _as_array(given: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    values = as_array(given, dtype)
    if values is None:
        raise DataError(f"numbers [N] expected, got {shown(given)}")
    return values
