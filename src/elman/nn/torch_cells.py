"""`LSTMCell`, `GRUCell` and `RNNCell`: torch's own cells, with a step on the fused kernels on CPUs.

They are subclasses that override `forward` alone, and torch's forward is their reference path. A sequence step by step
gives the bits that the layer of the same weights gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.fx import Proxy

from elman.nn._library import watched
from elman.nn._standin import RecurrentStandIn, traced
from elman.nn._torch_weights import torch_direction
from elman.nn.call import Call
from elman.nn.paths import fused
from elman.nn.paths.choice import Path, choose_path, differentiating
from elman.nn.paths.reference import reference
from elman.nn.paths.step import step
from elman.nn.plans import DENSE, PlanSpec
from elman.nn.sized import SizedCell
from elman.nn.stack import Direction

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_OTHER = Path("reference", "torch's own step: the kernels' has float32 and float64, without autocast")


class _FusedCell(RecurrentStandIn, torch.nn.RNNCellBase):
    """What the three cells share."""

    _states: ClassVar[int] = 1

    def path(self, input: Tensor, hx: Any = None) -> Path:
        """Which path a call with this input takes, and why."""
        return _choose([input, *self._given(hx), *self._tensors()])

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch's cell of the same name: a step of a batch [B, D], or of one sequence [D]."""
        if isinstance(input, Proxy):
            return traced(self, input, hx)
        states, tensors = self._given(hx), self._tensors()
        fits = self._fits(input, hx, states)
        kernels = fits and _choose([input, *states, *tensors]).name == "fused"
        if not (kernels or (fits and differentiating())):
            return super().forward(input, hx)
        batched = input.dim() == 2
        if not batched:
            input, states = input.unsqueeze(0), [state.unsqueeze(0) for state in states]
        sizes = (self.input_size, self.hidden_size, 0)
        after = _step(torch_direction(self._mode(), sizes, self.bias, tensors), input, states, kernels)
        if not batched:
            after = [state.squeeze(0) for state in after]
        return after[0] if len(after) == 1 else tuple(after)

    def _mode(self) -> str:
        """Torch's word for the equations."""
        raise NotImplementedError  # each cell has its own

    def _given(self, hx: Any) -> Sequence[Any]:
        """The states of a call; none where they begin at zero."""
        return () if hx is None else (hx,)

    def _tensors(self) -> list[Tensor]:
        """Torch's parameters, as they stand: a parametrisation or a functional call may put others."""
        own: Any = self._parameters
        found = [own[name] if name in own else getattr(self, name) for name in _NAMES]
        return found if self.bias else found[:2]

    def _fits(self, input: Any, hx: Any, states: Sequence[Any]) -> bool:
        """Whether torch's cell takes these; where it does not, its forward says so in its own words."""
        if not all(isinstance(tensor, Tensor) for tensor in (input, *states)) or input.dim() not in (1, 2):
            return False
        if hx is not None and len(states) != self._states:
            return False
        lead = tuple(input.shape[:-1])
        fits = input.shape[-1] == self.input_size and 0 not in lead
        return fits and all(tuple(state.shape) == (*lead, self.hidden_size) for state in states)


def _step(direction: Direction, input: Tensor, states: Sequence[Tensor], kernels: bool) -> list[Tensor]:
    """The states [B, H] after a step from these, or from the start where there are none."""
    sized, weights = direction
    if kernels:
        weights = SizedCell.derive(sized, weights)
        if not watched() and not fused.is_learning([input, *states, *weights]):
            return step(sized, input, states, weights)
    entry: Sequence[Tensor | None] = states or [None] * len(sized.graph.states)
    call = Call.of(sized, PlanSpec(DENSE, 1, input.shape[0]), None, [input], entry, weights)
    return (fused.forward(call) if kernels else reference(call))[1]


def _choose(tensors: Sequence[Tensor]) -> Path:
    path = choose_path(tensors)
    return _OTHER if path.bfloat16 else path


class LSTMCell(_FusedCell, torch.nn.LSTMCell):
    """`torch.nn.LSTMCell` on the fused kernels: same arguments, same weights, same results to rounding."""

    _states = 2

    def _mode(self) -> str:
        return "LSTM"

    def _given(self, hx: Any) -> Sequence[Any]:
        return () if hx is None else tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)


class GRUCell(_FusedCell, torch.nn.GRUCell):
    """`torch.nn.GRUCell` on the fused kernels: same arguments, same weights, same results to rounding."""

    def _mode(self) -> str:
        return "GRU"


class RNNCell(_FusedCell, torch.nn.RNNCell):
    """`torch.nn.RNNCell` on the fused kernels: same arguments, same weights, same results to rounding."""

    def _mode(self) -> str:
        return f"RNN_{self.nonlinearity.upper()}"

    def _fits(self, input: Any, hx: Any, states: Sequence[Any]) -> bool:
        return self.nonlinearity in ("tanh", "relu") and super()._fits(input, hx, states)
