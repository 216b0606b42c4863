"""What the cross-entropy of a linear layer refuses, each with its message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import elman.nn
from elman.errors import ConfigError, DtypeError, ElmanError, ShapeError
from elman.nn.functional import linear_cross_entropy

BAD: dict[str, tuple[Callable[[], Any], type[ElmanError], str]] = {
    "target too large": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), None, torch.tensor([1, 4])),
        ShapeError,
        r"targets must be 0 … 3 or ignore_index = -100, got 1 … 4",
    ),
    "target below 0": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), None, torch.tensor([-1, 2])),
        ShapeError,
        r"got -1 … 2; is the weight \[classes, features\]\?",
    ),
    "float targets": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), None, torch.zeros(2)),
        DtypeError,
        r"targets must be integers, the class of each row; got torch.float32",
    ),
    "targets of another shape": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), None, torch.tensor([1])),
        ShapeError,
        r"targets must be \[2\], one a row, got \[1\]",
    ),
    "transposed weight": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(3, 4), None, torch.tensor([1, 1])),
        ShapeError,
        r"input \[..., D\] and weight \[V, D\] expected, got \[2, 3\] and \[3, 4\]; transposed\?",
    ),
    "bias": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(3), torch.tensor([1, 1])),
        ShapeError,
        r"bias must be \[V\] = \[4\], got \[3\]",
    ),
    "element types": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3).double(), None, torch.tensor([1, 1])),
        DtypeError,
        r"input is torch.float32, weight is torch.float64; convert one with .to\(…\)",
    ),
    "reduction": (
        lambda: elman.nn.LinearCrossEntropy(3, 4, reduction="average"),
        ConfigError,
        r"reduction must be one of mean, sum, none, got 'average'",
    ),
    "smoothing of another kind": (
        lambda: elman.nn.LinearCrossEntropy(3, 4, label_smoothing="a"),  # type: ignore[arg-type]
        ConfigError,
        r"label_smoothing must be 0 … 1, got 'a'",
    ),
    "ignore_index": (
        lambda: elman.nn.LinearCrossEntropy(3, 4, ignore_index=1.5),  # type: ignore[arg-type]
        ConfigError,
        r"ignore_index must be a whole number, got 1.5",
    ),
    "no tensor": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), None, [1, 1]),  # type: ignore[arg-type]
        DtypeError,
        r"targets must be a tensor, got list",
    ),
    "no weight": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), None, None, torch.tensor([1, 1])),  # type: ignore[arg-type]
        DtypeError,
        r"weight must be a tensor, got NoneType",
    ),
    "devices": (
        lambda: linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), None, torch.zeros(2).long().to("meta")),
        DtypeError,
        r"input is on cpu, targets on meta; move one with .to\(…\)",
    ),
    "smoothing": (
        lambda: elman.nn.LinearCrossEntropy(3, 4, label_smoothing=1.5),
        ConfigError,
        r"label_smoothing must be 0 … 1, got 1.5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case: str) -> None:
    call, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        call()
