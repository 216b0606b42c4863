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
        self.made = self.op(name, *self.operands)

    def op(self, op: str, *args: int) -> int:
        return self.builder.add(op, *args)

    def number(self, value: float) -> int:
        return self.builder.constant(value)

    def value(self, index: int) -> float:
        return self.builder.nodes[index].value


def by_rule(name: str, operands: np.ndarray, d: np.ndarray) -> list[np.ndarray]:
    notes = Notebook(name)
    shares = OPERATIONS[name].derivative(notes, notes.d, notes.made, *notes.operands)
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


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if not row.mixes])
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


@pytest.mark.parametrize("name", ["sum", "shift"])
def test_what_all_units_make(name):
    """A shift is by 2 and by -9 of 5 units."""
    v, d = np.random.default_rng(0).normal(size=(2, 4, 5))
    for by in (2, -9) if name == "shift" else (None,):
        notes = Notebook("neg")
        args = (notes.operands[0],) if by is None else (notes.operands[0], notes.number(by))
        value = notes.op(name, *args)
        share = OPERATIONS[name].derivative(notes, notes.d, value, *args)[0]
        values = run_nodes(notes.builder.finish(), np, {("input", "v0"): v, ("input", "d"): d})
        expected = v.sum(-1, keepdims=True) if by is None else np.roll(v, by, -1)
        np.testing.assert_array_equal(values[value], expected)
        np.testing.assert_array_equal(values[share], d if by is None else np.roll(d, -by, -1))


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_means_and_softmax(xp):
    v = np.array([[1.0, -2.0, 1000.0], [0.0, 0.0, 0.0], [-1e30, -1e30, -1e30]])
    given = v if xp is np else torch.tensor(v, requires_grad=True)
    exact = [[0.0, 0.0, 1.0], [1 / 3] * 3, [1 / 3] * 3]
    found = OPERATIONS["softmax"].evaluate(xp, given)
    np.testing.assert_allclose(found if xp is np else found.detach(), exact, rtol=1e-15)
    mean = OPERATIONS["mean"].evaluate(xp, given)
    np.testing.assert_allclose(mean if xp is np else mean.detach(), v.mean(-1, keepdims=True))
    largest = OPERATIONS["largest"].evaluate(xp, given)
    np.testing.assert_array_equal(largest if xp is np else largest.detach(), v.max(-1, keepdims=True))
    if xp is torch:
        (slope,) = torch.autograd.grad(found[:, 0].sum(), given)
        np.testing.assert_allclose(
            slope, torch.autograd.grad(torch.softmax(given, -1)[:, 0].sum(), given)[0], atol=1e-16
        )


def test_straight_through_sends_the_gradient_past_the_value():
    value, way = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([1.0, 0.0, 3.0], [0.5, -9.0, float("inf")])
    )
    found = OPERATIONS["straight_through"].evaluate(torch, value, way)
    assert found.tolist() == [1.0, 0.0, 3.0]
    d_value, d_way = torch.autograd.grad(found.sum(), (value, way), allow_unused=True)
    assert d_value is None
    assert d_way.tolist() == [1.0, 1.0, 0.0]
