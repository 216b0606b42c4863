"""`LSTM`, `GRU` and `RNN`: torch's own layers, with a faster forward on CPUs.

They are subclasses that override nothing but `forward`, so parameters, initialisation, hooks, pickling and every check are
torch's, and torch's forward is their reference path.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman import cells
from elman.errors import ShapeError
from elman.nn.batch import Batch, Form, read_batch
from elman.nn.path import Path, choose_path
from elman.nn.spec import LayerSpec
from elman.nn.stack import run_stack
from elman.sequences.ragged import Ragged

Direction = tuple[LayerSpec, list[Tensor]]


class _Fused(torch.nn.RNNBase):
    """What the three layers share."""

    _states: ClassVar[int] = 1

    def _direction(self, layer: int, direction: int) -> Direction:
        raise NotImplementedError  # each layer derives its cell's weights from torch's

    def path(self, input: Form, hx: Any = None) -> Path:
        """Which path a call with this input takes, and why."""
        values = input.data if isinstance(input, PackedSequence) else input.values if isinstance(input, Ragged) else input
        states = hx if isinstance(hx, tuple) else (hx,)
        floats = [values] if values.is_floating_point() else []
        return choose_path(self, [*floats, *states, *self._flat_weights])

    def _run(self, input: Form, hx: Any) -> Any:
        tokens = not (input.data if isinstance(input, PackedSequence) else input.values if isinstance(input, Ragged) else input
                      ).is_floating_point()  # fmt: skip
        fused = self.path(input, hx).name == "fused"
        if not fused and not isinstance(input, Ragged):
            return super().forward(self._one_hot(input) if tokens else input, hx)  # type: ignore[misc]
        batch = read_batch(type(self).__name__, (input,), (self.input_size,), self.batch_first)
        if fused or isinstance(input, Ragged):
            states = self._checked(batch, hx)
            return self._stacked(batch, states, fused)
        return None

    def _one_hot(self, input: Any) -> Any:
        """Integer tokens as torch's forward takes them."""
        dtype = self._flat_weights[0].dtype  # type: ignore[union-attr]
        if isinstance(input, PackedSequence):
            return input._replace(data=torch.nn.functional.one_hot(input.data.long(), self.input_size).to(dtype))
        return torch.nn.functional.one_hot(input.long(), self.input_size).to(dtype)

    def _checked(self, batch: Batch, hx: Any) -> list[Tensor | None]:
        """The states [layers * directions, B, size], by torch's own rules and messages."""
        if hx is None:
            return [None] * self._states
        states = list(hx) if self._states > 1 else [hx]
        if batch.unbatched:
            for state in states:
                if state.dim() != 2:
                    raise RuntimeError(f"For unbatched 2-D input, hx should also be 2-D but got {state.dim()}-D tensor")
            states = [state.unsqueeze(1) for state in states]
        elif not isinstance(batch.like, PackedSequence):
            for state in states:
                if state.dim() != 3:
                    raise RuntimeError(f"For batched 3-D input, hx should also be 3-D but got {state.dim()}-D tensor")
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size]
        for state, size in zip(states, sizes, strict=False):
            if tuple(state.shape) != (layers, batch.plan.batch, size):
                expected = (layers, batch.plan.batch, size)
                raise RuntimeError(f"Expected hidden size {expected}, got {list(state.shape)}")
        return states

    def _stacked(self, batch: Batch, states: list[Tensor | None], fused: bool) -> Any:
        output, finals = run_stack(
            batch,
            self._direction,
            states,
            num_layers=self.num_layers,
            directions=2 if self.bidirectional else 1,
            dropout=self.dropout if self.training else 0.0,
            fused=fused,
        )
        if batch.unbatched:
            finals = [state.squeeze(1) for state in finals]
        return batch.restore(output), tuple(finals) if self._states > 1 else finals[0]

    def _tensors(self, layer: int, direction: int) -> dict[str, Tensor]:
        """Torch's parameters of one direction, by their names without layer and direction."""
        k = layer * (2 if self.bidirectional else 1) + direction
        names = self._all_weights[k]
        return {name[: name.index("_l")]: getattr(self, name) for name in names}

    def _spec(self, cell: str, layer: int) -> LayerSpec:
        directions = 2 if self.bidirectional else 1
        output = self.proj_size or self.hidden_size
        sizes = {"D": self.input_size if layer == 0 else output * directions, "H": self.hidden_size}
        if self.proj_size:
            sizes["P"] = self.proj_size
        return LayerSpec.of(cells.get(cell).graph, sizes)


