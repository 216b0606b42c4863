"""Elman: recurrent networks whose equations are written once.

Importing this package loads nothing: every name below is fetched from its module when it is first used, so that a
program that only streams a model never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import elman.baselines as baselines
    import elman.bench as bench
    import elman.cells as cells
    import elman.cli as cli
    import elman.codec as codec
    import elman.compare as compare
    import elman.data as data
    import elman.decode as decode
    import elman.emit as emit
    import elman.equations as equations
    import elman.errors as errors
    import elman.formats as formats
    import elman.kernels as kernels
    import elman.models as models
    import elman.nn as nn
    import elman.runtime as runtime
    import elman.sequences as sequences
    import elman.state as state
    import elman.tasks as tasks
    import elman.train as train
    from elman.equations import (
        abs,
        block_diagonal,
        cell,
        cos,
        dot,
        exp,
        floor,
        layer_norm,
        log,
        maximum,
        mean,
        minimum,
        mod,
        relu,
        round,
        shift,
        sigmoid,
        sin,
        softmax,
        softplus,
        sqrt,
        step,
        straight_through,
        sum,
        tanh,
        where,
    )
    from elman.errors import ElmanError, EquationError
    from elman.nn import accelerate, accelerated, restore
    from elman.runtime import load

__version__ = "0.1.0"

__all__ = [
    "ElmanError",
    "EquationError",
    "abs",
    "accelerate",
    "accelerated",
    "baselines",
    "bench",
    "block_diagonal",
    "cell",
    "cells",
    "cli",
    "codec",
    "compare",
    "cos",
    "data",
    "decode",
    "dot",
    "emit",
    "equations",
    "errors",
    "exp",
    "floor",
    "formats",
    "kernels",
    "layer_norm",
    "load",
    "log",
    "maximum",
    "mean",
    "minimum",
    "mod",
    "models",
    "nn",
    "relu",
    "restore",
    "round",
    "runtime",
    "sequences",
    "shift",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "state",
    "step",
    "straight_through",
    "sum",
    "tanh",
    "tasks",
    "train",
    "where",
]

# Where each public name lives; a name that is not here is a submodule.
_HOME = {
    "ElmanError": "elman.errors",
    "EquationError": "elman.errors",
    "abs": "elman.equations",
    "accelerate": "elman.nn",
    "accelerated": "elman.nn",
    "block_diagonal": "elman.equations",
    "cell": "elman.equations",
    "cos": "elman.equations",
    "dot": "elman.equations",
    "exp": "elman.equations",
    "floor": "elman.equations",
    "layer_norm": "elman.equations",
    "load": "elman.runtime",
    "log": "elman.equations",
    "maximum": "elman.equations",
    "mean": "elman.equations",
    "minimum": "elman.equations",
    "mod": "elman.equations",
    "relu": "elman.equations",
    "restore": "elman.nn",
    "round": "elman.equations",
    "shift": "elman.equations",
    "sigmoid": "elman.equations",
    "sin": "elman.equations",
    "softmax": "elman.equations",
    "softplus": "elman.equations",
    "sqrt": "elman.equations",
    "step": "elman.equations",
    "straight_through": "elman.equations",
    "sum": "elman.equations",
    "tanh": "elman.equations",
    "where": "elman.equations",
}


def __getattr__(name: str) -> object:
    """Fetch a public name from its module on first use, and keep it."""
    if name not in __all__:
        raise AttributeError(f"module 'elman' has no attribute {name!r}")
    if name not in _HOME:
        return import_module(f"elman.{name}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
