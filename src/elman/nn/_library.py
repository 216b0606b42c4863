"""Work on tensors as operations that torch.compile and torch's modes know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_LIBRARY = torch.library.Library("elman", "FRAGMENT")  # type: ignore[no-untyped-call]


def operation(schema: str, work: Callable[..., Any], shapes: Callable[..., Any]) -> Callable[..., Any]:
    """Define torch.ops.elman.<name>, and give a function that calls it, or straight `work` where nobody watches.

    Args:
        schema: "name(arguments) -> results", as torch.library takes it.
        work: computes on CPU tensors.
        shapes: results of the same shapes, uncomputed.
    """
    name = schema.split("(")[0]
    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, work, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"elman::{name}", shapes, lib=_LIBRARY)

    def call(*args: Any) -> Any:
        return getattr(torch.ops.elman, name)(*args) if _watched() else work(*args)

    return call


def _watched() -> bool:
    """Whether the operation must go by torch's dispatcher: into a compiled graph, as one node, or past a mode."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0
