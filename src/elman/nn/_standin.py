"""What tools that know torch's layers by their class find in ours: the same as before, or what to do."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Proxy, Tracer

from elman.errors import ConfigError

_CURE = "call elman.restore(model) before, which gives torch's classes back"


class RefusedAttribute:
    """An attribute by which a tool takes a layer for its own. A layer that must not be taken raises ConfigError."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __get__(self, layer: Any, owner: type) -> Any:
        if layer is None:
            return self
        raise AttributeError(self.why)

    def __set__(self, layer: Any, value: Any) -> None:
        raise ConfigError(f"{name_of(layer)}: {self.why}")


class StandIn(torch.nn.Module):
    """A layer of ours where torch has one of the same name."""

    qconfig = RefusedAttribute(
        f"torch.ao.quantization knows torch's own layers only; {_CURE}, and elman.accelerate(model) after"
    )

    def __prepare_scriptable__(self) -> Any:
        raise ConfigError(f"{name_of(self)}: torch.jit.script compiles torch's own layers only; {_CURE}")


class RecurrentStandIn(StandIn):
    """The same of a layer whose result is more than one tensor."""

    ft_compute_sample_grad = RefusedAttribute(
        f"opacus has no gradients by sample of this layer; {_CURE}, then opacus.validators.ModuleValidator.fix(model)"
    )


class OwnLayer(torch.nn.Module):
    """A layer of ours for which torch has no name."""

    ft_compute_sample_grad = RefusedAttribute(
        "opacus has no gradients by sample of this layer; torch.func.vmap(torch.func.grad(…)) has"
    )

    def __prepare_scriptable__(self) -> Any:
        raise ConfigError(
            f"{name_of(self)}: torch.jit.script cannot compile it; torch.export.export(model, (input,)) can"
        )


def name_of(layer: torch.nn.Module) -> str:
    """Where its class is found: elman.nn.LSTM for elman.nn.torch_layers.LSTM."""
    return class_name(type(layer))


def class_name(kind: type) -> str:
    """Module and name of a class, as one imports it."""
    if getattr(torch.nn, kind.__name__, None) is kind:
        return f"torch.nn.{kind.__name__}"
    module = "elman.nn" if kind.__module__.startswith("elman.nn.") else kind.__module__
    return f"{module}.{kind.__qualname__}"


def is_traced(input: Any) -> bool:
    """Whether an input, or one of several, is what torch.fx puts in the place of values."""
    return isinstance(input, Proxy) or (type(input) is tuple and any(isinstance(part, Proxy) for part in input))


def traced(layer: torch.nn.Module, input: Any, *others: Any, **options: Any) -> Any:
    """A call of a layer in the graph that torch.fx makes, as one node: inside, it looks at values that are not there.

    Raises ConfigError where that cannot be: for the traced module itself, and where what stands around our forward
    (hooks, a forward that calls ours) would run twice, in the graph and in its node.
    """
    parts = input if isinstance(input, tuple) else (input,)
    tracer: Any = next(part.tracer for part in parts if isinstance(part, Proxy))
    if not isinstance(tracer, Tracer) or tracer.root is layer:
        raise ConfigError(f"{name_of(layer)}: torch.fx traces models that hold this layer, not the layer itself")
    wrapped = not type(layer).forward.__module__.startswith("elman.")
    if wrapped or layer._forward_hooks or layer._forward_pre_hooks:
        twice, cure = "forward" if wrapped else "hooks", _CURE if isinstance(layer, StandIn) else "take them off before"
        raise ConfigError(f"{name_of(layer)}: torch.fx would run its {twice} twice; {cure}")
    arguments = (input, *(other for other in others if other is not None))
    options = {name: option for name, option in options.items() if option is not None}
    return tracer.create_proxy("call_module", tracer.path_of_module(layer), arguments, options)
