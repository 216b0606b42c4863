"""Networks: their sizes, their weights at first, and their file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman import cells
from elman.data import Vocabulary
from elman.equations import Cell
from elman.errors import ConfigError
from elman.formats import model_file
from elman.formats.heads import Softmax
from elman.models import Input, Network, OneHot, Stack, hidden_size_for, parameter_count, to_model_file
from elman.runtime import Model
from tests.tolerances import assert_close, assert_same_bits

CELLS = [cells.get(name) for name in cells.names() if len(cells.get(name).graph.inputs) == 1]
VOCABULARY = Vocabulary.characters("abcdefg")


def stack(cell: Cell, hidden: int, num_layers: int = 1, dropout: float = 0.0) -> Stack:
    return Stack(cell, hidden, num_layers, dropout, {letter: 5 for letter in cell.graph.letters if letter not in "DH"})


def language_model(cell: Cell, size: int, hidden: int, num_layers: int = 1, dropout: float = 0.0) -> Network:
    return Network(OneHot(size), stack(cell, hidden, num_layers, dropout), Softmax(size))


def count(cell: Cell, size: int, hidden: int, num_layers: int = 1) -> int:
    return parameter_count(size, stack(cell, hidden, num_layers), Softmax(size))


def nearest(cell: Cell, size: int, parameters: int) -> int:
    return hidden_size_for(parameters, size, stack(cell, 1), Softmax(size))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_parameters_are_counted_without_a_model(cell: Cell, num_layers: int) -> None:
    model = language_model(cell, 7, 10, num_layers)
    assert count(cell, 7, 10, num_layers) == sum(p.numel() for p in model.parameters())


def test_counts_written_out() -> None:
    """LSTM: 4 (V H + H² + H); GRU: 3 (V H + H² + H) and the bias d.n; Elman: V H + H² + H; the head: V H + V."""
    v, h = 103, 64
    head, gate = v * h + v, v * h + h * h + h
    assert count(cells.get("lstm"), v, h) == 4 * gate + head
    assert count(cells.get("gru"), v, h) == 3 * gate + h + head
    assert count(cells.get("elman"), v, h) == gate + head
    upper = h * h + h * h + h
    assert count(cells.get("lstm"), v, h, 2) == 4 * (gate + upper) + head


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_nearest_hidden_size(cell: Cell) -> None:
    for wanted in (1000, 20_000, 400_000):
        found = nearest(cell, 7, wanted)
        distances = {h: abs(count(cell, 7, h) - wanted) for h in range(max(1, found - 2), found + 3)}
        assert distances[found] == min(distances.values())


def test_no_hidden_size_is_small_enough() -> None:
    with pytest.raises(ConfigError, match="one hidden unit already has"):
        nearest(cells.get("lstm"), 100, 200)


def test_a_cell_with_more_inputs_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaky_elman takes the inputs x, dt"):
        language_model(cells.get("leaky_elman"), 7, 4)


def test_weights_at_first() -> None:
    torch.manual_seed(0)
    h = 64
    recurrent = language_model(cells.get("lstm"), 100, h, num_layers=2).recurrent
    for layer in (0, 1):
        for member in getattr(recurrent, f"U_l{layer}").detach().split(h):
            torch.testing.assert_close(member @ member.T, torch.eye(h), atol=1e-5, rtol=0)
        assert (getattr(recurrent, f"b_l{layer}")[h : 2 * h] == 1).all()
    assert recurrent.W_l0.std().item() == pytest.approx(0.5, rel=0.05)
    assert recurrent.W_l1.std().item() < 0.2


def test_initial_weights_follow_the_seed() -> None:
    def draw(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(language_model(cells.get("gru"), 7, 5).parameters())

    assert all(torch.equal(a, b) for a, b in zip(draw(1), draw(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(draw(1), draw(2), strict=True))


def test_dropout_only_while_training() -> None:
    model = language_model(cells.get("lstm"), 7, 16, num_layers=2, dropout=0.5)
    tokens = torch.arange(7)[:, None]
    assert not torch.equal(model(tokens)[0], model(tokens)[0])
    model.eval()
    assert torch.equal(model(tokens)[0], model(tokens)[0])


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_file_and_stream_say_the_same(cell: Cell, num_layers: int, dtype: str, tmp_path: object) -> None:
    """Trained here, saved, loaded without torch, one token at a time: the same logits, and the same bits of state."""
    torch.manual_seed(1)
    model = language_model(cell, 7, 9, num_layers).to(getattr(torch, dtype))
    tokens = torch.randint(0, 7, (12, 3))
    with torch.no_grad():
        logits, state = model(tokens)
    path = f"{tmp_path}/model.safetensors"
    model_file.save(path, to_model_file(model, VOCABULARY, {"note": 1}))
    file = model_file.load(path)
    assert file.extra == {"note": 1}
    stream = Model(file).stream(batch=3)
    stepped = np.stack([stream.step(row) for row in tokens.numpy()])
    assert stepped.dtype == dtype
    assert_close(stepped, logits.numpy(), "layer", dtype, "logits")
    assert set(stream.state) == set(state)
    for name, array in stream.state.items():
        assert_same_bits(array, state[name].numpy(), name)


def test_the_file_is_a_copy() -> None:
    model = language_model(cells.get("elman"), 7, 4)
    file = to_model_file(model, VOCABULARY)
    before = {name: tensor.copy() for name, tensor in file.tensors.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all((file.tensors[name] == tensor).all() for name, tensor in before.items())


def test_numbers_are_read_by_weights_as_the_layer_draws_them() -> None:
    network = Network(Input(3), Stack(cells.get("lstm"), 16), Softmax(5))
    assert (network.recurrent.W_l0.abs() <= 0.25).all()
    values, state = network(torch.randn(4, 2, 3))
    assert (values.shape, state["h"].shape) == ((4, 2, 5), (1, 2, 16))
