"""`accelerate(model)`: torch's recurrent layers in a model become ours, in place; `restore(model)`: and back again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._dynamo.eval_frame import OptimizedModule
from torch.nn.utils.parametrize import is_parametrized

from elman.errors import ConfigError, DtypeError
from elman.nn._replace import RECURRENT, REPLACEMENTS, obstacle, original, replacement, torch_class
from elman.nn._standin import StandIn, class_name


@dataclass(frozen=True)
class Report:
    """What `accelerate` or `restore` did: for each recurrent layer of the model its name and a sentence.

    Attributes:
        changed: layers of which the class changed.
        left: layers that stay as they are, and why.
    """

    changed: tuple[tuple[str, str], ...]
    left: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{name}: {text}" for name, text in (*self.changed, *self.left)]
        return "\n".join(lines) or "no recurrent layers found"


def accelerate(model: torch.nn.Module) -> Report:
    """Let the recurrent layers of `model` run on the fused kernels: a change of class, and nothing else.

    These are `torch.nn.LSTM`, `GRU`, `RNN`, `LSTMCell`, `GRUCell`, `RNNCell`, and classes derived from them whose
    forward ends in `super().forward`; weights, hooks and names stay as they are. Layers on other devices or of other
    element types, parametrised, quantised and scripted ones are left alone and reported. A second call finds nothing
    left to do. Linear layers do not change: with few rows `elman.nn.Linear` is slower than torch's, and how many will
    come is not known here.

    Raises:
        DtypeError: `model` is no torch.nn.Module.
        ConfigError: it is compiled or scripted as a whole.
    """
    return _change(model, "accelerate", accelerate_layer)


def restore(model: torch.nn.Module) -> Report:
    """Give the layers that `accelerate` changed, and those made as `elman.nn.LSTM` and so on, torch's classes back.

    What only our layers have (`checkpoint`, `precision`) goes. For tools that know torch's layers by their exact class:
    torch.jit.script, torch.ao.quantization, opacus. `elman.nn.Linear` layers become torch's, too.

    Raises:
        DtypeError: `model` is no torch.nn.Module.
        ConfigError: it is compiled or scripted as a whole.
    """
    return _change(model, "restore", _restore_layer)


def _change(model: Any, verb: str, change: Callable[[torch.nn.Module], tuple[bool, str]]) -> Report:
    """Go through the modules with a function that says whether it changed one and what there is to say, if anything."""
    if not isinstance(model, torch.nn.Module):
        raise DtypeError(f"elman.{verb}: a torch.nn.Module expected, got {model!r:.60}")
    if isinstance(model, torch.jit.ScriptModule):
        raise ConfigError(f"elman.{verb}: the model is scripted, and all code; {verb} the one it was made from")
    changed: list[tuple[str, str]] = []
    left: list[tuple[str, str]] = []
    modules = list(model.named_modules())
    if any(isinstance(module, OptimizedModule) or module._compiled_call_impl for _, module in modules):
        raise ConfigError(f"elman.{verb}: the model is compiled; {verb} it before torch.compile")
    for name, module in modules:
        done, text = change(module)
        if text:
            (changed if done else left).append((name or "the model itself", text))
    return Report(tuple(changed), tuple(left))


def accelerate_layer(module: torch.nn.Module) -> tuple[bool, str]:
    """Change the class of one layer. Gives whether it changed, and what there is to say, if it is recurrent."""
    kind: type[torch.nn.Module] = type(module)
    if isinstance(module, StandIn):
        return False, ""
    if reason := obstacle(module):
        return False, f"{class_name(kind)} left alone, {reason}"
    if not isinstance(module, RECURRENT):
        return False, ""
    module.__class__ = replacement(kind)  # type: ignore[assignment]
    _enter_in_registries(kind)
    ours = class_name(REPLACEMENTS[torch_class(kind)])
    does = f"is {ours} now" if kind in REPLACEMENTS else f"finds {ours}.forward above its own now"
    few = "; with fewer than some 32 sequences a step torch's own is faster"
    return True, f"{class_name(kind)} {does}{few if isinstance(module, torch.nn.RNNCellBase) else ''}"


def _enter_in_registries(kind: type[torch.nn.Module]) -> None:
    """Enter our class where opacus, if it is imported, keeps what it knows of torch's: it looks for exact types."""
    validators: Any = sys.modules.get("opacus.validators.module_validator")
    if validators is not None and kind in REPLACEMENTS:
        for registry in (validators.ModuleValidator.VALIDATORS, validators.ModuleValidator.FIXERS):
            if kind in registry:
                registry.setdefault(REPLACEMENTS[kind], registry[kind])


def _restore_layer(module: torch.nn.Module) -> tuple[bool, str]:
    kind: type[torch.nn.Module] = type(module)
    if not isinstance(module, StandIn):
        return False, ""
    if is_parametrized(module):
        return False, f"{class_name(kind)} left alone, its parameters are parametrised"
    theirs = original(kind)
    if theirs is None:
        return False, f"{class_name(kind)} left alone, it is a class of its own"
    module.__class__ = theirs  # type: ignore[assignment]
    for option in ("checkpoint", "precision"):
        vars(module).pop(option, None)
    return True, f"{class_name(theirs)} again"
