"""What a run tells while it goes on, and when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class StepReport:
    """A run after one of its steps.

    Attributes:
        step: updates so far.
        progress: the share of the run that is done, 0 … 1.
        seconds: time so far.
        seconds_left: time that the run will still take at its pace so far.
        tokens_per_second: trained on, time for validation aside.
        loss: of the training data, a running mean over about the last 50 steps.
        unit: what the loss is counted in.
        learning_rate: of this step.
        gradient_norm: before it was clipped.
        validation: the task's first measure of the held-out part, where it was measured after this step.
        best: the lowest of those so far; None before the first.
    """

    step: int
    progress: float
    seconds: float
    seconds_left: float
    tokens_per_second: float
    loss: float
    unit: str
    learning_rate: float
    gradient_norm: float
    validation: float | None
    best: float | None


Listener = Callable[[StepReport], None]


@dataclass(frozen=True)
class Outcome:
    """A run that has ended.

    Attributes:
        run: its folder.
        task: its name.
        cell: the name of its cell.
        hidden, parameters: units of a layer; numbers that were learned.
        steps, tokens, seconds, tokens_per_second: what was done.
        measures: of the held-out part by name, by the model that was kept; empty before the first.
        step_of_best: when that model was reached.
    """

    run: str
    task: str
    cell: str
    hidden: int
    parameters: int
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    measures: dict[str, float]
    step_of_best: int

    def to_json(self) -> dict[str, Any]:
        """All figures side by side, as plain JSON values."""
        figures = asdict(self)
        return {**figures, **figures.pop("measures")}
