"""How large a network is, counted from the equations alone."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from elman.cells.layout import layout
from elman.cells.sizes import sizes_of
from elman.errors import ConfigError
from elman.formats.heads import HeadSpec
from elman.models.spec import Stack


def parameter_count(input_size: int, stack: Stack, head: HeadSpec) -> int:
    """Numbers that a `Network` of these sizes learns: the recurrent stack and the linear head."""
    graph, total, width = stack.cell.graph, 0, input_size
    for layers in (1, stack.num_layers - 1):  # from the second on they are alike
        sizes = sizes_of(graph, width, stack.hidden_size, stack.sizes)
        total += layers * sum(prod(slot.shape) for slot in layout(graph, sizes))
        width = sizes.get(graph.output_size, 1)
    return total + sum(prod(shape) for shape in head.shapes(width).values())


def hidden_size_for(parameters: int, input_size: int, stack: Stack, head: HeadSpec) -> int:
    """The hidden size whose network comes nearest to a number of parameters, so that cells are compared like for like.

    Args:
        parameters: numbers to learn.
        input_size: D of the first layer.
        stack: the layers, of any hidden size.
        head: what stands on top.

    Raises:
        ConfigError: even a single unit has more.
    """

    def count(hidden_size: int) -> int:
        return parameter_count(input_size, replace(stack, hidden_size=hidden_size), head)

    if count(1) > parameters:
        name = stack.cell.name
        raise ConfigError(f"{name}: one hidden unit already has {count(1)} parameters, asked for {parameters}")
    low, high = 1, 2
    while count(high) <= parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    return min((low, high), key=lambda size: abs(count(size) - parameters))
