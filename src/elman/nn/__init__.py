"""Torch modules over the kernels: `Recurrent` for any cell, `LSTM`, `GRU`, `RNN` in place of torch's, `accelerate`."""

from __future__ import annotations

from elman.nn.accelerate import Report, accelerate
from elman.nn.path import Path
from elman.nn.recurrent import Recurrent
from elman.nn.torch_layers import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "Path", "Recurrent", "Report", "accelerate"]
