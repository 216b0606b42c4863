"""Resets in mid-sequence, in the form of the input: where states begin anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.errors import ConfigError, DtypeError, ShapeError
from elman.nn.batch import Batch, edges_of
from elman.sequences.ragged import Ragged


def with_resets(name: str, batch: Batch, resets: Any) -> Batch:
    """The batch whose sequences are cut before each step that `resets` marks, and begin anew there.

    Args:
        name: of the layer, for errors.
        batch: the input.
        resets: None, or bool in the form of the input: [T, B] ([B, T] with batch_first), [T] for one sequence; a
            PackedSequence or a Ragged with the input's lengths, or [N] by row of their values.

    Raises:
        DtypeError: it is not bool, or no array at all.
        ShapeError: it does not fit the input.
        ConfigError: the call is traced (a trace would keep these resets for all calls), or vmap maps over resets.
    """
    if resets is None:
        return batch
    if torch.jit.is_tracing() or torch.compiler.is_exporting():  # type: ignore[no-untyped-call, attr-defined]
        raise ConfigError(f"{name}: a trace cannot hold resets, which differ from call to call; trace without them")
    mask, lead = _mask(name, batch, resets), _lead(batch)
    if torch._C._functorch.is_batchedtensor(mask):
        raise ConfigError(f"{name}: resets cannot be mapped over by vmap; give the same to all, or call in a loop")
    if mask.dtype is not torch.bool:
        raise DtypeError(f"{name}: resets must be bool, got {mask.dtype}; convert them with .bool()")
    if tuple(mask.shape) != lead:
        form = "of the input" if isinstance(batch.like, Tensor) else f"in the {type(batch.like).__name__}'s order"
        raise ShapeError(f"{name}: resets must be {list(lead)}, one for each step {form}, got {list(mask.shape)}")
    return batch._replace(plan=batch.plan._replace(resets=mask.detach().reshape(-1).cpu()))


def _mask(name: str, batch: Batch, resets: Any) -> Tensor:
    """The tensor of the resets."""
    if isinstance(resets, (PackedSequence, Ragged)):
        if type(resets) is not type(batch.like) or edges_of(resets) != edges_of(batch.like):
            raise ShapeError(f"{name}: resets in a {type(resets).__name__} must have the lengths of the input in one")
        resets = resets.data if isinstance(resets, PackedSequence) else resets.values
    if isinstance(resets, np.ndarray) and resets.dtype.kind in "biuf":
        return torch.from_numpy(resets.copy())  # steps may be negative there, and memory read-only
    if not isinstance(resets, Tensor):
        raise DtypeError(f"{name}: resets must be a bool tensor in the form of the input, got {_kind_of(resets)}")
    if resets.is_meta or resets.layout is not torch.strided:
        raise DtypeError(f"{name}: resets must be a dense tensor with values, got {resets.layout} on {resets.device}")
    return resets


def _kind_of(value: Any) -> str:
    """Its type, and of an array that of its elements."""
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def _lead(batch: Batch) -> tuple[int, ...]:
    """The axes of the input's steps."""
    if isinstance(batch.like, Tensor) and not batch.unbatched:
        return tuple(batch.like.shape[:2])
    return (len(batch.values[0]),)
