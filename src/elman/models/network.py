"""A network: input → recurrent stack → head. What it is for, only its task knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elman.errors import ConfigError
from elman.formats.heads import HeadSpec
from elman.models.spec import Input, OneHot, Stack
from elman.nn import Linear, Recurrent, init
from elman.state import State


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """What a network puts out.

    Attributes:
        features: [T, B, H] of the top layer; a loss may go on from these without making all values.
        head: the linear map on top.
    """

    features: Tensor
    head: Linear

    @cached_property
    def values(self) -> Tensor:
        """[T, B, outputs of the head], made when they are asked for."""
        values: Tensor = self.head(self.features)
        return values


class Network(torch.nn.Module):
    """A stack with what stands below and above it.

    Args:
        input: what the first layer reads.
        stack: the layers.
        head: what stands on top.

    Raises:
        ConfigError: the cell takes other inputs than one.
    """

    def __init__(self, input: Input, stack: Stack, head: HeadSpec) -> None:
        super().__init__()
        self.input, self.stack, self.head_spec = input, stack, head
        self.recurrent = _recurrent(input.size, stack)
        width = self.recurrent.sizes.get(self.recurrent.graph.output_size, 1)
        self.dropout = torch.nn.Dropout(stack.dropout)
        self.head = Linear(width, head.outputs)
        if isinstance(input, OneHot):
            init.token_input(self.recurrent)
        init.orthogonal(self.recurrent)
        init.forget_bias(self.recurrent)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The values of the head [T, B, outputs] for inputs [T, B], and the state after the last step."""
        outputs, state = self.outputs(inputs, state)
        return outputs.values, state

    def outputs(self, inputs: Tensor, state: State | None = None) -> tuple[NetworkOutput, State]:
        """What a loss is made from for inputs [T, B], and the state after the last step."""
        features, state = self.recurrent(inputs, state)
        return NetworkOutput(self.dropout(features), self.head), state


def _recurrent(input_size: int, stack: Stack) -> Recurrent:
    cell, inputs = stack.cell, stack.cell.graph.inputs
    if len(inputs) != 1 or inputs[0].size != "D":
        names = ", ".join(port.name for port in inputs)
        raise ConfigError(f"{cell.name} takes the inputs {names}; a network feeds one: choose another `cell`")
    between = stack.dropout if stack.num_layers > 1 else 0.0
    return Recurrent(cell, input_size, stack.hidden_size, stack.num_layers, dropout=between, sizes=stack.sizes)
