"""Which number stands behind each size letter of a cell: the one rule that layers and files share."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from elman.equations import Graph
from elman.equations.graph import SCALAR
from elman.errors import ConfigError

LARGEST = 1 << 29
"""Sizes are below this: the kernels count units in 32 bits, with room to round up."""


def sizes_of(graph: Graph, input_size: Any, hidden_size: Any, others: Any = None) -> dict[str, int]:
    """A number for each letter, D and H among them.

    Args:
        graph: the cell.
        input_size: D, or the size of the first input where the cell has no D.
        hidden_size: H, or the size of the output where the cell has no H.
        others: the cell's other letters; those that constants settle need not be named.

    Raises:
        ConfigError: a size is no whole number of at least 1, names a letter that the cell does not have, is missing,
            or does not go with another one.
    """
    found: dict[str, tuple[int, str]] = {SCALAR: (1, "a scalar")}
    found |= {letter: (length, f"the constants' {letter}") for letter, length in graph.fixed.items()}
    for letter, value, what in _claims(graph, input_size, hidden_size, _others(graph, others)):
        size = _whole(graph, letter, value, what)
        before, other = found.setdefault(letter, (size, what))
        if before != size:
            raise ConfigError(f"{graph.name}: {other} is {before} and {what} is {size}; they are one size, {letter}")
    for letter in graph.letters:
        if letter not in found:
            example = f'sizes={{"{letter}": 16}}'
            raise ConfigError(f"{graph.name}: the size {letter} {_use(graph, letter)} is not given; say {example}")
    sizes = {letter: size for letter, (size, _) in found.items() if letter != SCALAR}
    check_sizes(graph, sizes)
    return {"D": _whole(graph, "D", input_size, ""), "H": _whole(graph, "H", hidden_size, "")} | sizes


def check_sizes(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Raise ConfigError where numbers do not go with the cell's constants or do not divide into its blocks."""
    for letter, length in graph.fixed.items():
        if sizes[letter] != length:
            raise ConfigError(f"{graph.name}: its constants settle {letter} = {length}, got {sizes[letter]}")
    for p in graph.parameters:
        if p.kind == "blocks":
            rows, columns, block = (1 if letter == SCALAR else sizes[letter] for letter in p.shape)
            if columns % block or rows % (columns // block):
                raise ConfigError(
                    f"{graph.name}: {p.name} of {p.shape[0]} = {rows} rows and {p.shape[1]} = {columns} columns has no "
                    f"blocks of {p.shape[2]} = {block} columns; the blocks must divide both"
                )


def _others(graph: Graph, others: Any) -> Mapping[str, Any]:
    if others is None:
        return {}
    if not isinstance(others, Mapping):
        got = type(others).__name__
        raise ConfigError(f'{graph.name}: sizes must be a mapping of letters to numbers ({{"P": 64}}), got {got}')
    own = [letter for letter in graph.letters if letter not in "DH"]
    for letter in others:
        if letter not in own:
            raise ConfigError(f"{graph.name}: sizes names {letter!r}; its own letters are {', '.join(own) or 'none'}")
    return others


def _claims(
    graph: Graph, input_size: Any, hidden_size: Any, others: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str]]:
    """What is said of each letter: (letter, number, who says so)."""
    yield "D" if "D" in graph.letters else graph.inputs[0].size, input_size, "input_size"
    yield "H" if "H" in graph.letters else graph.output_size, hidden_size, "hidden_size"
    for letter, value in others.items():
        yield letter, value, f"sizes[{letter!r}]"


def _whole(graph: Graph, letter: str, value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ConfigError(f"{graph.name}: {what} must be a whole number, got {value!r}")
    size = operator.index(value)
    if not 1 <= size < LARGEST:
        bounds = "at least 1" if size < 1 else f"below {LARGEST:,}"
        raise ConfigError(f"{graph.name}: size {letter} must be {bounds}, got {size:,}")
    return size


def _use(graph: Graph, letter: str) -> str:
    """Where a letter stands."""
    for port in graph.inputs + graph.states:
        if port.size == letter:
            return f"of {port.name}"
    return next((f"of {p.name}" for p in graph.parameters if letter in p.shape), "of the output")
