"""Graphs go to JSON and back, and the hash says what the equations mean: no more, and no less."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman import cells
from elman.equations import EquationError, Graph
from tests.equations.random_cells import cells as random_cells
from tests.equations.random_cells import source
from tests.equations.sources import make


def through_json(graph: Graph, **options: bool) -> Graph:
    return Graph.from_json(json.loads(json.dumps(graph.to_json(), allow_nan=False, **options)))


@given(random_cells())
def test_random_cells_come_back(cell):
    for options in ({}, {"sort_keys": True}):
        back = through_json(cell.graph, **options)
        assert back == cell.graph
        assert back.hash == cell.graph.hash
        assert list(back.results) == list(cell.graph.results)  # JSON has no order, the programs do


@pytest.mark.parametrize("name", cells.names())
def test_built_in_cells_come_back(name):
    graph = cells.get(name).graph
    assert through_json(graph) == graph


def test_numbers_of_another_writer():
    """1 and 1.0 are one number in JSON."""
    cell = make('@cell(states="h", start={"h": 1.0})\ndef step(x, h, W):\n    return layer_norm(2.0 * (W @ x), eps=1)')
    text = json.dumps(cell.graph.to_json())
    assert ", 1.0]" in text
    back = Graph.from_json(json.loads(text.replace("1.0", "1").replace("2.0", "2")))
    assert back == cell.graph
    assert back.hash == cell.graph.hash


def test_the_hash_is_the_same_in_every_process():
    program = textwrap.dedent("""
        import sys
        from tests.equations.random_cells import source
        from tests.equations.sources import make
        from elman import cells
        print(*(make(source(seed)).graph.hash for seed in range(5)), *(cells.get(n).graph.hash for n in cells.names()))
    """)
    here = [make(source(seed)).graph.hash for seed in range(5)] + [cells.get(name).graph.hash for name in cells.names()]
    for seed in ("0", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.split() == here


STEP = """
    @cell(inputs="x e", states="h:P c", start={"c": 0.5})
    def step(x, e, h, c, W, U, b):
        i = sigmoid(W.i @ x + U.i @ h + b.i)
        g = tanh(W.g @ e + b.g)
        d = (i - g) / (1.5 + g * g)
        c = where(d > 0, i * c, layer_norm(g, d, eps=0.01)[1])
        h = U.i.T @ c
        return h, c
"""


@pytest.mark.parametrize(
    "change",
    [
        ("i = ", "write = "), ("tanh(W.g @ e + b.g)", "tanh(  # comment\n            W.g @ e + b.g)"),
        ("def step", "def other"), ("    @cell", "\n\n\n    @cell"), ("return h, c", "return U.i.T @ c, c"),
        ("x e", "x:D, e"), ("h:P c", "h:P c:H"), ("1.5", "3 / 2"), ('"c": 0.5', '"c": 0.5, "h": 0'),
        ("g = tanh(W.g @ e + b.g)", "a = W.g @ e + b.g\n        g = tanh(a)"), ("i * c", "(lambda v: i * v)(c)"),
        ("b.g)", "b.g)\n        unused = tanh(g)"),
    ],
)  # fmt: skip
def test_what_does_not_count(change):
    """Names of locals and of the cell, lines, comments, spelling: never the hash."""
    text = STEP.replace("i - g", "write - g").replace("i * c", "write * c") if change[0] == "i = " else STEP
    assert change[0] in text
    assert make(text.replace(*change)).graph.hash == make(STEP).graph.hash


@pytest.mark.parametrize(
    "change",
    [
        ("sigmoid(", "tanh("), ("i - g", "g - i"), ("(i - g) / (1.5 + g * g)", "(1.5 + g * g) / (i - g)"),
        ("1.5", "1.25"), ("d > 0", "d >= 0"), ("d > 0", "0 > d"), ("eps=0.01", "eps=0.02"),
        (")[1]", ")[0]"), ("(g, d, ", "(d, g, "), ("W.g @ e", "W.g @ x"), ("U.i.T @ c", "U.o @ c"), ("b.g)", "b.i)"),
        ("+ b.g", "- b.g"), ('"c": 0.5', '"c": 0.25'),
        ('"c": 0.5}', '"c": 0.5}, output="c"'), ("where(d > 0, i * c, ", "where(d > 0, i, "), ("i * c", "i + c"),
        ('inputs="x e"', 'inputs="x e:K"'), ("h:P", "h:Q"), ('"h:P c"', '"h c"'), ("b.g", "b.n"), ("W.g", "W.n"),
        ("h = U.i.T @ c", "h = -(U.i.T @ c)"), ("(x, e, h, c, W, U, b)", "(x, e, h, c, b, W, U)"), ("> 0", "> -0.0"),
    ],
)  # fmt: skip
def test_what_counts(change):
    """Operations, their order, numbers, sizes, parameters and their order, start values, the output."""
    assert change[0] in STEP
    assert make(STEP.replace(*change)).graph.hash != make(STEP).graph.hash


SMALL = '@cell(inputs="x e", states="h")\ndef step(x, e, h, W, V):\n    return W @ x + V @ e + h'


@pytest.mark.parametrize(
    "other",
    [
        '@cell(inputs="y e", states="h")\ndef step(y, e, h, W, V):\n    return W @ y + V @ e + h',
        '@cell(inputs="e x", states="h")\ndef step(e, x, h, W, V):\n    return W @ x + V @ e + h',
        '@cell(inputs="x e", states="c")\ndef step(x, e, c, W, V):\n    return W @ x + V @ e + c',
        '@cell(inputs="x e", states="h")\ndef step(x, e, h, U, V):\n    return U @ x + V @ e + h',
        '@cell(inputs="x e", states="h")\ndef step(x, e, h, V, W):\n    return W @ x + V @ e + h',
        '@cell(inputs="x e", states="h")\ndef step(x, e, h, W, V):\n    return V @ e + W @ x + h',
    ],
)
def test_what_callers_and_files_go_by_counts(other):
    """Names and order of inputs, states and parameters; and the order of a sum, whose rounding follows it."""
    assert make(other).graph.hash != make(SMALL).graph.hash


@given(st.integers(0, 10**6))
def test_altered_operations_have_other_hashes(seed):
    data = make(source(seed)).graph.to_json()
    hashes = [Graph.from_json(data).hash]
    swaps = {"add": "sub", "minimum": "maximum", "sigmoid": "tanh", "greater": "greater_equal", "relu": "abs"}
    for index, node in enumerate(data["nodes"]):
        if node["op"] in swaps:
            other = json.loads(json.dumps(data))
            other["nodes"][index]["op"] = swaps[node["op"]]
            try:
                hashes.append(Graph.from_json(other).hash)
            except EquationError:  # the other node stands already
                continue
    assert len(set(hashes)) == len(hashes)
