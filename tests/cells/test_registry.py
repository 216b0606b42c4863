"""The registry, the hashes that model files go by, and how parameters lie in tensors."""

from __future__ import annotations

import json

import pytest

from elman import cells
from elman.cells.layout import layout
from elman.errors import ConfigError
from tests.cells.hashes import FILE, hashes
from tests.equations.sources import make


def test_names():
    assert set(cells.names()) >= {
        "elman", "elman_relu", "lstm", "gru", "gru_reset_before", "peephole_lstm", "projected_lstm", "coupled_lstm",
        "janet", "layer_norm_lstm", "indrnn", "min_gru", "min_lstm", "leaky_elman", "antisymmetric", "slstm",
    }  # fmt: skip
    assert [cells.get(name).name for name in cells.names()] == list(cells.names())


def test_unknown_name():
    with pytest.raises(ConfigError, match=r"unknown cell 'LSTM'; built in: elman, .*lstm"):
        cells.get("LSTM")


def test_hashes():
    """Weights are saved under these: a change here makes every saved model of the cell unreadable.

    Where that is meant, `python -m tests.cells.hashes` writes the file anew.
    """
    assert hashes() == json.loads(FILE.read_text())


def slots(source, **sizes):
    return [(slot.name, slot.shape, slot.members, slot.rows) for slot in layout(make(source).graph, sizes)]


def test_alike_members_are_stacked():
    source = """
        @cell(states="h c")
        def step(x, h, c, W, U, b, s):
            i = sigmoid(W.i @ x + U.i @ h + b.i)
            return tanh(W.o @ x) + i, U.o @ c + b.o + s * c
    """
    assert slots(source, D=3, H=5) == [
        ("W", (10, 3), ("W.i", "W.o"), 5),
        ("U", (10, 5), ("U.i", "U.o"), 5),
        ("b", (10,), ("b.i", "b.o"), 5),
        ("s", (5,), ("s",), 5),
    ]


def test_unlike_members_are_apart():
    """In shape, or in kind; even where the sizes happen to be equal."""
    source = """
        @cell(inputs="x dt:1", states="h:P c s:1")
        def step(x, dt, h, c, s, W, b):
            c = tanh(W.x @ x + W.h @ h + W.t @ dt + b.c * c)
            return W.y @ c, c, s * b.s
    """
    expected = [
        ("W_x", (4, 4), ("W.x",), 4), ("W_h", (4, 4), ("W.h",), 4), ("W_t", (4, 1), ("W.t",), 4),
        ("W_y", (4, 4), ("W.y",), 4), ("b_c", (4,), ("b.c",), 4), ("b_s", (1,), ("b.s",), 1),
    ]  # fmt: skip
    assert slots(source, D=4, H=4, P=4) == expected


@pytest.mark.parametrize("name", cells.names())
def test_every_parameter_lies_in_one_tensor(name):
    graph = cells.get(name).graph
    found = layout(graph, {"D": 3, "H": 5, "P": 2})
    assert [member for slot in found for member in slot.members] == [p.name for p in graph.parameters]
    assert len({slot.name for slot in found}) == len(found)
