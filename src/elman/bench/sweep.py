"""What to measure: the cases, as axes that are gone through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from elman.bench.rows import Case
from elman.errors import ConfigError


@dataclass(frozen=True)
class Sweep:
    """The axes of the cases, each with the values that are gone through; where there are none, a suite takes its own.

    Attributes:
        cells, modes, dtypes, hidden, batch, threads: values.
        steps: T of every case; 0 lets a suite choose.
        peers: whom to compare with.
        seconds: about how long a pair of sides is timed.
        least: pairs that are timed however long they take.
        quick: fewer and smaller cases where the axes are left to the suite.
    """

    cells: tuple[str, ...] = ()
    modes: tuple[str, ...] = ("infer", "train", "stream")
    dtypes: tuple[str, ...] = ("float32",)
    hidden: tuple[int, ...] = ()
    batch: tuple[int, ...] = ()
    threads: tuple[int, ...] = (1,)
    peers: tuple[str, ...] = ("torch",)
    steps: int = 0
    seconds: float = 0.5
    least: int = 5
    quick: bool = False

    def __post_init__(self) -> None:
        for name in ("hidden", "batch", "threads"):
            for value in getattr(self, name):
                if value < 1:
                    raise ConfigError(f"`{name}` must be at least 1, got {value}")
        if self.steps < 0:
            raise ConfigError(f"`steps` must be at least 1, or 0 for each suite's own, got {self.steps}")
        if not 0 < self.seconds < float("inf"):
            raise ConfigError(f"`seconds` must be above 0 and finite, got {self.seconds}")

    def cases(
        self,
        suite: str,
        *,
        cells: tuple[str, ...],
        modes: tuple[str, ...],
        hidden: tuple[int, ...],
        batch: tuple[int, ...],
        steps: int,
        dtypes: tuple[str, ...] = ("float32",),
    ) -> Iterator[Case]:
        """The cases of a suite: what it takes of each axis where nothing is asked for, and what it has of what is."""
        for threads, dtype, cell, size, lanes, mode in product(
            self.threads,
            [dtype for dtype in self.dtypes if dtype in dtypes],
            cells if not self.cells else [cell for cell in cells if cell in self.cells],
            self.hidden or hidden,
            self.batch or batch,
            [mode for mode in modes if mode in self.modes],
        ):
            yield Case(suite, cell, mode, size, lanes, self.steps or steps, dtype, threads)
