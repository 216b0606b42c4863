"""The next token of a text from all before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from numpy.typing import NDArray
from torch import Tensor

from elman.data.dataset import Dataset
from elman.data.vocabulary import Vocabulary
from elman.formats.heads import Softmax
from elman.models import NetworkOutput, OneHot
from elman.nn.functional import linear_cross_entropy
from elman.tasks.task import Columns, LossUnit, Tally, Task

COLUMN = "text"


@dataclass(frozen=True)
class Text(Task):
    """A language model: tokens in, a distribution over the token that follows out."""

    name: ClassVar[str] = "text"
    vocabulary: Vocabulary
    input: OneHot
    head: Softmax
    unit: ClassVar[LossUnit] = LossUnit("bits", 1 / math.log(2))

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """The task over the vocabulary of the dataset's text: a token in, a logit for each token out."""
        vocabulary = dataset.vocabularies[COLUMN]
        return cls(vocabulary, OneHot(len(vocabulary)), Softmax(len(vocabulary)))

    def columns(self, dataset: Dataset) -> Columns:
        """All tokens but the last, and all but the first."""
        tokens = dataset.columns[COLUMN].values
        return Columns(tokens[:-1], tokens[1:])

    def loss(self, outputs: NetworkOutput, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats; no logits of all steps are made."""
        return _cross_entropy(outputs, targets, "mean")

    def tally(self) -> BitsPerToken:
        """Bits per character, or per byte."""
        return BitsPerToken("bits_per_character" if self.vocabulary.kind == "characters" else "bits_per_byte")

    def present(self, prediction: NDArray[Any]) -> str:
        """The text that tokens write."""
        return self.vocabulary.decode(prediction)


class BitsPerToken(Tally):
    """Mean −log2 p of each token.

    Args:
        name: of the measure.
    """

    def __init__(self, name: str) -> None:
        self._name, self._nats, self._count = name, 0.0, 0

    def add(self, outputs: NetworkOutput, targets: Tensor) -> None:
        """Add −ln p of each target."""
        self._nats += _cross_entropy(outputs, targets, "sum").item()
        self._count += targets.numel()

    def measures(self) -> dict[str, float]:
        """The mean over all targets."""
        return {self._name: self._nats / (self._count * math.log(2))}


def _cross_entropy(outputs: NetworkOutput, targets: Tensor, reduction: str) -> Tensor:
    head = outputs.head
    return linear_cross_entropy(outputs.features, head.weight, head.bias, targets, reduction=reduction)
