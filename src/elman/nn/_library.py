"""Work on tensors as operations that torch.compile and torch's modes know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_LIBRARY = torch.library.Library("elman", "FRAGMENT")  # type: ignore[no-untyped-call]


def operation(
    schema: str, work: Callable[..., Any], shapes: Callable[..., Any], takes: Any = None
) -> Callable[..., Any]:
    """Define torch.ops.elman.<name>, and give a function that calls it, or straight `work` where nobody watches.

    Args:
        schema: "name(arguments) -> results", as torch.library takes it.
        work: computes on CPU tensors.
        shapes: results of the same shapes, uncomputed.
        takes: the NamedTuple that `work` and `shapes` take first, if they do. Here alone it is flattened for torch: the
            schema begins with its fields.
    """
    name = schema.split("(")[0]
    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    # An exported program calls it outside of any autograd.Function, with weights that ask for gradients.
    _LIBRARY.impl(name, torch.no_grad()(_flat(work, takes)), "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"elman::{name}", _flat(shapes, takes), lib=_LIBRARY)

    def call(first: Any, *rest: Any) -> Any:
        if not watched():
            return work(first, *rest)
        return getattr(torch.ops.elman, name)(*(first if takes else (first,)), *rest)

    return call


def _flat(function: Callable[..., Any], takes: Any) -> Callable[..., Any]:
    """The function with the fields of its first argument one by one."""
    if takes is None:
        return function
    fields = len(takes._fields)
    return lambda *args: function(takes(*args[:fields]), *args[fields:])


def watched() -> bool:
    """Whether the operation must go by torch's dispatcher: into a compiled graph, as one node, or past a mode."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0
