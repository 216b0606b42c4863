"""What a cell's function becomes: nodes with names and lines, parameters in order, ports and start values."""

from __future__ import annotations

import builtins

import numpy as np

from elman import cell, sigmoid, tanh
from elman.equations import Port
from tests.equations.sources import make


def named(graph):
    return {node.name: node for node in graph.nodes if node.name is not None}


def test_names_and_lines_of_intermediates():
    graph = make(
        """
        @cell(states="h c")
        def step(x, h, c, W, U, b):
            i = sigmoid(W.i @ x + b.i)
            g = tanh(
                W.g @ x
                + U.g @ h
            )
            c = c + i * g
            alias = c
            return sigmoid(W.o @ x) * tanh(c), c
        """
    ).graph
    assert {name: (node.op, node.line) for name, node in named(graph).items()} == {
        "i": ("sigmoid", 3),
        "g": ("tanh", 4),
        "c": ("add", 8),
        "h": ("mul", 10),
    }
    assert graph.nodes[graph.results["h"]].name == "h"
    assert graph.nodes[graph.results["c"]].name == "c"


def test_the_first_name_stays():
    graph = make(
        """
        @cell(states="h")
        def step(x, h, W):
            first = tanh(W @ x)
            second = first
            third = tanh(W @ x)
            return second + third * h
        """
    ).graph
    assert named(graph)["first"].line == 3
    assert set(named(graph)) == {"first", "h"}
    assert [node.op for node in graph.nodes].count("tanh") == 1


def test_locals_of_helpers_lend_no_names():
    def gate(weight, bias, value):
        inner = weight @ value
        return sigmoid(inner + bias)

    @cell(states="h")
    def step(x, h, W, U, b):
        z = gate(W.z, b.z, x)
        n = (lambda v: tanh(W.n @ x + v))(U.n @ h)
        h = [z * h, (1 - z) * n]
        h = sum(h)
        return h

    lines = {name: node.line for name, node in named(step.graph).items()}
    first = step.graph.nodes[step.graph.results["h"]].line - 3
    assert lines == {"z": first, "n": first + 1, "h": first + 3}
    assert [p.name for p in step.graph.parameters] == ["W.z", "W.n", "U.n", "b.z"]


def test_parameters_in_order_of_first_use():
    graph = make(
        """
        @cell(states="h c")
        def step(x, h, c, b, W, U):
            o = sigmoid(U.o @ h + W.o @ x + b.o)
            i = sigmoid(W.i @ x + U.i @ h + b.i)
            return o * tanh(c), c + i * b.o
        """
    ).graph
    assert [(p.name, p.group, p.kind, p.shape) for p in graph.parameters] == [
        ("b.o", "b", "vector", ("H",)),
        ("b.i", "b", "vector", ("H",)),
        ("W.o", "W", "matrix", ("H", "D")),
        ("W.i", "W", "matrix", ("H", "D")),
        ("U.o", "U", "matrix", ("H", "H")),
        ("U.i", "U", "matrix", ("H", "H")),
    ]


def test_ports_and_start_values():
    graph = make(
        """
        @cell(inputs="x, dt:1", states="h:P c, m", start={"m": -1e30, "c": 1})
        def step(x, dt, h, c, m, W):
            return W @ x, c + dt, m
        """
    ).graph
    assert graph.inputs == (Port("x", "D"), Port("dt", "1"))
    assert graph.states == (Port("h", "P", 0.0), Port("c", "H", 1.0), Port("m", "H", -1e30))
    assert isinstance(graph.states[1].start, float)


def test_what_leads_nowhere_is_left_out():
    graph = make(
        """
        @cell(states="h c", parameters="W.b:H")
        def step(x, h, c, W):
            a, b = layer_norm(W.a @ x, W.b @ x)
            unused = tanh(h) + 1
            return a, c
        """
    ).graph
    assert [node.op for node in graph.nodes] == ["input", "state", "state", "product", "product", "layer_norm"]


def test_pythons_own_operators():
    """abs(), +v and sum() work; so do numbers of numpy's."""
    graph = make(
        """
        @cell(states="h")
        def step(x, h, W, b):
            return abs_(W @ x) + +h - sum_([h, b]) + half * h + h / half
        """,
        abs_=builtins.abs,
        sum_=builtins.sum,
        half=np.float32(0.5),
    ).graph
    assert [node.value for node in graph.nodes if node.op == "constant"] == [0.0, 0.5]
    assert "abs" in [node.op for node in graph.nodes]


def test_numpy_numbers_on_the_left():
    made = [
        make(
            f'@cell(states="h")\ndef step(x, h, W):\n    return W @ x + where({n} > h, {n} - h, {n} / (2 + h * h))',
            np=np,
        )
        for n in ("np.float64(0.5)", "np.float32(0.5)", "0.5", "np.sqrt(0.25)")
    ]
    assert len({c.graph.hash for c in made}) == 1


def test_wrapped_functions():
    """A decorator between @cell and the function keeps names and lines, if it says what it wraps."""
    source = """
        import functools

        def passing(function):
            @functools.wraps(function)
            def inner(*args, **kwargs):
                return function(*args, **kwargs)
            return inner

        @cell(states="h")
        @passing
        def step(x, h, W, *, scale=2.0):
            a = tanh(W @ x)
            return scale * a
        """
    graph = make(source).graph
    assert named(graph)["a"].line == 12
    assert graph.hash == make(source.replace("@passing", "")).graph.hash


def test_closures():
    def with_gain(gain):
        @cell(states="h")
        def step(x, h, W):
            def scaled(v):
                return gain * tanh(v)

            return scaled(W @ x)

        return step

    assert with_gain(2.0) == with_gain(2.0) != with_gain(3.0)
