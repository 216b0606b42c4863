"""LSTM, GRU and RNN against torch.nn with the same weights: results and every gradient, in 200 configurations."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman.nn
from tests.tolerances import assert_close

CONFIGURATIONS = 200
OURS = {torch.nn.LSTM: elman.nn.LSTM, torch.nn.GRU: elman.nn.GRU, torch.nn.RNN: elman.nn.RNN}


@dataclass(frozen=True)
class Configuration:
    """A layer and a batch for it."""

    layer: type[torch.nn.RNNBase]
    options: dict[str, Any]
    form: str  # dense, unbatched, packed (sorted) or unsorted (packed with enforce_sorted=False)
    lengths: tuple[int, ...]
    with_state: bool

    @property
    def state_sizes(self) -> list[int]:
        """The last axis of each state."""
        shown = self.options.get("proj_size") or self.options["hidden_size"]
        return [shown, self.options["hidden_size"]] if self.layer is torch.nn.LSTM else [shown]


def configuration(seed: int) -> Configuration:
    """The same one for the same seed; the first seeds bring every layer and form in turn."""
    draw = random.Random(seed)
    layer = list(OURS)[seed % 3]
    options: dict[str, Any] = {
        "input_size": _log_uniform(draw, 100),
        "hidden_size": _log_uniform(draw, 300),
        "num_layers": draw.choice((1, 1, 2, 3)),
        "bias": draw.random() < 0.7,
        "batch_first": draw.random() < 0.5,
        "bidirectional": draw.random() < 0.5,
    }
    if layer is torch.nn.LSTM and options["hidden_size"] > 1 and draw.random() < 0.4:
        options["proj_size"] = draw.randrange(1, options["hidden_size"])
    if layer is torch.nn.RNN:
        options["nonlinearity"] = draw.choice(("tanh", "relu"))
    form = ("dense", "unbatched", "packed", "unsorted")[seed // 3 % 4]
    steps, batch = _log_uniform(draw, 40), 1 if form == "unbatched" else _log_uniform(draw, 20)
    lengths = [steps] * batch
    if form in ("packed", "unsorted"):
        lengths = [steps, *(draw.randint(1, steps) for _ in range(batch - 1))]
        draw.shuffle(lengths)
        lengths = sorted(lengths, reverse=True) if form == "packed" else lengths
    return Configuration(layer, options, form, tuple(lengths), draw.random() < 0.5)


def _log_uniform(draw: random.Random, largest: int) -> int:
    return min(largest, int((largest + 1) ** draw.random()))


@lru_cache(maxsize=4)
def case(seed: int) -> tuple[torch.nn.RNNBase, list[Tensor], list[Tensor], dict[str, Tensor]]:
    """Torch's layer in float64, [input, states …], what the loss weighs the results with, and torch's results.

    Everything is drawn in float32, so that casts lose nothing.
    """
    c = configuration(seed)
    torch.manual_seed(seed)
    layer = c.layer(**c.options)
    shape = [max(c.lengths), len(c.lengths), c.options["input_size"]]
    if c.options["batch_first"]:
        shape[:2] = shape[1::-1]
    given = [torch.randn(shape)]
    if c.with_state:
        stack = layer.num_layers * (1 + layer.bidirectional)
        given += [torch.randn(stack, len(c.lengths), size) for size in c.state_sizes]
    if c.form == "unbatched":
        given = [given[0].squeeze(int(not c.options["batch_first"])), *(state.squeeze(1) for state in given[1:])]
    layer = layer.double()
    given = [tensor.double() for tensor in given]
    weighing = [torch.randn(tensor.shape).double() for tensor in call(layer, c, given)]
    return layer, given, weighing, results_and_gradients(layer, c, given, weighing)


def call(layer: torch.nn.RNNBase, c: Configuration, given: list[Tensor]) -> list[Tensor]:
    """[output, final states …] of a call; the output of a packed batch is its data."""
    input: Tensor | PackedSequence = given[0]
    if c.form in ("packed", "unsorted"):
        first = c.options["batch_first"]
        input = pack_padded_sequence(given[0], torch.tensor(c.lengths), first, enforce_sorted=c.form == "packed")
    state = None if len(given) == 1 else given[1] if len(given) == 2 else tuple(given[1:])
    output, finals = layer(input, state)
    if isinstance(input, PackedSequence):
        assert isinstance(output, PackedSequence)
        assert torch.equal(output.batch_sizes, input.batch_sizes)
        output = output.data
    return [output, *(finals if isinstance(finals, tuple) else [finals])]


def results_and_gradients(
    layer: torch.nn.RNNBase, c: Configuration, given: list[Tensor], weighing: list[Tensor]
) -> dict[str, Tensor]:
    """Results, and the gradients of everything that has one, by name."""
    leaves = [tensor.clone().requires_grad_() for tensor in given]
    found = call(layer, c, leaves)
    gradients = torch.autograd.grad(found, [*leaves, *layer.parameters()], weighing)
    names = ["output", "h_n", "c_n"][: len(found)]
    names += ["d_input", "d_h_0", "d_c_0"][: len(leaves)] + [f"d_{name}" for name, _ in layer.named_parameters()]
    return dict(zip(names, [*found, *gradients], strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("seed", range(CONFIGURATIONS))
def test_results_and_gradients_are_torchs(seed: int, dtype: torch.dtype) -> None:
    c = configuration(seed)
    theirs, given, weighing, expected = case(seed)
    layer = OURS[c.layer](**c.options).to(dtype)
    layer.load_state_dict(theirs.state_dict())
    given, weighing = [t.to(dtype) for t in given], [t.to(dtype) for t in weighing]
    found = results_and_gradients(layer, c, given, weighing)
    assert layer.path(given[0]).name == "fused"
    for name, reference in expected.items():
        assert found[name].dtype == dtype
        assert_close(found[name].detach(), reference.detach(), "layer", str(dtype).removeprefix("torch."), name)


def test_the_configurations_hold_what_they_should() -> None:
    all_of_them = [configuration(seed) for seed in range(CONFIGURATIONS)]
    sizes = [c.options["hidden_size"] for c in all_of_them]
    assert min(sizes) == 1
    assert max(sizes) > 250
    assert min(max(c.lengths) for c in all_of_them) == 1
    assert {len(c.lengths) for c in all_of_them if c.form != "unbatched"} >= {1, 2, 3}
    for layer in OURS:
        mine = [c for c in all_of_them if c.layer is layer]
        assert {c.form for c in mine} == {"dense", "unbatched", "packed", "unsorted"}
        for option, values in (("num_layers", {1, 2, 3}), ("bias", {True, False}), ("bidirectional", {True, False})):
            assert {c.options[option] for c in mine} == values
        assert {c.with_state for c in mine} == {True, False}
    assert any("proj_size" in c.options for c in all_of_them)
    assert {c.options.get("nonlinearity") for c in all_of_them} == {None, "tanh", "relu"}
