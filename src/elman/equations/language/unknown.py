"""What the author of a name that Python does not know was looking for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from elman.equations.language import functions

FUNCTIONS = tuple(
    sorted(n for n, f in vars(functions).items() if n[0] != "_" and getattr(f, "__module__", "") == functions.__name__)
)
"""The functions that equations are written with."""

# How the same is called elsewhere.
_ALIASES = {
    "LayerNorm": "layer_norm", "ReLU": "relu", "absolute": "abs", "average": "mean", "clamp": "minimum",
    "clip": "minimum", "cond": "where", "heaviside": "step", "ln": "log", "logistic": "sigmoid", "matmul": "@",
    "max": "maximum", "min": "minimum", "remainder": "mod", "roll": "shift", "sigma": "sigmoid",
}  # fmt: skip


def unknown(error: Exception, names: Iterable[str]) -> tuple[str, str]:
    """The problem and its cure, for what Python has raised inside a cell's function, whose locals are `names`."""
    name = getattr(error, "name", None) if isinstance(error, (NameError, AttributeError)) else None
    module = getattr(getattr(error, "obj", None), "__name__", None)
    if not isinstance(name, str) or (isinstance(error, AttributeError) and module != "elman"):
        return (
            f"{type(error).__name__}: {error}",
            "an equation is made of inputs, states, parameters, numbers, + - * / @ and elman's functions",
        )
    if name == "elman":
        return "elman is not known here", "write import elman"
    if name in FUNCTIONS:
        return f"{name} is not known here", f"write from elman import {name}"
    near = [_ALIASES[name]] if name in _ALIASES else get_close_matches(name, [*FUNCTIONS, *names], 1)
    meant = f"is {near[0]} meant? " if near else ""
    return f"{name} is no argument, local or function here", f"{meant}the functions are {', '.join(FUNCTIONS)}"
