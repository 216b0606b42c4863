"""Which path a call takes, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

from elman.errors import ConfigError

FUSED_DTYPES = (torch.float32, torch.float64, torch.bfloat16)
TRACED = "the call is traced for another runtime"
_CAST = (torch.float32, torch.bfloat16)  # what autocast casts


@dataclass(frozen=True)
class Path:
    """`name` is "fused" (the kernels) or "reference" (the evaluator, or torch's own layer); `reason` says why.

    Attributes:
        bfloat16: whether the kernels round the factors of products to bfloat16 (their memory is float32 then).
        output: element type of the output where it is not that of the memory.
        states: element types of the states, the last one of all that follow, where they are not that of the memory.
    """

    name: str
    reason: str
    bfloat16: bool = False
    output: torch.dtype | None = None
    states: tuple[torch.dtype, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


_FUSED = {
    torch.float32: Path("fused", "CPU, torch.float32"),
    torch.float64: Path("fused", "CPU, torch.float64"),
    torch.bfloat16: Path("fused", "CPU, torch.bfloat16", True, torch.bfloat16, (torch.bfloat16,)),
}
_ROUNDED = Path("fused", "CPU, torch.float32, the factors of products in bfloat16", True)
AUTOCAST = Path("fused", "CPU, autocast to torch.bfloat16; states in float32", True, torch.bfloat16)


def choose_path(tensors: Iterable[Tensor | None], precision: str | None = None, *, opaque: bool = False) -> Path:
    """The path of a call with these float tensors: inputs, states and weights, and a layer's `precision`.

    Where a call is traced for another runtime, the kernels can be in the trace as one opaque operation.
    """
    reason = _mode() or (TRACED if not opaque and is_exported() else "")
    if reason:
        return Path("reference", reason)
    present = [tensor for tensor in tensors if tensor is not None]
    if not torch.compiler.is_compiling():  # where every tensor is a stand-in
        for tensor in present:
            if type(tensor) is not Tensor and type(tensor) is not torch.nn.Parameter:
                return Path("reference", f"a tensor is a {type(tensor).__name__}")
    dtype, autocast = present[0].dtype, torch.is_autocast_enabled("cpu")
    for tensor in present:
        typed = tensor.dtype in _CAST if autocast else tensor.dtype is dtype
        if not tensor.is_cpu or not typed or tensor.layout is not torch.strided:
            return Path("reference", _mismatch(present))
    if autocast:
        return AUTOCAST
    if precision and dtype is torch.float32:
        return _ROUNDED
    return _FUSED[dtype] if dtype in _FUSED else Path("reference", _mismatch(present))


@cache
def autocast_path(output: torch.dtype, *states: torch.dtype) -> Path:
    """The path under autocast of a layer that gives these element types."""
    kinds = ", ".join(str(dtype) for dtype in (output, *states))
    return Path("fused", f"CPU, autocast to torch.bfloat16; output and states are {kinds}", True, output, states)


def check_precision(precision: str | None) -> None:
    """Raise ConfigError unless it is None or "bfloat16": float32 layers round the factors of their products to it."""
    if precision not in (None, "bfloat16"):
        raise ConfigError(f'precision must be None or "bfloat16", got {precision!r}')


def differentiating() -> bool:
    """Whether a torch.func transform (vmap, grad, jvp …) or forward-mode differentiation is active."""
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def is_exported() -> bool:
    """Whether torch.jit.trace or torch.export writes down what is called."""
    return bool(torch.jit.is_tracing() or torch.compiler.is_exporting())  # type: ignore[attr-defined, no-untyped-call]


def left_open(*sizes: int) -> bool:
    """Whether a call is exported for any number of these, which its evaluation step by step cannot be."""
    # Dynamo, of strict exports, shows numbers as such, and knows the kernels alone.
    return torch.compiler.is_exporting() and (
        torch.compiler.is_dynamo_compiling() or any(isinstance(size, torch.SymInt) for size in sizes)
    )


def back_by_reference(adjoints: Iterable[Tensor | None]) -> bool:
    """Whether backward goes through torch's operations: it will be differentiated, or has many adjoints at once."""
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return True
    # is_grads_batched and vectorize=True use an older vmap than torch.func's, which only its tensors tell.
    legacy = torch._C._functorch.is_legacy_batchedtensor
    return not torch.compiler.is_compiling() and any(d is not None and legacy(d) for d in adjoints)


def _mode() -> str:
    """What keeps every call from the kernels just now, or nothing."""
    if torch._C._are_functorch_transforms_active():
        return "a torch.func transform (vmap, grad, jvp …) is active"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is not torch.bfloat16:
        return f"autocast to {torch.get_autocast_dtype('cpu')} is active; the kernels have bfloat16"
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
    if torch.is_autocast_enabled("cpu"):
        return f"autocast is active, which leaves {dtypes[0]} alone"
    return f"the kernels have float32, float64 and bfloat16, not {dtypes[0]}"
