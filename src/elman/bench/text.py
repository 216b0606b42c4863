"""Training on characters end to end: a chunk of text in, updated weights out; ours and the same model on torch.nn.

The tokens are one-hot in both: a row of a table here, a product there, as torch.nn has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from elman import cells as built_in
from elman.bench.contest import Contest, Results, Side
from elman.bench.layers import GATES, TORCH, Peers, operations
from elman.bench.options import Options
from elman.bench.rows import Case
from elman.bench.torch_sides import array
from elman.interchange.torch import from_cell, torch_layout
from elman.models import LanguageModel
from elman.sequences.streams import Chunk, Streams
from elman.train.config import TextConfig
from elman.train.data import load_text

Model = Any  # a module with loss(tokens, targets, state)

_LEARNING_RATE = 1e-3
_CLIP = 1.0
_SHARED = {  # parameters of either model, under one name
    "recurrent.W_l0": "W",
    "recurrent.weight_ih_l0": "W",
    "recurrent.U_l0": "U",
    "recurrent.weight_hh_l0": "U",
    "head.weight": "head",
    "head.bias": "head bias",
}


def cases(options: Options) -> list[Case]:
    """Truncated backpropagation through the text that ships with CPython."""
    return list(options.cases("text", cells=tuple(GATES), modes=("train",), hidden=(256,), batch=(32,), steps=64))


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """The two models with the same weights, each with an optimiser of its own."""
    data = load_text(TextConfig(file=""))
    torch.manual_seed(0)
    ours = LanguageModel(built_in.get(case.cell), len(data.vocabulary), case.hidden_size)
    theirs = TorchModel(case.cell, ours)
    sides: Peers = {}
    if "torch" in peers:
        sides["torch"] = lambda: _side(theirs, data.training, case)
    rows, head = case.steps * case.batch, case.hidden_size * len(data.vocabulary)
    return Contest(
        case, _side(ours, data.training, case), sides, operations(case, "train", 0, rows) + 3 * 2.0 * rows * head
    )


class TorchModel(torch.nn.Module):
    """One-hot tokens → torch's recurrent layer → linear head → cross-entropy, with the weights of ours."""

    def __init__(self, cell: str, ours: LanguageModel) -> None:
        super().__init__()
        size, self.vocabulary_size = ours.recurrent.hidden_size, ours.recurrent.input_size
        self.recurrent = TORCH[cell](self.vocabulary_size, size)
        self.head = torch.nn.Linear(size, self.vocabulary_size)
        own = {name.removesuffix("_l0"): value.detach() for name, value in ours.recurrent.named_parameters()}
        weights = from_cell(torch_layout(self.recurrent.mode), own, size)
        self.recurrent.load_state_dict({f"{name}_l0": torch.from_numpy(value) for name, value in weights.items()})
        self.head.load_state_dict(ours.head.state_dict())

    def loss(self, tokens: Tensor, targets: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Mean cross-entropy of `targets` [T, B], and the state after the last of `tokens` [T, B]."""
        output, state = self.recurrent(one_hot(tokens, self.vocabulary_size).float(), state)
        return cross_entropy(self.head(output).flatten(0, 1), targets.flatten()), state


def _side(model: Model, tokens: NDArray[np.int64], case: Case) -> Side:
    """Updates of a model, chunk after chunk; compared is what the first chunk gives: the loss and its gradients."""
    first = next(iter(Streams(tokens, case.batch, case.steps)))

    def results() -> Results:
        model.zero_grad()
        loss, _ = model.loss(torch.from_numpy(first.inputs), torch.from_numpy(first.targets))
        loss.backward()
        gradients = {_SHARED[name]: array(p.grad) for name, p in model.named_parameters() if name in _SHARED}
        return {"loss": array(loss), **gradients}

    return Side(_Updates(model, tokens, case), case.steps * case.batch, results)


class _Updates:
    """Trains on the next chunk at each call, through the text again and again."""

    def __init__(self, model: Model, tokens: NDArray[np.int64], case: Case) -> None:
        self._model, self._state = model, None
        self._optimiser = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
        self._chunks = _again(Streams(tokens, case.batch, case.steps))

    def __call__(self) -> float:
        chunk = next(self._chunks)
        state = None if chunk.first or self._state is None else _detach(self._state)
        loss, self._state = self._model.loss(torch.from_numpy(chunk.inputs), torch.from_numpy(chunk.targets), state)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), _CLIP)
        self._optimiser.step()
        return float(loss.detach())


def _again(streams: Streams) -> Iterator[Chunk]:
    """The chunks of epoch after epoch."""
    while True:
        yield from streams


def _detach(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
