"""Resets that do not fit a call, and what a call says about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from elman.errors import ConfigError, DtypeError, ShapeError
from elman.sequences import Ragged
from tests.nn.layers import LAYERS, D

T, B = 7, 5
MASK = torch.zeros(T, B, dtype=torch.bool)
PACKED = pack_sequence([torch.randn(3, D), torch.randn(2, D)])
DENSE_INPUT = torch.randn(T, B, D)
LENGTHS = "must have the lengths of the input in one"
WRONG: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "transposed": (
        DENSE_INPUT, MASK.T, ShapeError, r"resets must be \[7, 5\], one for each step of the input, got \[5, 7\]"
    ),
    "of the sequences": (DENSE_INPUT, torch.zeros(B, dtype=torch.bool), ShapeError, r"got \[5\]"),
    "with features": (DENSE_INPUT, MASK.unsqueeze(-1), ShapeError, r"got \[7, 5, 1\]"),
    "numbers": (DENSE_INPUT, MASK.float(), DtypeError, r"must be bool, got torch.float32; convert .* with .bool\(\)"),
    "integers": (DENSE_INPUT, MASK.long(), DtypeError, "must be bool, got torch.int64"),
    "an array of numbers": (DENSE_INPUT, np.zeros((T, B)), DtypeError, "must be bool, got torch.float64"),
    "an array of objects": (DENSE_INPUT, np.empty((T, B), object), DtypeError, "got an array of object"),
    "without values": (DENSE_INPUT, MASK.to("meta"), DtypeError, "with values, got torch.strided on meta"),
    "sparse": (DENSE_INPUT, MASK.to_sparse(), DtypeError, "with values, got torch.sparse_coo on cpu"),
    "a list": (DENSE_INPUT, [[True]], DtypeError, "a bool tensor in the form of the input, got list"),
    "True": (DENSE_INPUT, True, DtypeError, "got bool"),
    "rows": (PACKED, MASK, ShapeError, r"must be \[5\], one for each step in the PackedSequence's order, got \[7, 5\]"),
    "other lengths": (
        PACKED, pack_sequence([torch.zeros(4).bool(), torch.zeros(1).bool()]), ShapeError, f"PackedSequence {LENGTHS}"
    ),
    "another form": (PACKED, Ragged(torch.zeros(5).bool(), np.array([0, 3, 5])), ShapeError, f"Ragged {LENGTHS}"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_wrong_resets_are_refused(name: str, what: str) -> None:
    x, resets, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        LAYERS[name]()(x, resets=resets)


def test_traces_are_refused() -> None:
    layer = LAYERS["GRU"]()
    with pytest.raises(ConfigError, match="a trace cannot hold resets, which differ from call to call"):
        torch.jit.trace(lambda x, r: layer(x, resets=r)[0], (torch.randn(T, B, D), MASK), check_trace=False)


@pytest.mark.parametrize("strict", [False, True])
def test_exports_are_refused(strict: bool) -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LAYERS["Recurrent"]()

        def forward(self, x: Tensor, resets: Tensor) -> Tensor:
            return self.layer(x, resets=resets)[0]  # type: ignore[no-any-return]

    with pytest.raises(Exception, match="a trace cannot hold resets, which differ from call to call"):
        torch.export.export(Model(), (torch.randn(T, B, D), MASK), strict=strict)


def test_arrays_that_torch_does_not_take_as_they_lie_are_copied() -> None:
    marks = np.random.default_rng(0).random((T, B)) < 0.3
    layer = LAYERS["GRU"]()
    expected = layer(DENSE_INPUT, resets=torch.from_numpy(marks))[0]
    frozen = marks.copy()
    frozen.flags.writeable = False
    for given in (marks[::-1].copy()[::-1], frozen):
        assert torch.equal(layer(DENSE_INPUT, resets=given)[0], expected)
