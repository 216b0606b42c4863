"""A trained model as a stepper: numpy and the kernels."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from elman.decode.roles import Floats, Integers, Stepper, log_softmax
from elman.decode.spelling import Spelling
from elman.errors import DataError
from elman.runtime.model import Model
from elman.runtime.rows import RowState, RowStepper


class ModelStepper(Stepper):
    """A saved model. A sequence's log-probabilities are the same bits in every batch and with any number of threads.

    Threads may share it; each that steps at the same time as others takes memory of its own.

    Args:
        model: from `elman.load`; it predicts tokens.
        threads: that a step may take; 0: by the work, and at most ELMAN_NUM_THREADS or the cores there are.

    Raises:
        ConfigError: it does not.
    """

    def __init__(self, model: Model, threads: int = 0) -> None:
        self._rows = RowStepper(model, threads)
        self.size = self._rows.size
        self.spelling = Spelling.of(model.vocabulary) if model.vocabulary is not None else None

    is_checked = True

    def start(self, batch: int) -> RowState:
        """The state of sequences that have read nothing."""
        return self._rows.start(batch)

    def logits(self, tokens: Integers, state: RowState) -> tuple[NDArray[Any], RowState]:
        """As `step`, before the softmax."""
        return self._rows.step(tokens, state, np.copy)

    def step(self, tokens: Integers, state: RowState) -> tuple[Floats, RowState]:
        """One token each, [B] → log-probabilities [B, V] and the state.

        Raises:
            DataError: the model computes no numbers any more.
        """
        scores, after = self._rows.step(tokens, state, log_softmax)
        first = scores.item(0) if len(scores) == 1 else np.add.reduce(scores[:, 0])
        if first != first:  # a NaN spreads over its row
            _refuse(scores)
        return scores, after


def _refuse(scores: Floats) -> NoReturn:
    row = int(np.isnan(scores[:, 0]).argmax())
    raise DataError(f"the model gives NaN for sequence {row}: its weights are damaged, or have overflowed")
