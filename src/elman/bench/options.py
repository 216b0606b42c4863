"""What to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Axes of the cases; those that a suite does not have it ignores.

    Attributes:
        cells, modes, dtypes, hidden, batch, threads: the values that are gone through.
        steps: T of every case; 0 lets each suite choose.
        peers: whom to compare with.
        seconds: about how long a pair of sides is timed.
        quick: fewer cases.
    """

    cells: tuple[str, ...]
    modes: tuple[str, ...]
    dtypes: tuple[str, ...]
    hidden: tuple[int, ...]
    batch: tuple[int, ...]
    threads: tuple[int, ...]
    peers: tuple[str, ...]
    steps: int = 0
    seconds: float = 1.0
    quick: bool = False
