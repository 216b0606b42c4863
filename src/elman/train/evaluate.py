"""How well a model predicts a text that it has not learned from."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from elman.models import LanguageModel
from elman.state import State

_STRETCH = 2048  # predictions of one stretch at least: what its start without a past costs is then far below 1%
_MOST_STRETCHES = 32
_STEPS = 512


def bits_per_character(model: LanguageModel, tokens: NDArray[np.int64]) -> float:
    """Mean −log2 p of each token but the first, given all before it.

    The text is read as up to 32 stretches side by side, each with the state carried along from the stretch's beginning.

    Args:
        model: put into evaluation mode for the time being.
        tokens: int64 [N], at least two.
    """
    count = len(tokens) - 1
    stretches = max(1, min(_MOST_STRETCHES, count // _STRETCH))
    length = count // stretches
    whole = torch.from_numpy(tokens[: stretches * length].reshape(stretches, length).T.copy())
    follow = torch.from_numpy(tokens[1 : stretches * length + 1].reshape(stretches, length).T.copy())
    rest = torch.from_numpy(tokens[stretches * length :, None].copy())
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            nats, state = _read(model, whole, follow, None)
            if len(rest) > 1:  # the last few go on from the last stretch
                nats += _read(model, rest[:-1], rest[1:], state.select([stretches - 1]))[0]
    finally:
        model.train(was_training)
    return nats / (count * math.log(2))


def _read(
    model: LanguageModel, inputs: torch.Tensor, targets: torch.Tensor, state: State | None
) -> tuple[float, State]:
    """Sum of −ln p over targets [T, B], and the state after them."""
    total = 0.0
    for begin in range(0, len(inputs), _STEPS):
        part = slice(begin, begin + _STEPS)
        nats, state = model.loss(inputs[part], targets[part], state, reduction="sum")
        total += nats.item()
    assert state is not None  # there is at least one target
    return total, state
