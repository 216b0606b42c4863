"""What a run tells while it goes on, and when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """A run after one of its steps.

    Attributes:
        step: updates so far.
        progress: the share of the run that is done, 0 … 1.
        seconds: time so far.
        seconds_left: time that the run will still take at its pace so far.
        tokens_per_second: trained on, time for validation aside.
        bits: mean −log2 p of the training text, a running mean over about the last 50 steps.
        learning_rate: of this step.
        gradient_norm: before it was clipped.
        validation: bits per character of the held-out part, where it was measured after this step.
        best: the lowest of those so far; None before the first.
    """

    step: int
    progress: float
    seconds: float
    seconds_left: float
    tokens_per_second: float
    bits: float
    learning_rate: float
    gradient_norm: float
    validation: float | None
    best: float | None


Listener = Callable[[Report], None]


@dataclass(frozen=True)
class Outcome:
    """A run that has ended.

    Attributes:
        run: its folder.
        cell: the name of its cell.
        hidden, parameters: units of a layer; numbers that were learned.
        steps, tokens, seconds, tokens_per_second: what was done.
        bits_per_character: of the held-out part, by the model that was kept.
        step_of_best: when that model was reached.
    """

    run: str
    cell: str
    hidden: int
    parameters: int
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    bits_per_character: float
    step_of_best: int
