"""A torch module as a stepper for `elman.decode`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman.checks import a_function, of_kind, whole
from elman.decode import Spelling
from elman.decode.roles import Floats, Integers, Stepper, log_softmax
from elman.errors import ConfigError, DataError, ShapeError
from elman.state import State


class TorchStepper(Stepper):
    """Steps a torch model. Its products may round differently in another batch; `ModelStepper` never does.

    Args:
        model: (tokens int64 [1, B], state) → (logits [1, B, V], state), such as a `Network`; a state is a tensor,
            an `elman.state.State`, or tuples, lists and dictionaries of these. For a beginning it is given None. A
            module is put into evaluation mode.
        size: V.
        axis: the batch axis of the state's tensors.
        spelling: what tokens write.
        begin: the token that an empty prompt stands for.
    """

    def __init__(
        self,
        model: Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]],
        size: int,
        *,
        axis: int = 1,
        spelling: Spelling | None = None,
        begin: int | None = None,
    ) -> None:
        a_function("model", model, "a function (tokens, state) → (logits, state)")
        self._model, self.size, self._axis = model, whole("size", size, 1), whole("axis", axis)
        if spelling is not None:
            of_kind("spelling", spelling, Spelling, "a Spelling or None")
        self.spelling, self.begin = spelling, None if begin is None else whole("begin", begin)
        self._device = torch.device("cpu")
        if isinstance(model, torch.nn.Module):
            model.eval()
            self._device = next((p.device for p in model.parameters()), self._device)

    is_checked = True

    def start(self, batch: int) -> TorchState:
        """The state of sequences that have read nothing."""
        return TorchState(None, self._axis)

    def step(self, tokens: Integers, state: TorchState) -> tuple[Floats, TorchState]:
        """One token each, [B] → log-probabilities [B, V] and the state.

        Raises:
            ShapeError: the model does not give [1, B, V].
            DataError: it gives NaN.
        """
        of_kind("state", state, TorchState, "what start or a step gave")
        with torch.inference_mode():
            logits, after = self._model(torch.from_numpy(tokens).to(self._device)[None], state.value)
        if tuple(logits.shape) != (1, len(tokens), self.size):
            raise ShapeError(f"the model must give logits [1, {len(tokens)}, {self.size}], got {list(logits.shape)}")
        values: NDArray[Any] = logits[0].float().cpu().numpy()
        scores = log_softmax(values)
        if np.isnan(scores).any():
            raise DataError("the model gives NaN: its weights are damaged, or have overflowed")
        return scores, TorchState(after, self._axis)


@dataclass(frozen=True, eq=False)
class TorchState:
    """A model's state as a value.

    Attributes:
        value: what the model gave; None at the beginning.
        axis: the batch axis of its tensors.
    """

    value: Any
    axis: int

    def select(self, parents: Integers) -> TorchState:
        """Some of the sequences, repeats allowed."""
        indices = torch.from_numpy(parents)

        def chosen(tensors: list[torch.Tensor]) -> torch.Tensor:
            return tensors[0].index_select(self.axis, indices.to(tensors[0].device))

        return TorchState(_over([self.value], chosen), self.axis)

    def join(self, others: Sequence[TorchState]) -> TorchState | None:
        """These sequences and others after them; None where some have read nothing: that state only the model knows."""
        values = [self.value, *(other.value for other in others)]
        if any((value is None) != (self.value is None) for value in values):
            return None
        return TorchState(_over(values, lambda tensors: torch.cat(tensors, self.axis)), self.axis)


def _over(values: list[Any], change: Callable[[list[torch.Tensor]], torch.Tensor]) -> Any:
    """One structure from several alike, tensor by tensor."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, torch.Tensor):
        return change(values)
    if isinstance(first, State):
        return State({name: _over([v[name] for v in values], change) for name in first}, first.axis, first.start)
    if isinstance(first, dict):
        return {name: _over([v[name] for v in values], change) for name in first}
    if isinstance(first, tuple | list):
        parts = [_over(list(part), change) for part in zip(*values, strict=True)]
        return type(first)(parts)
    raise ConfigError(f"a state must be tensors, or tuples, lists and dictionaries of them; got {type(first).__name__}")
