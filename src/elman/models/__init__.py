"""Whole networks: a recurrent stack with what stands below and above it; no task is known here (torch)."""

from __future__ import annotations

from elman.models.network import Network, NetworkOutput
from elman.models.saving import to_model_file
from elman.models.sizes import hidden_size_for, parameter_count
from elman.models.spec import Input, OneHot, Stack
from elman.models.stepper import TorchStepper

__all__ = [
    "Input", "Network", "NetworkOutput", "OneHot", "Stack", "TorchStepper", "hidden_size_for", "parameter_count",
    "to_model_file",
]  # fmt: skip
