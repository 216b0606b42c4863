"""What a layer costs in calls of the kernels: a user's own cell is fast because they do not grow with its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from elman.bench.user_cells import my_layer_norm_lstm
from elman.kernels import BoundKernel
from elman.nn import Recurrent

CELLS = [my_layer_norm_lstm, "layer_norm_lstm", "lstm", "gru", "elman"]


@contextmanager
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The steps of each run of a kernel inside the block, in order."""
    found: list[int] = []
    run = BoundKernel.run

    def counted(kernel, packed, rows, plan, steps, *others, **more):
        found.append(steps)
        return run(kernel, packed, rows, plan, steps, *others, **more)

    with monkeypatch.context() as patch:
        patch.setattr(BoundKernel, "run", counted)
        yield found


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_calls_do_not_grow_with_steps(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training, B 32: one run forward, one backward, one for the gradient of the input; inference: one run."""
    layer = Recurrent(cell, 7, 16)
    for steps in (1, 100):
        x = torch.randn(steps, 32, 7, requires_grad=True)
        assert layer.path(x).name == "fused"
        with runs(monkeypatch) as trained:
            layer(x)[0].sum().backward()
        with runs(monkeypatch) as inferred, torch.no_grad():
            layer(x)
        assert trained == [32 * steps] * 3
        assert inferred == [32 * steps]
