"""Which path a call takes, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

FUSED_DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Path:
    """`name` is "fused" (the kernels) or "reference" (the evaluator, or torch's own layer); `reason` says why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


_FUSED = {dtype: Path("fused", f"CPU, {dtype}") for dtype in FUSED_DTYPES}


def choose_path(tensors: Iterable[Tensor | None]) -> Path:
    """The path of a call with these float tensors: inputs, states and weights."""
    reason = _mode()
    if reason:
        return Path("reference", reason)
    present = [tensor for tensor in tensors if tensor is not None]
    dtype = present[0].dtype
    compiling = torch.compiler.is_compiling()  # where every tensor is a stand-in
    for tensor in present:
        if not tensor.is_cpu or tensor.dtype is not dtype or tensor.layout is not torch.strided:
            return Path("reference", _mismatch(present))
        if type(tensor) is not Tensor and type(tensor) is not torch.nn.Parameter and not compiling:
            return Path("reference", f"a tensor is a {type(tensor).__name__}")
    return _FUSED[dtype] if dtype in _FUSED else Path("reference", _mismatch(present))


def differentiating() -> bool:
    """Whether a torch.func transform (vmap, grad, jvp …) or forward-mode differentiation is active."""
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def _mode() -> str:
    """What keeps every call from the kernels just now, or nothing."""
    if torch._C._are_functorch_transforms_active():
        return "a torch.func transform (vmap, grad, jvp …) is active"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    if torch.is_autocast_enabled("cpu"):
        return "autocast is active; the kernels have float32 and float64"
    if torch.jit.is_tracing() or torch.compiler.is_exporting():  # type: ignore[attr-defined, no-untyped-call]
        return "the call is traced for another runtime"
    return ""


def _mismatch(tensors: list[Tensor]) -> str:
    """Why the kernels do not take these tensors."""
    for tensor in tensors:
        if not tensor.is_cpu:
            return f"a tensor is on {tensor.device}; the kernels run on the CPU"
        if tensor.layout is not torch.strided:
            return f"a tensor's layout is {tensor.layout}"
    dtypes = sorted({str(tensor.dtype) for tensor in tensors})
    if len(dtypes) > 1:
        return f"element types differ: {', '.join(dtypes)}"
    return f"the kernels have float32 and float64, not {dtypes[0]}"
