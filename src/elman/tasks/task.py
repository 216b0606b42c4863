"""What a task is: what goes in, what stands on top, what is lost, what is measured, and what a prediction means.

A task knows no file and no loop; the loop and the networks know no task by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from numpy.typing import NDArray
from torch import Tensor

from elman.data.dataset import Dataset
from elman.data.vocabulary import Vocabulary
from elman.formats.heads import HeadSpec
from elman.models import Input, NetworkOutput


@dataclass(frozen=True, eq=False)
class Columns:
    """What a network reads and what it is to give, step by step.

    Attributes:
        inputs, targets: [N, ...].
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]


@dataclass(frozen=True)
class LossUnit:
    """How a mean loss is shown: `factor` times what the loss gives, under this name ("bits")."""

    name: str
    factor: float


class Tally(ABC):
    """Measures being taken: sums over all that was seen, never means of means."""

    @abstractmethod
    def add(self, outputs: NetworkOutput, targets: Tensor) -> None:
        """Take in what a network gave where these were the targets."""

    @abstractmethod
    def measures(self) -> dict[str, float]:
        """The measures by name, of all that was taken in; the first decides which model is best, the lowest."""


class Task(ABC):
    """A kind of problem; a subclass is a frozen value with what one dataset makes of it.

    Attributes:
        name: in the registry, on the command line and in files.
        input: what the first layer reads.
        head: what stands on top, as the model file holds it.
        unit: how the loss is shown.
        vocabulary: what tokens mean, where there are any.
    """

    name: ClassVar[str]
    input: Input
    head: HeadSpec
    unit: ClassVar[LossUnit]
    vocabulary: Vocabulary

    @classmethod
    @abstractmethod
    def of(cls, dataset: Dataset) -> Self:
        """The task on this dataset."""

    @abstractmethod
    def columns(self, dataset: Dataset) -> Columns:
        """The inputs and targets in a part of the dataset."""

    @abstractmethod
    def loss(self, outputs: NetworkOutput, targets: Tensor) -> Tensor:
        """The mean loss over all steps, to be differentiated."""

    @abstractmethod
    def tally(self) -> Tally:
        """An empty tally of the task's measures."""

    @abstractmethod
    def present(self, prediction: NDArray[Any]) -> str:
        """What a prediction says to people."""
