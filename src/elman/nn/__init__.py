"""Torch modules over the kernels.

`Recurrent` for any cell; `LSTM`, `GRU`, `RNN`, `LSTMCell`, `GRUCell`, `RNNCell` and `Linear` in place of torch's;
`LinearCrossEntropy`; `accelerate`, `accelerated` and `restore`.
"""

from __future__ import annotations

from elman.nn import functional
from elman.nn._blocks import accelerated
from elman.nn.acceleration import Report, accelerate, restore
from elman.nn.cross_entropy import LinearCrossEntropy
from elman.nn.linear import Linear
from elman.nn.paths.choice import Path
from elman.nn.recurrent import Recurrent
from elman.nn.torch_cells import GRUCell, LSTMCell, RNNCell
from elman.nn.torch_layers import GRU, LSTM, RNN

__all__ = [
    "GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "Linear", "LinearCrossEntropy", "Path", "RNNCell", "Recurrent",
    "Report", "accelerate", "accelerated", "functional", "restore",
]  # fmt: skip
