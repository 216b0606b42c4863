"""Graphs beyond the stated sizes are refused with the reason: where a cell is traced, and where a file is read."""

from __future__ import annotations

import pytest

from elman import cell, layer_norm, tanh
from elman.equations import EquationError, Graph
from elman.equations.graph import limits


def chain(length: int) -> list[dict]:
    """Nodes: the input, the state, and the input's product, and then tanh of it again and again."""
    nodes = [
        {"op": "input", "value": "x", "size": "D"},
        {"op": "state", "value": "h", "size": "H"},
        {"op": "product", "args": [0], "value": "W", "size": "H"},
    ]
    return nodes + [{"op": "tanh", "args": [k], "size": "H"} for k in range(2, length - 1)]


def graph(nodes: list[dict], **changes) -> dict:
    data = {
        "format": 1, "name": "step", "inputs": [["x", "D"]], "states": [["h", "H", 0.0]], "output": "h",
        "parameters": [["W", "W", "matrix", ["H", "D"]]], "nodes": nodes, "results": {"h": len(nodes) - 1},
    }  # fmt: skip
    return data | changes


def joined(vectors: int, norms: int) -> list[dict]:
    """So many layer norms over so many vectors, most of them the same one; their sum."""
    nodes = chain(3 + norms)
    nodes += [
        {"op": "layer_norm", "args": [2] * (vectors - 1) + [3 + k], "value": [0, 1e-5], "size": "H"}
        for k in range(norms)
    ]
    first, total = 3 + norms, 3 + norms
    for k in range(1, norms):
        nodes.append({"op": "add", "args": [total, first + k], "size": "H"})
        total = len(nodes) - 1
    return nodes


TOO_LARGE = {
    "nodes": (lambda: graph(chain(4097)), "4,097 nodes, 4,096 at most"),
    "operands": (lambda: graph(joined(200, 82)), "16,6.. operands, 16,384 at most"),
    "norms": (lambda: graph(joined(1, 513)), "513 layer norms, 512 at most"),
    "stages": (
        lambda: graph([*chain(3), *({"op": "layer_norm", "args": [2 + k], "value": [0, 1e-5], "size": "H"}
                                    for k in range(256))]),
        "257 products, layer norms and sums that wait for one another, 256 at most",
    ),
    "ports": (lambda: graph(chain(3), states=[[f"h{k}", "H", 0.0] for k in range(256)],
                            results={f"h{k}": 2 for k in range(256)}, output="h0"),
              "257 inputs and states, 256 at most"),
    "parameters": (lambda: graph(chain(3), parameters=[[f"W.m{k}", "W", "matrix", ["H", "D"]] for k in range(4097)]),
                   "4,097 parameters, 4,096 at most"),
    "numbers": (lambda: graph(chain(3), constants=[["A", ["H", "K"], [[0.0] * 1024] * 1025]]),
                "1,049,600 numbers of constant arrays, 1,048,576 at most"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_too_large_to_read(data, message):
    with pytest.raises(EquationError, match=f"graph: {message}; several cells, one upon the other, may do"):
        Graph.from_json(data())


def test_as_large_as_may_be():
    assert len(Graph.from_json(graph(chain(4096))).nodes) == 4096
    assert len(Graph.from_json(graph(joined(1, 512))).nodes) == 3 + 512 + 512 + 511
    assert limits.stages(Graph.from_json(graph(chain(4096))).nodes) == 1


def test_too_many_operations_to_trace():
    """Refused when it happens, before the loop ends."""
    steps = 0
    with pytest.raises(EquationError, match=r"step: line .*: the equations have more than 4,096 operations; make se"):

        @cell(states="h")
        def step(x, h, W):
            nonlocal steps
            v = W @ x + h
            for _ in range(1_000_000):
                v = tanh(v)
                steps += 1
            return v

    assert 4000 < steps < 4100


def test_too_many_stages_to_trace():
    with pytest.raises(EquationError, match="258 products, layer norms and sums that wait for one another, 256 at mo"):

        @cell(states="h")
        def step(x, h, W):
            v = W @ x + h
            for _ in range(257):
                v = layer_norm(v)
            return v
