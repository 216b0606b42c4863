"""`accelerate(model)`: torch's recurrent layers in a model become ours, in place, with a report."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.utils.parametrize import is_parametrized

from elman.nn.paths.choice import FUSED_DTYPES
from elman.nn.torch_layers import GRU, LSTM, RNN

REPLACEMENTS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    torch.nn.LSTM: LSTM,
    torch.nn.GRU: GRU,
    torch.nn.RNN: RNN,
}


@dataclass(frozen=True)
class Report:
    """What `accelerate` did: for each recurrent layer of the model its name and a sentence.

    Attributes:
        changed: layers that run on the fused kernels now.
        left: layers that stay as they are, and why.
    """

    changed: tuple[tuple[str, str], ...]
    left: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{name}: {text}" for name, text in self.changed]
        lines += [f"{name}: left alone, {text}" for name, text in self.left]
        return "\n".join(lines) or "no recurrent layers found"


def accelerate(model: torch.nn.Module) -> Report:
    """Let the recurrent layers of `model` run on the fused kernels: a change of class, and nothing else.

    Exactly `torch.nn.LSTM`, `GRU` and `RNN` change; weights, hooks and names stay as they are. Subclasses, layers on
    other devices or of other element types, parametrised, quantised and scripted ones are left alone and reported. A
    second call finds nothing left to do. Linear layers do not change: with few rows `elman.nn.Linear` is slower than
    torch's, and how many will come is not known here.
    """
    changed, left = [], []
    for name, module in model.named_modules():
        place, kind = name or "the model itself", type(module)
        if isinstance(module, (LSTM, GRU, RNN)):
            continue
        if reason := _obstacle(module):
            left.append((place, reason))
        elif kind in REPLACEMENTS:
            module.__class__ = REPLACEMENTS[kind]
            changed.append((place, f"torch.nn.{kind.__name__} is elman.nn.{kind.__name__} now"))
    return Report(tuple(changed), tuple(left))


def _obstacle(module: torch.nn.Module) -> str:
    """Why a recurrent module must stay as it is, or nothing (for any other module too)."""
    if isinstance(module, torch.nn.RNNBase):
        if is_parametrized(module):
            return "its parameters are parametrised"
        if type(module) not in REPLACEMENTS:
            return f"{type(module).__name__} is a class of its own"
        parameter = next(module.parameters())
        if parameter.device.type != "cpu":
            return f"it is on {parameter.device}"
        if parameter.dtype not in FUSED_DTYPES:
            return f"its element type is {parameter.dtype}"
        if "forward" in vars(module):
            return "its forward has been replaced"
    elif isinstance(module, torch.jit.ScriptModule) and module.original_name in ("LSTM", "GRU", "RNN"):
        return "it is scripted"
    elif "quantized" in type(module).__module__ and type(module).__name__ in ("LSTM", "GRU", "RNN"):
        return "it is quantised"
    return ""
