"""Sizes of parameters and outputs follow from how they are used."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from elman.equations import EquationError, Graph
from tests.equations.sources import make, refused


def shapes(cell):
    return {p.name: p.shape for p in cell.graph.parameters}


def test_sizes_follow_from_use():
    """A projection, a scalar input, vectors of other letters, and one size that is named, which others must fit."""
    found = make(
        """
        @cell(inputs="x dt:1 k:K", states="h:P c s:1", output="y", parameters="V.free:R")
        def step(x, dt, k, h, c, s, W, U, R, V, a, b, e, q):
            free = tanh(V.free @ x + e)
            c = c * dt + W @ x + U @ h + a * c + V.s @ s
            s = s * q + dt
            y = V.y @ (free * tanh(b + e)) + k
            h = R @ c + U.T @ c
            return h, c, s, y
        """
    )
    assert shapes(found) == {
        "W": ("H", "D"), "U": ("H", "P"), "R": ("P", "H"), "V.free": ("R", "D"), "V.s": ("H", "1"), "V.y": ("K", "R"),
        "a": ("H",), "b": ("R",), "e": ("R",), "q": ("1",),
    }  # fmt: skip
    assert found.graph.output_size == "K"
    assert found.graph.letters == ("D", "H", "K", "P", "R")


def test_a_transpose_is_the_same_matrix():
    found = make(
        """
        @cell(states="h:P c")
        def step(x, h, c, W, U):
            c = tanh(W @ x + U.a @ h + U.b.T.T @ h)
            return U.a.T @ c, c
        """
    )
    assert shapes(found) == {"W": ("H", "D"), "U.a": ("H", "P"), "U.b": ("H", "P")}
    assert [node.op for node in found.graph.nodes if node.value == "U.a"] == ["product", "product_t"]


def test_sizes_through_later_uses():
    """b's size is known only when a is added to a state."""
    found = make(
        """
        @cell(inputs="x:K", states="h:M")
        def step(x, h, W, a, b):
            t = tanh(a) * b
            return h + t + W @ x
        """
    )
    assert shapes(found) == {"W": ("M", "K"), "a": ("M",), "b": ("M",)}


def test_what_a_scalar_state_is_made_of_is_scalar():
    """Also where a parameter, or a value made of it, meets a vector first."""
    found = make(
        """
        @cell(states="h:P c s:1 r:1 n:1")
        def step(x, h, c, s, r, n, W, U, a, b, p, q):
            s = sigmoid(p.c @ c + p.x @ x + s * a)
            c = tanh(W @ x + c * s + b.c) * b.s
            r = U.T @ h + b.s + q * r
            n, _ = layer_norm(n * b.n, c * b.d)
            return h * r, c, s, r, n
        """
    )
    assert shapes(found) == {
        "W": ("H", "D"), "U": ("P", "1"), "a": ("1",), "b.c": ("H",), "b.s": ("1",), "b.n": ("1",), "b.d": ("H",),
        "p.c": ("1", "H"), "p.x": ("1", "D"), "q": ("1",),
    }  # fmt: skip


def test_outputs():
    state = make('@cell(states="h c", output="c")\ndef step(x, h, c, W):\n    return tanh(W @ x), h')
    assert (state.graph.output, state.graph.nodes[state.graph.output_node].value) == ("c", "h")
    other = make('@cell(states="h", output="y:Y")\ndef step(x, h, W, V):\n    return tanh(W @ x), V @ x')
    assert list(other.graph.results) == ["h", "y"]
    assert other.graph.nodes[other.graph.output_node].name == "y"
    assert other.graph.output_size == "Y"
    shown = make('@cell(states="h", output="y")\ndef step(x, h, W):\n    return tanh(W @ x), x')
    assert shown.graph.output_size == "D"
    scalar = make('@cell(inputs="x dt:1", states="h", output="y")\ndef step(x, dt, h, W):\n    return W @ x, dt * 2')
    assert scalar.graph.output_size == "1"


def test_declared_sizes():
    """Of a member, of a group, of rows and columns, scalars among them, and of an output."""
    found = make(
        """
        @cell(states=["h", "c"], parameters=("W.down:R", "zeta:1", "p:1", "V:M,H"), output="y:K")
        def step(x, h, c, W, V, zeta, p, Y):
            z = tanh(W.up @ (W.down @ x) + p.a * h + p.b)
            h = zeta * (1 - z) + V.T @ (V @ c)
            return h, c, Y @ z
        """
    )
    assert shapes(found) == {
        "W.down": ("R", "D"), "W.up": ("H", "R"), "V": ("M", "H"), "zeta": ("1",), "p.a": ("1",), "p.b": ("1",),
        "Y": ("K", "H"),
    }  # fmt: skip
    assert found.graph.letters == ("D", "H", "K", "M", "R")