def _bias(tensors: dict[str, Tensor]) -> Tensor:
    """One bias from torch's two, or zeros."""
    if "bias_ih" not in tensors:
        weight = tensors["weight_ih"]
        return weight.new_zeros(weight.shape[0])
    return tensors["bias_ih"] + tensors["bias_hh"]


class LSTM(_Fused, torch.nn.LSTM):
    """`torch.nn.LSTM` on the fused kernels: same arguments, same weights, same results to rounding.

    Takes besides all that torch's takes: integer tokens [T, B] (one-hot of `input_size`) and `Ragged` batches.
    """

    _states = 2

    def forward(self, input: Any, hx: Any = None) -> Any:  # type: ignore[override]
        """As `torch.nn.LSTM.forward`."""
        if hx is not None and (not isinstance(hx, tuple) or len(hx) != 2):
            raise ShapeError(f"LSTM: hx must be a tuple (h_0, c_0), got {type(hx).__name__}")
        return self._run(input, hx)

    def _direction(self, layer: int, direction: int) -> Direction:
        tensors = self._tensors(layer, direction)
        weights = [tensors["weight_ih"], tensors["weight_hh"], _bias(tensors)]
        if self.proj_size:
            return self._spec("projected_lstm", layer), [*weights, tensors["weight_hr"]]
        return self._spec("lstm", layer), weights


class GRU(_Fused, torch.nn.GRU):
    """`torch.nn.GRU` on the fused kernels: same arguments, same weights, same results to rounding.

    Takes besides all that torch's takes: integer tokens [T, B] (one-hot of `input_size`) and `Ragged` batches.
    """

    def forward(self, input: Any, hx: Any = None) -> Any:  # type: ignore[override]
        """As `torch.nn.GRU.forward`."""
        return self._run(input, hx)

    def _direction(self, layer: int, direction: int) -> Direction:
        """The candidate's recurrent bias stays apart (it is reset with the product); the gates' biases add up."""
        tensors = self._tensors(layer, direction)
        weight, gates = tensors["weight_ih"], 2 * self.hidden_size
        if "bias_ih" in tensors:
            b_hh = tensors["bias_hh"]
            b = tensors["bias_ih"] + torch.nn.functional.pad(b_hh[:gates], (0, self.hidden_size))
            d = b_hh[gates:]
        else:
            b, d = weight.new_zeros(3 * self.hidden_size), weight.new_zeros(self.hidden_size)
        return self._spec("gru", layer), [weight, tensors["weight_hh"], b, d]


class RNN(_Fused, torch.nn.RNN):
    """`torch.nn.RNN` on the fused kernels: same arguments, same weights, same results to rounding.

    Takes besides all that torch's takes: integer tokens [T, B] (one-hot of `input_size`) and `Ragged` batches.
    """

    def forward(self, input: Any, hx: Any = None) -> Any:  # type: ignore[override]
        """As `torch.nn.RNN.forward`."""
        return self._run(input, hx)

    def _direction(self, layer: int, direction: int) -> Direction:
        tensors = self._tensors(layer, direction)
        cell = "elman" if self.nonlinearity == "tanh" else "elman_relu"
        return self._spec(cell, layer), [tensors["weight_ih"], tensors["weight_hh"], _bias(tensors)]
