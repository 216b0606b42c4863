"""Each row of the table of operations: its derivative is torch's through its meaning, which numpy computes alike."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from elman.equations.evaluate import run_nodes
from elman.equations.graph.builder import Builder
from elman.equations.graph.operations import OPERATIONS
from tests.equations.autograd import assert_near

POINTS = (0.0, 0.25, 1.0, 3.0, -0.5, -2.0)  # with ties, and 0 in every place


class Notebook:
    """Writes a derivative down: nodes of inputs v0, v1 …, of the value and of its gradient."""

    def __init__(self, name: str) -> None:
        self.builder = Builder()
        self.operands = [self.builder.add("input", value=f"v{k}", size="H") for k in range(OPERATIONS[name].arity)]
        self.d = self.builder.add("input", value="d", size="H")
        self.value = self.op(name, *self.operands)

    def op(self, op: str, *args: int) -> int:
        return self.builder.add(op, *args)

    def number(self, value: float) -> int:
        return self.builder.constant(value)


def by_rule(name: str, operands: np.ndarray, d: np.ndarray) -> list[np.ndarray]:
    notes = Notebook(name)
    shares = OPERATIONS[name].derivative(notes, notes.d, notes.value, *notes.operands)
    leaves = {("input", f"v{k}"): v for k, v in enumerate(operands)} | {("input", "d"): d}
    values = run_nodes(notes.builder.finish(), np, leaves)
    return [np.zeros_like(d) if share is None else values[share] for share in shares]


def by_torch(name: str, operands: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    tensors = [torch.tensor(v, requires_grad=True) for v in operands]
    value = OPERATIONS[name].evaluate(torch, *tensors)
    if not value.requires_grad:
        return value.numpy(), [np.zeros_like(d) for _ in tensors]
    found = torch.autograd.grad(value, tensors, torch.tensor(d).expand_as(value), allow_unused=True)
    return value.detach().numpy(), [np.zeros_like(d) if v is None else v.numpy() for v in found]


@pytest.mark.parametrize("name", OPERATIONS)
def test_derivative_and_meaning(name):
    row = OPERATIONS[name]
    operands = np.array(list(itertools.product(POINTS, repeat=row.arity))).T[..., None]  # [arity, points, 1]
    d = 1 + np.arange(operands.shape[1], dtype=float)[:, None] / 7
    with np.errstate(all="ignore"):
        value, expected = by_torch(name, operands, d)
        found = by_rule(name, operands, d)
        np.testing.assert_allclose(row.evaluate(np, *operands), value, rtol=1e-14)
    fine = np.isfinite([value, *expected]).all(0)
    assert fine.sum() >= 3
    for share, wanted in zip(found, expected, strict=True):
        assert_near(np.where(fine, share, 0), np.where(fine, wanted, 0), "derivative")
