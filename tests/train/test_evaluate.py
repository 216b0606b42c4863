"""What is measured on the held-out part."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from elman import cells
from elman.data import Vocabulary
from elman.formats.heads import Softmax
from elman.models import Network, OneHot, Stack
from elman.tasks.task import Columns
from elman.tasks.text import Text
from elman.train.evaluate import measure


@pytest.mark.parametrize("count", [2, 3, 700, 4096, 10_001])
def test_bits_per_character(count: int) -> None:
    """Against one pass over the text. Stretches begin without a past: that costs a little where there are several."""
    torch.manual_seed(0)
    task = Text(Vocabulary.characters("abcde"), OneHot(5), Softmax(5))
    network = Network(task.input, Stack(cells.get("gru"), 8, dropout=0.5), task.head)
    tokens = np.random.default_rng(0).integers(0, 5, count)
    network.eval()
    with torch.no_grad():
        logits, _ = network(torch.from_numpy(tokens[:-1, None]))
    nats = torch.nn.functional.cross_entropy(logits[:, 0], torch.from_numpy(tokens[1:])).item()
    network.train()
    found = measure(network, task, Columns(tokens[:-1], tokens[1:]))
    assert list(found) == ["bits_per_character"]
    assert found["bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-6 if count < 2 * 2048 else 1e-3)
    assert network.training
