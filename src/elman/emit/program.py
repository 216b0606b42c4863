"""The pointwise program: what the kernels run at each step, as plain data.

A phase runs over the units of one size. It first fills registers by chains (start vector, then one matrix product after
another, each a run of fused multiply-adds), then executes its code on the registers, a block of units at a time, and at
its end completes sums over all units. What a later phase needs is stored in a row of scratch memory.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Array:
    """Memory that a program reads or writes: a row of `size` elements for each sequence and step, or one for all.

    Roles: input, vector (one row for all), before (a state before the step), after (a state after it), carry and next
    (what runs from step to step), output, saved, kept, scratch; summed (one row a lane, to which every step adds);
    projected (what the inputs' products make before the steps); d_input.
    """

    name: str
    role: str
    size: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix as a product uses it: [rows, columns], the parameter read transposed or not."""

    name: str
    transposed: bool
    rows: str
    columns: str


@dataclass(frozen=True, slots=True)
class Link:
    """One source vector and the chains that a product of it is added to: pairs of (chain, matrix), both indices.

    A chain stands in a link once: the products of a link are made side by side.
    """

    source: int
    products: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One vector operation on registers.

    `array` is the memory of a load or store, `value` a constant's number, `sizes` what a count adds up.
    """

    op: str
    target: int = -1
    args: tuple[int, ...] = ()
    array: int = -1
    value: float = 0.0
    sizes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """One sweep over the units of a size.

    Chain k fills register k, starting from the row `starts[k]` (-1: from zero). No array is both read and written.
    """

    size: str
    starts: tuple[int, ...]
    links: tuple[Link, ...]
    code: tuple[Instruction, ...]
    registers: int


@dataclass(frozen=True)
class Program:
    """What the kernels run at each step."""

    arrays: tuple[Array, ...]
    matrices: tuple[Matrix, ...]
    phases: tuple[Phase, ...]
