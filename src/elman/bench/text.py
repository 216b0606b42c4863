"""Training on characters end to end: a chunk of text in, updated weights out; ours and the same model on torch.nn.

The tokens are one-hot in both: a row of a table here, a product there, as torch.nn has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from elman import cells as built_in
from elman.bench.contest import Contest, Results, Side
from elman.bench.layers import GATES, TORCH, Peers, operations
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import array
from elman.data import readers, splits
from elman.interchange.torch import from_cell, torch_layout
from elman.models import Network, Stack
from elman.sequences.streams import Chunk, Streams
from elman.tasks.task import Columns
from elman.tasks.text import Text

_HELD_OUT = 0.1

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


def cases(options: Sweep) -> list[Case]:
    """Truncated backpropagation through the text that ships with CPython."""
    return list(options.cases("text", cells=tuple(GATES), modes=("train",), hidden=(256,), batch=(32,), steps=64))


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """The two models with the same weights, each with an optimiser of its own."""
    data, _ = splits.hold_out_end(readers.read(None), _HELD_OUT)
    task = Text.of(data)
    columns = task.columns(data)
    torch.manual_seed(0)
    network = Network(task.input, Stack(built_in.get(case.cell), case.hidden_size), task.head)
    ours, theirs = OurModel(task, network), TorchModel(case.cell, network)
    sides: Peers = {}
    if "torch" in peers:
        sides["torch"] = lambda: _side(theirs, columns, case)
    rows, head = case.steps * case.batch, case.hidden_size * task.head.size
    return Contest(case, _side(ours, columns, case), sides, operations(case, "train", 0, rows) + 3 * 2.0 * rows * head)


class OurModel(torch.nn.Module):
    """The network with the task's loss, as training calls them."""

    def __init__(self, task: Text, network: Network) -> None:
        super().__init__()
        self._task, self.network = task, network

    def loss(self, tokens: Tensor, targets: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Mean cross-entropy of `targets` [T, B], and the state after the last of `tokens` [T, B]."""
        outputs, state = self.network.outputs(tokens, state)
        return self._task.loss(outputs, targets), state


class TorchModel(torch.nn.Module):
    """One-hot tokens → torch's recurrent layer → linear head → cross-entropy, with the weights of ours."""

    def __init__(self, cell: str, ours: Network) -> None:
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


def _side(model: OurModel | TorchModel, columns: Columns, case: Case) -> Side:
    """Updates of a model, chunk after chunk; compared is what the first chunk gives: the loss and its gradients."""
    first = next(iter(Streams(columns.inputs, columns.targets, case.batch, case.steps)))

    def results() -> Results:
        model.zero_grad()
        loss, _ = model.loss(torch.from_numpy(first.inputs), torch.from_numpy(first.targets))
        loss.backward()  # type: ignore[no-untyped-call]
        found = {"loss": array(loss)}
        for name, parameter in model.named_parameters():
            shared = _SHARED.get(name.removeprefix("network."))
            if shared is not None and parameter.grad is not None:
                found[shared] = array(parameter.grad)
        return found

    return Side(_Updates(model, columns, case), case.steps * case.batch, results)


class _Updates:
    """Trains on the next chunk at each call, through the text again and again."""

    def __init__(self, model: OurModel | TorchModel, columns: Columns, case: Case) -> None:
        self._model, self._state = model, None
        self._optimiser = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE, fused=True)
        self._chunks = _again(Streams(columns.inputs, columns.targets, case.batch, case.steps))

    def __call__(self) -> float:
        chunk = next(self._chunks)
        state = None if chunk.first or self._state is None else _detach(self._state)
        loss, self._state = self._model.loss(torch.from_numpy(chunk.inputs), torch.from_numpy(chunk.targets), state)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), _CLIP)
        self._optimiser.step()
        return float(loss.detach())


def _again(streams: Streams) -> Iterator[Chunk]:
    """The chunks of epoch after epoch."""
    while True:
        yield from streams


def _detach(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
