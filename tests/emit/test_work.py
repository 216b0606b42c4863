"""The work of compiling grows as the graph does: counted in lines of Python, four times the graph beside the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import elman
from elman import cell, layer_norm, maximum, sigmoid, tanh, where
from elman.emit import emit, input_gradient, split_inputs
from elman.equations import Cell, Graph
from elman.equations.graph.operations import OPERATIONS

SMALL, FACTOR = 24, 4
MOST = 1.15 * FACTOR  # 1.0 would be linear; sorting and a sum's search for where its products meet are not quite
Body = Callable[[int, Any, Any, Any, Any], Any]


def looped(body: Body, last: Callable[[Any], Any] = tanh) -> Callable[[int], Cell]:
    """A cell that runs `body(k, v, h, W, U)` n times over a value."""

    def make(n: int) -> Cell:
        @cell(states="h", parameters="W:H U:H")
        def step(x, h, W, U):
            v = W.x @ x + U.h @ h
            for k in range(n):
                v = body(k, v, h, W, U)
            return last(v)

        return step

    return make


def wide(n: int) -> Cell:
    """A layer norm that joins many vectors, of which each is a node with all of them: n operands in all."""

    @cell(states="h")
    def step(x, h, W):
        joined = layer_norm(*[tanh((k + 1.0) * h) for k in range(max(1, round(n**0.5)))] * 2)
        total = W @ x
        for part in joined:
            total = total + part
        return total

    return step


def with_states(n: int) -> Cell:
    names = [f"h{k}" for k in range(n)]
    lines = ", ".join(f"tanh(W.m{k} @ x + {names[k - 1]})" for k in range(n))
    space = {"tanh": tanh}
    exec(f"def step(x, {', '.join(names)}, W):\n    return {lines}", space)
    return cell(states=" ".join(names))(space["step"])


SHAPES: dict[str, Callable[[int], Cell]] = {
    "additions": looped(lambda k, v, h, W, U: v + (k + 1.0) * h),
    "additions of one operation": looped(lambda k, v, h, W, U: v + tanh((k + 1.0) * h)),
    "subtractions": looped(lambda k, v, h, W, U: (k + 1.0) * h - v),
    "sums of products": looped(lambda k, v, h, W, U: v + getattr(U, f"m{k}") @ h),
    "subtracted products": looped(lambda k, v, h, W, U: v - getattr(U, f"m{k}") @ tanh((k + 1.0) * h)),
    "sums of products of two sources": looped(lambda k, v, h, W, U: getattr(W, f"m{k}") @ h - (v - h)),
    "products beside each other": looped(lambda k, v, h, W, U: v + tanh(getattr(U, f"m{k}") @ h + (k + 1.0) * h)),
    "products behind each other": looped(lambda k, v, h, W, U: sigmoid(getattr(U, f"m{k}") @ v)),
    "layer norms behind each other": looped(lambda k, v, h, W, U: tanh(layer_norm(v))),
    "layer norms beside each other": looped(lambda k, v, h, W, U: v + layer_norm((k + 1.0) * h)),
    "one wide layer norm": wide,
    "Fibonacci's sum": looped(lambda k, v, h, W, U: v + tanh(v)),
    "squares": looped(lambda k, v, h, W, U: v * v),
    "multiplied and added": looped(lambda k, v, h, W, U: v * h + (k + 1.0)),
    "quotients": looped(lambda k, v, h, W, U: v / (h + (k + 1.0))),
    "largest": looped(lambda k, v, h, W, U: maximum(v, (k + 1.0) * h)),
    "chosen": looped(lambda k, v, h, W, U: where(v > k, v, h)),
    "of parameters alone": looped(lambda k, v, h, W, U: v + tanh(getattr(W, f"v{k}")) * h),
    "states": with_states,
} | {
    f"chain of {row.name}": looped(lambda k, v, h, W, U, name=row.name: getattr(elman, name)(v), last=lambda v: v)
    for row in OPERATIONS.values()
    if row.written and row.arity == 1 and hasattr(elman, row.name) and not row.reduces
}  # fmt: skip


def work(function: Callable[[], Any]) -> int:
    """How many lines of Python run, comprehensions included."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def compile_all(graph: Graph) -> None:
    recurrence = emit(graph)
    split_inputs(recurrence.inference)
    split_inputs(recurrence.forward)
    for gradient in recurrence.input_gradients:
        if gradient.products or gradient.pointwise:
            input_gradient(gradient, "D")


@pytest.mark.parametrize("shape", SHAPES)
def test_compiling(shape, monkeypatch):
    monkeypatch.setattr("elman.emit.recurrence._EMITTED", {})  # each is compiled for the first time
    graphs = [SHAPES[shape](n).graph for n in (SMALL, FACTOR * SMALL)]
    small, large = (work(lambda graph=graph: compile_all(graph)) for graph in graphs)
    assert large <= MOST * small, f"{large / small:.2f} times the work"


@pytest.mark.parametrize("shape", SHAPES)
def test_reading(shape):
    data = [SHAPES[shape](n).graph.to_json() for n in (SMALL, FACTOR * SMALL)]
    small, large = (work(lambda graph=graph: Graph.from_json(graph)) for graph in data)
    assert large <= MOST * small, f"{large / small:.2f} times the work"


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "states"])
def test_tracing(shape):
    small, large = (work(lambda n=n: SHAPES[shape](n)) for n in (SMALL, FACTOR * SMALL))
    assert large <= MOST * small, f"{large / small:.2f} times the work"
