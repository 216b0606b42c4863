"""What a network is made from, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from elman.equations import Cell


@dataclass(frozen=True)
class Input:
    """What the first layer reads.

    Attributes:
        size: D, values of a step.
    """

    size: int


@dataclass(frozen=True)
class OneHot(Input):
    """Tokens 0 … size - 1, each a one-hot vector: read as a column of the first layer's weights, without a product."""


@dataclass(frozen=True)
class Stack:
    """The recurrent layers that a user asks for.

    Attributes:
        cell: the recurrence; its one input is what the layer below puts out.
        hidden_size: H of every layer.
        num_layers: layers on top of one another.
        dropout: share of the values between the layers and before the head that is zeroed in training, 0 … 1.
        sizes: sizes of the cell's other letters ({"P": 64}).
    """

    cell: Cell
    hidden_size: int
    num_layers: int = 1
    dropout: float = 0.0
    sizes: Mapping[str, int] = field(default_factory=dict)
