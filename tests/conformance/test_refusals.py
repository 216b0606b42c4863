"""What no cell's layer takes: inputs of other sequences, layers that do not fit on one another, no parameters."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman import cell as equations
from elman import tanh
from elman.errors import ConfigError, ShapeError
from elman.sequences import Ragged
from tests.conformance.cases import (
    CELLS,
    layer,
)


@pytest.mark.parametrize("make", [Ragged.from_list, lambda some: pack_sequence(some, enforce_sorted=False)])
def test_inputs_of_other_sequences_are_refused(make):
    """Two inputs whose sequences have the same lengths in another order would be paired wrongly."""
    recurrent = layer(CELLS["delay"], 7, 9)
    short, long = torch.randn(3, 7), torch.randn(5, 7)
    with pytest.raises(ShapeError, match="same lengths"):
        recurrent((make([short, long]), make([long, short])))
    recurrent((pack_sequence([long, short]), pack_sequence([long, short], enforce_sorted=False)))


@pytest.mark.parametrize(
    ("inputs", "states", "output", "directions"),
    [
        ("x:P", "h c", "h", 1),
        ("x:H", "h:P c", "h", 1),
        ("x:H", "h c", "h", 2),
        ("x z:D", "h c", "h", 1),
        ("x", "h c:D", "h", 1),
    ],
)
def test_layers_that_do_not_fit_are_refused(inputs, states, output, directions):
    """A second layer whose input the first does not give would read beside it."""

    def several(x, z, h, c, W, U, V):
        h, c = tanh(W @ x + U @ h + V.z @ z), tanh(V.c @ h)
        return h, c

    def one(x, h, c, W, U, V):
        h, c = tanh(W @ x + U @ h), tanh(V.c @ h)
        return h, c

    own = equations(inputs=inputs, states=states, output=output)(several if "z" in inputs else one)
    make = functools.partial(layer, own, 7, 9, bidirectional=directions == 2)
    make()
    with pytest.raises(ConfigError, match="do not stack"):
        make(num_layers=2)


def test_a_cell_without_parameters_is_refused():
    @equations(inputs="x:H", states="h")
    def average(x, h):
        h = 0.9 * h + 0.1 * x
        return h

    with pytest.raises(ConfigError, match="no parameters"):
        layer(average, 4, 4)
