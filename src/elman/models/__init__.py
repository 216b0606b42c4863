"""Whole models: a recurrent stack with what a task needs around it (torch)."""

from __future__ import annotations

from elman.models.language import LanguageModel, to_model_file
from elman.models.sizes import hidden_size_for, parameter_count
from elman.models.stepper import TorchStepper

__all__ = ["LanguageModel", "TorchStepper", "hidden_size_for", "parameter_count", "to_model_file"]
