"""How large a language model is, counted from the equations alone."""

from __future__ import annotations

from math import prod

from elman.cells.layout import layout
from elman.equations import Cell, Graph
from elman.errors import ConfigError


def layer_sizes(graph: Graph, input_size: int, hidden_size: int) -> dict[str, int]:
    """The size of each letter in one layer: D is the input's, every other letter has the hidden size."""
    return {letter: input_size if letter == "D" else hidden_size for letter in graph.letters}


def parameter_count(cell: Cell, vocabulary_size: int, hidden_size: int, num_layers: int = 1) -> int:
    """Numbers that a `LanguageModel` of these sizes learns: the recurrent stack and the linear head."""
    total, width = 0, vocabulary_size
    for _ in range(num_layers):
        sizes = layer_sizes(cell.graph, width, hidden_size)
        total += sum(prod(slot.shape) for slot in layout(cell.graph, sizes))
        width = sizes[cell.graph.output_size]
    return total + vocabulary_size * (width + 1)


def hidden_size_for(cell: Cell, vocabulary_size: int, parameters: int, num_layers: int = 1) -> int:
    """The hidden size whose model comes nearest to a number of parameters, so that cells can be compared like for like.

    Raises ConfigError where even a single unit has more.
    """

    def count(hidden_size: int) -> int:
        return parameter_count(cell, vocabulary_size, hidden_size, num_layers)

    if count(1) > parameters:
        raise ConfigError(f"{cell.name}: one hidden unit already has {count(1)} parameters, asked for {parameters}")
    low, high = 1, 2
    while count(high) <= parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    return min((low, high), key=lambda size: abs(count(size) - parameters))
