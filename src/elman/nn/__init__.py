"""Torch modules over the kernels.

`Recurrent` for any cell; `LSTM`, `GRU`, `RNN` and `Linear` in place of torch's; `LinearCrossEntropy`; `accelerate`.
"""

from __future__ import annotations

from elman.nn import functional
from elman.nn.accelerate import Report, accelerate
from elman.nn.cross_entropy import LinearCrossEntropy
from elman.nn.linear import Linear
from elman.nn.paths.choice import Path
from elman.nn.recurrent import Recurrent
from elman.nn.torch_layers import GRU, LSTM, RNN

__all__ = [
    "GRU", "LSTM", "RNN", "Linear", "LinearCrossEntropy", "Path", "Recurrent", "Report", "accelerate", "functional",
]  # fmt: skip
