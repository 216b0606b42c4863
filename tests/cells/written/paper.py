"""What a paper's cell is compared with: its equations once more, independently, in torch.

A step of torch takes the weights by full name, the inputs [B, size] and the states, and returns the output and the next
states; what is learned past a value is given by an autograd function of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from elman.equations import Cell

Weights = Mapping[str, Any]
Outcome = tuple[Any, dict[str, Any]]
Step = Callable[..., Outcome]


@dataclass(frozen=True)
class Paper:
    """A cell, its equations in torch, and the sizes of its letters."""

    cell: Cell
    step: Step
    sizes: Mapping[str, int] = field(default_factory=dict)
    hidden: int = 6
