"""A sequence step by step through a cell of torch's name gives the bits of the layer, on every instruction set."""

from __future__ import annotations

import pytest
import torch

import elman.nn
from tests.conformance.cases import SHAPES

KINDS = {
    "lstm": (elman.nn.LSTMCell, elman.nn.LSTM),
    "gru": (elman.nn.GRUCell, elman.nn.GRU),
    "rnn": (elman.nn.RNNCell, elman.nn.RNN),
}


@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step_is_the_layer(kind: str, dtype: torch.dtype) -> None:
    if dtype is torch.bfloat16:
        pytest.skip("cells do not round the factors of their products")
    torch.manual_seed(0)
    for d, h, steps, batch in SHAPES:
        cell, layer = (make(d, h, dtype=dtype) for make in KINDS[kind])
        layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
        x = torch.randn(steps, batch, d, dtype=dtype)
        for learning in (False, True):
            with torch.set_grad_enabled(learning):
                expected, _ = layer(x)
                state, outputs = None, []
                for step in x:
                    state = cell(step, state)
                    outputs.append(state[0] if isinstance(state, tuple) else state)
                assert cell.path(x[0], state).name == "fused"
            assert torch.equal(torch.stack(outputs), expected), (d, h, steps, batch, learning)
