"""The text task: what goes in, what is lost, what is measured, what a prediction says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from elman import cells, tasks
from elman.data import Dataset, Vocabulary
from elman.errors import ConfigError
from elman.formats.heads import Softmax
from elman.models import Network, OneHot, Stack
from elman.sequences import Ragged
from elman.tasks.text import Text
from tests.tolerances import assert_close, assert_same_bits


def dataset(text: str) -> Dataset:
    vocabulary = Vocabulary.characters(text)
    tokens = vocabulary.encode(text)
    return Dataset("a", {"text": Ragged.from_lengths(tokens, [len(tokens)])}, {"text": vocabulary})


def test_each_token_is_to_give_the_next() -> None:
    task = Text.of(dataset("abcab"))
    assert (task.input, task.head) == (OneHot(3), Softmax(3))
    columns = task.columns(dataset("abcab"))
    assert columns.inputs.tolist() == [0, 1, 2, 0]
    assert columns.targets.tolist() == [1, 2, 0, 1]
    assert task.present(np.array([2, 0])) == "ca"


def test_the_loss_is_the_cross_entropy_of_the_logits() -> None:
    task = Text.of(dataset("abcdefg"))
    network = Network(task.input, Stack(cells.get("gru"), 16), task.head).double()
    tokens, targets = torch.randint(0, 7, (2, 5, 3))
    logits, after = network(tokens)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    outputs, state = network.outputs(tokens)
    assert_close(task.loss(outputs, targets).detach(), expected.detach(), "layer", "float64")
    assert_same_bits(state["h"].detach(), after["h"].detach())
    assert_same_bits(outputs.values.detach(), logits.detach())


@pytest.mark.parametrize(
    ("vocabulary", "name"),
    [(Vocabulary.characters("abc"), "bits_per_character"), (Vocabulary.bytes(), "bits_per_byte")],
)
def test_bits_are_a_mean_over_tokens_not_over_chunks(vocabulary: Vocabulary, name: str) -> None:
    size = len(vocabulary)
    task = Text(vocabulary, OneHot(size), Softmax(size))
    network = Network(task.input, Stack(cells.get("gru"), 4), task.head).double()
    tokens = torch.randint(0, size, (9, 1))
    tally = task.tally()
    with torch.no_grad():
        for part in (slice(0, 7), slice(7, 9)):
            tally.add(network.outputs(tokens[part])[0], tokens[part])
        logits = torch.cat([network(tokens[part])[0] for part in (slice(0, 7), slice(7, 9))])
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).item()
    assert tally.measures() == {name: pytest.approx(nats / math.log(2))}


def test_the_registry() -> None:
    assert tasks.names() == ("text",)
    assert tasks.get("text") is Text
    with pytest.raises(ConfigError, match="unknown task 'knit'; there are text"):
        tasks.get("knit")
