"""Torch's weights as a cell's: the equations with them give what torch's layers give, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from elman import cells
from elman.cells.layout import layout
from elman.equations import evaluate
from elman.interchange.torch import from_cell, names, of_layer, to_cell, torch_layout
from tests.tolerances import assert_close

D, H, P, B = 3, 4, 2, 5
LAYERS = {
    "LSTM": lambda **options: torch.nn.LSTM(D, H, **options),
    "LSTM, projected": lambda **options: torch.nn.LSTM(D, H, proj_size=P, **options),
    "GRU": lambda **options: torch.nn.GRU(D, H, **options),
    "RNN, tanh": lambda **options: torch.nn.RNN(D, H, **options),
    "RNN, relu": lambda **options: torch.nn.RNN(D, H, nonlinearity="relu", **options),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_cell_steps_as_torchs_layer(kind: str, bias: bool) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind](bias=bias, bidirectional=True).double()
    parameters = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    way = torch_layout(layer.mode, layer.proj_size > 0)
    graph, x = cells.get(way.cell).graph, torch.randn(1, B, D, dtype=torch.float64)
    output, _ = layer(x)
    for reverse, expected in enumerate(output[0].split(layer.proj_size or H, 1)):
        given = of_layer(parameters, 0, bool(reverse))
        assert tuple(given) == names(bias, layer.proj_size > 0)
        tensors = to_cell(way, given, H)
        sizes = {"D": D, "H": H, "P": P}
        assert [(s.name, s.shape) for s in layout(graph, sizes)] == [(n, t.shape) for n, t in tensors.items()]
        weights = {
            member: torch.from_numpy(tensors[slot.name][k * slot.rows : (k + 1) * slot.rows])
            for slot in layout(graph, sizes)
            for k, member in enumerate(slot.members)
        }
        states = {s.name: torch.zeros(B, sizes[s.size], dtype=torch.float64) for s in graph.states}
        found, _ = evaluate.run(graph, torch, {"x": x[0]}, states, weights)
        assert_close(found, expected.detach(), "layer", "float64")


@pytest.mark.parametrize("kind", LAYERS)
def test_there_and_back(kind: str) -> None:
    layer, rng = LAYERS[kind](), np.random.default_rng(0)
    way = torch_layout(layer.mode, layer.proj_size > 0)
    shapes = to_cell(way, of_layer({name: p.detach().numpy() for name, p in layer.named_parameters()}), H)
    tensors = {name: rng.normal(size=tensor.shape).astype(np.float32) for name, tensor in shapes.items()}
    given = from_cell(way, tensors, H)
    assert {name: value.shape for name, value in given.items()} == {
        name: tuple(p.shape) for name, p in of_layer(dict(layer.named_parameters())).items()
    }
    for name, value in to_cell(way, given, H).items():
        assert np.array_equal(value, tensors[name])


def test_layers_are_told_apart() -> None:
    parameters: dict[str, Tensor] = dict(torch.nn.GRU(D, H, 11, bidirectional=True).named_parameters())
    for layer in (0, 1, 10):
        for reverse in (False, True):
            suffix = f"_l{layer}" + "_reverse" * reverse
            found = of_layer(parameters, layer, reverse)
            assert found.keys() == set(names())
            assert all(found[name] is parameters[name + suffix] for name in found)