def test_a_declared_size_wins_over_what_a_scalar_is_made_of():
    found = make(
        """
        @cell(states="h c:1", parameters="b:1 a:1")
        def step(x, h, c, W, a, b):
            return tanh(W @ x) * b, c * a
        """
    )
    assert shapes(found) == {"W": ("H", "D"), "a": ("1",), "b": ("1",)}


OPEN = {
    "a low rank": ("W.up @ relu(W.down @ x + b)", "how many rows W.down has (W.up, b must fit)", "W.down:R"),
    "a vector": ("h + U @ tanh(b)", "how many units b has (U must fit)", "b:R"),
    "columns": ("U @ (V.T @ h)", "how many columns V has (U must fit)", "V:H,R"),
    "a normed vector": ("layer_norm(h, b)[0]", "how many units b has", "b:R"),
}


@pytest.mark.parametrize(("value", "problem", "cure"), OPEN.values(), ids=OPEN)
def test_open_sizes_are_asked_for(value, problem, cure):
    groups = [name for name in "WUVb" if re.search(rf"\b{name}\b", value)]
    message = refused(
        f"""
        @cell(states="h")
        def step(x, h, {", ".join(groups)}):
            return {value}  # HERE
        """
    )
    assert f"nothing says {problem}; name the size" in message
    assert message.endswith(f'parameters="{cure}"')


def test_the_letter_of_an_example_is_free():
    message = refused(
        """
        @cell(states="h:R c:K")
        def step(x, h, c, W):
            c = c + W.up @ relu(W.down @ x)  # HERE
            return h, c
        """
    )
    assert message.endswith('parameters="W.down:M"')


def test_constants_have_sizes_like_parameters():
    found = make(
        """
        @cell(states="h:M s:1", constants={"A": [[1, 2], [3, 4]], "B": [[5], [6.5]], "p": (1, True)})
        def step(x, h, s, A, B, W, p):
            return A @ h + B @ s + W @ x + A.T @ (p * h), s
        """
    ).graph
    assert [(c.name, c.kind, c.shape, c.values) for c in found.constants] == [
        ("A", "matrix", ("M", "M"), ((1.0, 2.0), (3.0, 4.0))),
        ("B", "matrix", ("M", "1"), ((5.0,), (6.5,))),
        ("p", "vector", ("M",), (1.0, 1.0)),
    ]
    assert [p.name for p in found.parameters] == ["W"]
    assert found.fixed == {"M": 2}
    assert Graph.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_constants_are_part_of_the_hash():
    text = """
        @cell(states="h:M", constants={"A": [[1, 2], [3, %s]]})
        def step(x, h, A, W):
            return A @ h + W @ x
        """
    assert make(text % 4).graph.hash == make(text % 4.0).graph.hash != make(text % 5).graph.hash


def test_arrays_are_constants():
    text = '@cell(states="h:M", constants={"A": A})\ndef step(x, h, A, W):\n    return A @ h + W @ x'
    plain = make(text, A=[[0.5, 1], [2, 3]])
    assert plain == make(text, A=np.array([[0.5, 1], [2, 3]])) == make(text, A=torch.tensor([[0.5, 1], [2, 3]]))


def test_rows_of_a_constant_may_be_arrays():
    text = '@cell(states="h:M", constants={"A": A})\ndef step(x, h, A, W):\n    return A @ h + W @ x'
    rows = [[0.5, 1], [2, 3]]
    assert make(text, A=rows) == make(text, A=[np.array(row) for row in rows]) == make(text, A=list(torch.tensor(rows)))


def test_the_length_of_a_constant_is_a_size_by_itself():
    """Nothing else has a letter for the three units that are summed up here: they get a free one."""
    graph = make(
        """
        @cell(states="h", constants={"L": [[1, 0, 0], [1, 1, 0], [1, 1, 1]], "E": [[1, 0, 0], [0, 1, 1]]})
        def step(x, h, L, E, W):
            return h + E @ (L @ softmax(W @ x))
        """
    ).graph
    assert [(c.name, c.shape) for c in graph.constants] == [("L", ("R", "K")), ("E", ("H", "R"))]
    assert graph.parameters[0].shape == ("K", "D")
    assert graph.fixed == {"R": 3, "K": 3, "H": 2}


def test_numbers_of_numpy_are_numbers():
    text = '@cell(states="h", start={"h": start})\ndef step(x, h, W, *, k=k):\n    return W @ x + shift(h, by) * k'
    plain = make(text, start=0.5, k=2, by=1)
    found = make(text, start=np.float32(0.5), k=np.int64(2), by=np.int8(1))
    assert found == plain == plain.with_options(k=np.float32(2))
    assert dict(found.options) == {"k": 2}


def test_constants_that_disagree():
    with pytest.raises(EquationError, match="constant p: the size H is 2 elsewhere and 3 here"):
        make(
            """
            @cell(states="h", constants={"A": [[1, 2], [3, 4]], "p": [1, 2, 3]})
            def step(x, h, A, p, W):
                return A @ h * p + W @ x
            """
        )
