"""What runs at every step, and what parameters alone make: derived matrices and vectors, and the order of sums."""

from __future__ import annotations

from elman.emit import emit
from elman.equations.passes.lower import lower
from elman.equations.passes.sums import DerivedMatrix
from tests.equations.sources import make


def lowered(body, signature="x, h, c, W, U, b", decorator='states="h c"'):
    return lower(make(f"@cell({decorator})\ndef step({signature}):\n{body}").graph)


def text(result, index=None):
    """A node of a lowered graph as an expression."""
    index = result.results["h"] if index is None else index
    node = result.nodes[index]
    args = [text(result, arg) for arg in node.args]
    if node.op in ("product", "product_t"):
        return f"{node.value}{'.T' if node.op == 'product_t' else ''}@{args[0]}"
    operators = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
    if node.op in operators:
        return f"({args[0]}{operators[node.op]}{args[1]})"
    return f"{node.op}({', '.join(args)})" if args else f"{node.value}"


def test_a_gate_is_bias_then_input_then_state():
    result = lowered("    return tanh(U.i @ h + W.i @ x + U.c @ c + b.i), c", "x, h, c, W, U, b")
    assert text(result) == "tanh((((b.i+W.i@x)+U.i@h)+U.c@c))"
    assert result.matrices == result.vectors == result.prologue == ()


def test_computed_sources_come_last_and_the_rest_is_added():
    result = lowered("    return U.r @ (h * c) + h - c + U.h @ h + W @ x - b, c", "x, h, c, W, U, b")
    assert text(result) == "((((%M0@x+U.h@h)+U.r@(h*c))+h)-c)-b)".replace("%M0", "W").replace("((((", "(((((")


def test_a_scalar_is_no_bias():
    result = lowered("    return W @ x + s + b, where(s > 0, c, c)", "x, h, c, W, s, b", 'states="h c:1"')
    assert text(result) == "((b+W@x)+s)"


def test_terms_that_stand_twice_stay():
    result = lowered("    return W @ x + b + b + h + h, c", "x, h, c, W, b")
    assert text(result) == "((((b+W@x)+b)+h)+h)"


def test_products_of_one_source_become_one_matrix():
    result = lowered("    return U.a @ h - U.a.T @ h + W @ x - (U.b @ h - c), c", "x, h, c, W, U")
    terms = ((1, "U.a", False), (-1, "U.a", True), (-1, "U.b", False))
    assert result.matrices == (
        DerivedMatrix("%M0", ("H", "H"), terms),
    )  # the inner sum, which is part of the outer, has none
    assert text(result) == "((W@x+%M0@h)+c)"


def test_a_product_that_is_used_again_is_not_merged():
    result = lowered("    p = U.a @ h\n    return tanh(p + U.b @ h + W @ x) * p, c", "x, h, c, W, U")
    assert result.matrices == ()
    assert text(result) == "(tanh(((W@x+U.b@h)+U.a@h))*U.a@h)"


def test_what_parameters_alone_make_is_made_once():
    body = (
        "    gain = exp(b.a) / (1 + exp(b.a))\n    return gain * tanh(W @ x + U @ sigmoid(b.c)) + layer_norm(gain), c"
    )
    result = lowered(body, decorator='states="h c", parameters="b.c:H"')
    assert [v.size for v in result.vectors] == ["H", "H", "H"]
    assert {node.op for node in result.nodes} == {"input", "state", "vector", "product", "tanh", "add", "mul", "fma"}
    assert {node.op for node in result.prologue} >= {"exp", "div", "sigmoid", "product", "sum", "count", "sqrt"}
    assert result.norms == ()


def test_a_result_from_parameters_alone_is_made_once_too():
    result = lowered("    return tanh(b), c + W @ x", "x, h, c, W, b")
    assert text(result) == "%0"
    assert [node.op for node in result.prologue] == ["vector", "tanh"]


def test_norms_are_known():
    result = lowered(
        "    a, n = layer_norm(W @ x, U @ h)\n    return a, c", "x, h, c, W, U", 'states="h c", parameters="U:H"'
    )
    (norm,) = result.norms
    assert [text(result, n) for n in norm.args] == ["W@x", "U@h"]
    assert result.results["h"] == norm.outs[0]
    assert result.nodes[norm.count].value == ("H", "H")


def test_nothing_is_left_over():
    """Every node leads to a result."""
    body = "    q = U.a @ h + W @ x + U.b @ h\n    return tanh(q + b) - tanh(b), c + q"
    result = lowered(body)
    used = set(result.results.values())
    for index in range(len(result.nodes) - 1, -1, -1):
        if index in used:
            used.update(result.nodes[index].args)
    assert used == set(range(len(result.nodes)))


def test_long_cells():
    """Thousands of operations one after another: no recursion ends them, and twice as many are twice the code."""

    def code(count: int) -> int:
        body = f"    v = W @ x + h\n    for _ in range({count}):\n        v = tanh(v * v + v) - v\n    return v, c"
        graph = make(f'@cell(states="h c")\ndef step(x, h, c, W):\n{body}').graph
        assert len(graph.nodes) == 4 * count + 5
        return sum(len(phase.code) for phase in emit(graph).backward.phases)

    assert 0 < code(400) <= 2 * code(200)
