"""Torch models as steppers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from elman import cells
from elman.data import Vocabulary
from elman.decode import ModelStepper, Options, Spelling, decode
from elman.errors import ConfigError, DataError, ShapeError
from elman.formats.heads import Softmax
from elman.models import Network, OneHot, Stack, to_model_file
from elman.models.stepper import TorchState, TorchStepper
from elman.runtime import Model
from tests.runtime.test_threads import at_once
from tests.tolerances import assert_close

VOCABULARY = Vocabulary.characters("abcde")


class Plain(torch.nn.Module):
    """Embedding, torch's LSTM and a head, as anybody writes them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embedding, self.head = torch.nn.Embedding(5, 4), torch.nn.Linear(6, 5)
        self.lstm = torch.nn.LSTM(4, 6, num_layers=2)

    def forward(self, tokens: torch.Tensor, state: Any) -> Any:
        output, state = self.lstm(self.embedding(tokens), state)
        return self.head(output), state


def language_model() -> Network:
    torch.manual_seed(0)
    return Network(OneHot(5), Stack(cells.get("lstm"), 8, 2), Softmax(5))


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_the_same_as_without_torch(strategy: Any) -> None:
    model = language_model()
    saved = ModelStepper(Model(to_model_file(model, VOCABULARY)))
    stepper = TorchStepper(model, 5, spelling=Spelling.of(VOCABULARY))
    extra = {"width": 3, "count": 3} if strategy == "beam" else {}
    options = Options(strategy=strategy, max_length=6, **extra)
    prompts = ["ab", "c", "deed"]
    for mine, theirs in zip(decode(stepper, prompts, options), decode(saved, prompts, options), strict=True):
        for one, other in zip(mine.outputs, theirs.outputs, strict=True):
            assert one.text == other.text
            assert_close(one.log_probabilities, other.log_probabilities, "layer", "float32")


def test_a_plain_torch_model() -> None:
    model = Plain()
    (result,) = decode(TorchStepper(model, 5), [[0, 3]], Options(strategy="beam", width=4, count=4, max_length=5))
    for output in result.outputs:
        tokens = torch.tensor([0, 3, *output.tokens.tolist()])[:, None]
        with torch.inference_mode():
            scores = torch.log_softmax(model(tokens, None)[0].double(), -1)[1:-1, 0]
        expected = scores[torch.arange(5), tokens[2:, 0]]
        assert_close(output.log_probabilities, expected.numpy(), "layer", "float32")
    assert not model.training


def test_states_of_any_structure() -> None:
    value = {"a": (torch.arange(6.0).reshape(1, 3, 2), [torch.arange(3.0)[None]])}
    chosen = TorchState(value, 1).select(np.array([2, 0, 2]))
    assert chosen.value["a"][0][0, :, 0].tolist() == [4.0, 0.0, 4.0]
    joined = chosen.join([TorchState(value, 1)])
    assert joined.value["a"][1][0][0].tolist() == [2.0, 0.0, 2.0, 0.0, 1.0, 2.0]
    assert TorchState(None, 1).select(np.array([0])).value is None
    assert TorchState(None, 1).join([TorchState(torch.zeros(1, 1), 1)]) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: decode(TorchStepper(Plain(), 4), [[0]]), ShapeError, r"must give logits \[1, 1, 4\], got \[1, 1, 5\]"),
        (
            lambda: decode(TorchStepper(lambda t, s: (torch.full((1, 1, 2), torch.nan), s), 2), [[0]]),
            DataError,
            "gives NaN",
        ),
        (lambda: TorchState("x", 1).select(np.array([0])), ConfigError, "a state must be tensors, .*; got str"),
    ],
)
def test_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("make", [language_model, Plain])
def test_threads_share_a_torch_stepper(make: Any) -> None:
    stepper = TorchStepper(make(), 5)

    def work(seed: int) -> list[int]:
        (result,) = decode(stepper, [[0, 3]], Options(strategy="sample", max_length=15, seed=seed))
        return result.best.tokens.tolist()

    assert at_once(work, range(16), threads=3) == [work(seed) for seed in range(16)]
