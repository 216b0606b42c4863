"""Which path a call takes, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.parametrize import is_parametrized

FUSED_DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Path:
    """`name` is "fused" (the kernels) or "reference" (the evaluator, or torch's own layer); `reason` says why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def choose_path(module: torch.nn.Module, floats: Iterable[Tensor | None]) -> Path:
    """The path of a call of `module` with these float tensors, its parameters among them."""
    if is_parametrized(module):
        return Path("reference", "the module's parameters are parametrised")
    if transformed():
        return Path("reference", "a torch.func transform (vmap, grad, jvp …) is active")
    if forward_ad._current_level >= 0:
        return Path("reference", "forward-mode differentiation is active")
    if torch.is_autocast_enabled("cpu"):
        return Path("reference", "autocast is active; the kernels have float32 and float64")
    present = [t for t in floats if t is not None]
    for tensor in present:
        if tensor.device.type != "cpu":
            return Path("reference", f"a tensor is on {tensor.device}; the kernels run on the CPU")
        if type(tensor) not in (Tensor, torch.nn.Parameter) and not torch.compiler.is_compiling():
            return Path("reference", f"a tensor is a {type(tensor).__name__}")
    dtypes = {tensor.dtype for tensor in present}
    if len(dtypes) > 1:
        return Path("reference", f"element types differ: {', '.join(sorted(str(d) for d in dtypes))}")
    if not dtypes <= set(FUSED_DTYPES):
        return Path("reference", f"the kernels have float32 and float64, not {next(iter(dtypes))}")
    return Path("fused", f"CPU, {next(iter(dtypes))}")


def transformed() -> bool:
    """Whether a torch.func transform is active."""
    return bool(torch._C._are_functorch_transforms_active())
