"""What `where` does not choose has a gradient of exactly 0, whatever its value and slope are there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman.nn import Recurrent
from tests.equations.sources import make

FAR = [-1000.0, -800.0, -1.0, 0.5, 1.0, 800.0, 1000.0]

# An expression of h and k, and its derivative by h, in float64 where it is chosen.
CASES = {
    "ELU": ("where(h > 0, h, exp(h) - 1)", lambda h: np.where(h > 0, 1.0, np.exp(np.minimum(h, 0)))),
    "the other way": ("where(h <= 0, exp(h) - 1, h)", lambda h: np.where(h > 0, 1.0, np.exp(np.minimum(h, 0)))),
    "log": ("where(h > 0, log(h), 0 * h)", lambda h: np.where(h > 0, 1 / np.maximum(h, 1e-9), 0.0)),
    "sqrt": ("where(h > 0, sqrt(h), h)", lambda h: np.where(h > 0, 0.5 / np.sqrt(np.maximum(h, 1e-9)), 1.0)),
    "a quotient": ("where(h > 700, 2 * h, h / exp(h))", lambda h: np.where(h > 700, 2.0, None)),
    "nested": (
        "where(h > 0, where(h > 1, 3 * h, sqrt(h - 1) + exp(h * h)), exp(-h))",
        lambda h: np.where(h > 1, 3.0, None),
    ),
    "shared": (
        "where(h > 0, h, exp(h)) + where(h > 1, 2 * h, exp(h))",
        lambda h: np.where(h > 1, 3.0, np.where(h > 0, 1 + np.exp(np.minimum(h, 1)), 2 * np.exp(np.minimum(h, 0)))),
    ),
    "functions of what is no number": (
        "where(h > 0, h, tanh(log(h)) * sigmoid(sqrt(h)) + softplus(log(h)) + sin(exp(-h)))",
        lambda h: np.where(h > 0, 1.0, None),
    ),
}


@pytest.mark.parametrize(("expression", "slope"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("path", ["fused", "reference"])
def test_the_branch_that_is_not_taken_sends_nothing(expression, slope, path):
    cell = make(f'@cell(states="h", output="y")\ndef step(x, h, W):\n    return W @ x, {expression}')
    layer = Recurrent(cell, 1, len(FAR), dtype=torch.float64)
    h = torch.tensor(FAR, dtype=torch.float64).view(1, 1, -1).requires_grad_()
    x = torch.ones(1, 1, 1, dtype=torch.float64)
    if path == "reference":
        from elman.equations.evaluate import run

        y, _ = run(cell.graph, torch, {"x": x[0]}, {"h": h[0]}, {"W": layer.W_l0.detach()})
    else:
        y, _ = layer(x, {"h": h})
        assert layer.path(x).startswith("fused") if isinstance(layer.path(x), str) else True
    (found,) = torch.autograd.grad(y.sum(), h)
    expected = slope(np.array(FAR))
    for point, got, wanted in zip(FAR, found.flatten().tolist(), expected, strict=True):
        if wanted is not None:
            assert got == pytest.approx(float(wanted), rel=1e-12, abs=1e-300), point


def test_parameters_alone():
    """The prologue is safe too."""
    cell = make(
        """
        @cell(states="h")
        def step(x, h, W, b):
            return W @ x + h * where(b > 0, b, exp(b) - 1)
        """
    )
    layer = Recurrent(cell, 1, 3, dtype=torch.float64)
    with torch.no_grad():
        layer.b_l0.copy_(torch.tensor([1000.0, 0.5, -1.0]))
    h = torch.ones(1, 1, 3, dtype=torch.float64)
    y, _ = layer(torch.ones(1, 1, 1, dtype=torch.float64), {"h": h})
    (found,) = torch.autograd.grad(y.sum(), layer.b_l0)
    np.testing.assert_allclose(found, [1.0, 1.0, np.exp(-1.0)], rtol=1e-14)


def test_scalars_choose_for_all_units():
    """A row that a scalar condition does not show sends nothing, to parameters either."""
    cell = make(
        """
        @cell(inputs="x dt:1", states="h", output="y")
        def step(x, dt, h, W, b):
            return h + W @ x, where(dt > 0, h, exp(h + b) * h)
        """
    )
    layer = Recurrent(cell, 1, 2, dtype=torch.float64)
    h = torch.tensor([[[1000.0, 1.0], [1.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    x, dt = torch.zeros(1, 2, 1, dtype=torch.float64), torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    y, _ = layer((x, dt), {"h": h})
    d_h, d_b = torch.autograd.grad(y.sum(), (h, layer.b_l0))
    b = layer.b_l0.detach().numpy()
    np.testing.assert_allclose(d_h[0, 0], [1.0, 1.0])
    np.testing.assert_allclose(d_h[0, 1], np.exp([1.0, 0.0] + b) * [2.0, 1.0], rtol=1e-14)
    np.testing.assert_allclose(d_b, np.exp([1.0, 0.0] + b) * [1.0, 0.0], rtol=1e-14)


@pytest.mark.parametrize(
    "branch", ["layer_norm(log(h))", "softmax(log(h) + b)", "h * mean(sqrt(h))", "h * dot(log(h), h)"]
)
def test_a_scalar_keeps_a_row_out_of_what_all_units_make(branch):
    """The second row is no number in the branch that its scalar does not choose."""
    group = ", b" if "b)" in branch else ""
    cell = make(
        f"""
        @cell(inputs="x dt:1", states="h", output="y")
        def step(x, dt, h, W{group}):
            return h + W @ x, where(dt > 0, 2 * h, {branch})
        """
    )
    layer = Recurrent(cell, 1, 3, dtype=torch.float64)
    h = torch.tensor([[[1.0, 2.0, 4.0], [-1.0, -2.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    x, dt = torch.zeros(1, 2, 1, dtype=torch.float64), torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    y, _ = layer((x, dt), {"h": h})
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (d_h,) = torch.autograd.grad((y * weights).sum(), h)
    np.testing.assert_allclose(d_h[0, 1], 2 * weights)
    single, _ = layer((x[:, :1], dt[:, :1]), {"h": h[:, :1]})
    np.testing.assert_allclose(d_h[0, 0], torch.autograd.grad((single * weights).sum(), h)[0][0, 0])
    assert torch.isfinite(d_h).all()
