"""Sizes of parameters and outputs follow from how they are used."""

from __future__ import annotations

from tests.equations.sources import make


def shapes(cell):
    return {p.name: p.shape for p in cell.graph.parameters}


def test_sizes_follow_from_use():
    """A projection, a scalar input, a vector of another letter, and what nothing else says: H."""
    found = make(
        """
        @cell(inputs="x dt:1 k:K", states="h:P c s:1", output="y")
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
        "W": ("H", "D"), "U": ("H", "P"), "R": ("P", "H"), "V.free": ("H", "D"), "V.s": ("H", "1"), "V.y": ("K", "H"),
        "a": ("H",), "b": ("H",), "e": ("H",), "q": ("1",),
    }  # fmt: skip
    assert found.graph.output_size == "K"
    assert found.graph.letters == ("D", "H", "K", "P")


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
    other = make('@cell(states="h", output="y")\ndef step(x, h, W, V):\n    return tanh(W @ x), V @ x')
    assert list(other.graph.results) == ["h", "y"]
    assert other.graph.nodes[other.graph.output_node].name == "y"
    shown = make('@cell(states="h", output="y")\ndef step(x, h, W):\n    return tanh(W @ x), x')
    assert shown.graph.output_size == "D"
    scalar = make('@cell(inputs="x dt:1", states="h", output="y")\ndef step(x, dt, h, W):\n    return W @ x, dt * 2')
    assert scalar.graph.output_size == "1"
