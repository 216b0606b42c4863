"""What can be chosen about the benchmark on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.bench import ceilings, peers
from elman.bench.sweep import Sweep

Suite = Literal["layers", "ragged", "cells", "steps", "text", "long", "loss", "decode"]
Mode = Literal["infer", "train", "stream"]

_PAIRS = 5
_QUICK_SECONDS, _QUICK_PAIRS = 0.1, 3


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What to measure.

    Attributes:
        suites: layers are LSTM, GRU and Elman over dense batches; ragged, sequences of unequal length; cells, equations
            of a user's own; steps, one sequence; text, training on characters end to end; long, one sequence in bounded
            memory; loss, the head of a language model; decode, characters from a model of two layers.
        threads: numbers of threads, each for both sides; by default 1 and all cores.
        cells: which recurrences; by default all that a suite has.
        modes: infer is forward, train forward and backward (the input needs no gradient), stream a call for each step.
        hidden: hidden sizes, H; by default those of each suite. The input is as wide.
        batch: sequences side by side, B; by default those of each suite.
        steps: steps of a sequence, T; by default those of each suite.
        dtypes: of the arithmetic; bfloat16 by autocast.
        peers: whom to compare with, of torch, torch.compile, onnxruntime and jax; by default all that are installed.
        seconds: about how long each pair is timed.
        quick: fewer sizes, all cores, shorter times, no torch.compile unless it is named: within a minute.
    """

    suites: tuple[Suite, ...] = ("layers", "ragged", "cells", "steps", "text", "long", "loss", "decode")
    threads: tuple[int, ...] = ()
    cells: tuple[Literal["lstm", "gru", "elman"], ...] = ()
    modes: tuple[Mode, ...] = ("infer", "train", "stream")
    hidden: tuple[int, ...] = ()
    batch: tuple[int, ...] = ()
    steps: int = 0
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    peers: tuple[str, ...] = ()
    seconds: float = 0.5
    quick: bool = False

    def versions(self) -> dict[str, str]:
        """The peers to compare with, and the version of each. Raises ConfigError where one is not there."""
        found = peers.choose(self.peers)
        if self.quick and not self.peers:
            found.pop("torch.compile", None)  # compiling alone takes longer than all else
        return found

    def options(self) -> Sweep:
        """The axes of the cases. Raises ConfigError for values that are out of range."""
        cores = ceilings.cores()
        return Sweep(
            cells=self.cells,
            modes=self.modes,
            dtypes=self.dtypes,
            hidden=self.hidden,
            batch=self.batch,
            threads=self.threads or ((cores,) if self.quick else tuple(sorted({1, cores}))),
            peers=tuple(self.versions()),
            steps=self.steps,
            seconds=min(self.seconds, _QUICK_SECONDS) if self.quick else self.seconds,
            least=_QUICK_PAIRS if self.quick else _PAIRS,
            quick=self.quick,
        )
