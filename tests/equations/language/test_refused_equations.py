"""What is no equation of one step is refused: the message names the cell, the line, the problem and the cure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.equations.sources import refused

# A line in the middle of a cell with x (D), h and c (H), a scalar dt, groups W, U, b, and what must be said about it.
LINES = {
    "if": ("if h > 0: pass", "Python decides (if", "where(condition, a, b)"),
    "if not": ("q = 1 if not h else 2", "Python decides (if", "where(condition, a, b)"),
    "and": ("q = h and c", "Python decides (if", "where(condition, a, b)"),
    "or": ("q = (h > 0) or (c > 0)", "Python decides (if", "where(condition, a, b)"),
    "chained comparison": ("q = where(0 < h < 1, h, c)", "Python decides (if", "where(condition, a, b)"),
    "max": ("q = max(h, c)", "Python decides (if", "maximum(a, b)"),
    "min": ("q = min(h, 0.0)", "Python decides (if", "minimum(a, b)"),
    "while": ("while h: pass", "Python decides (if", "where(condition, a, b)"),
    "assert": ("assert h > 0", "Python decides (if", "where(condition, a, b)"),
    "sorted": ("q = sorted([h, c])", "Python decides (if", "minimum(a, b)"),
    "==": ("q = h == c", "== and != on a symbol", "where("),
    "!=": ("q = h != 0", "== and != on a symbol", "where("),
    "0 ==": ("q = 0 == h", "== and != on a symbol", "where("),
    "in": ("q = h in (c, x)", "== and != on a symbol", "where("),
    "**": ("q = h ** 2", "** is no operation", "x * x"),
    "reversed **": ("q = 2 ** h", "** is no operation", "exp("),
    "pow": ("q = pow(h, 2)", "** is no operation", "x * x"),
    "//": ("q = 1 // h", "// is no operation", "floor(a / b)"),
    "&": ("q = where((h > 0) & (c > 0), h, c)", "&, | and ^", "minimum(p, q)"),
    "|": ("q = where((h > 0) | (c > 0), h, c)", "&, | and ^", "maximum(p, q)"),
    "~": ("q = where(~(h > 0), h, c)", "~ on a symbol", "1 - condition"),
    "math": ("q = math.tanh(h)", "a number is needed here (math", "from elman import tanh"),
    "math.floor": ("q = math.floor(h)", "a number is needed here (math", "from elman import tanh"),
    "round": ("q = __builtins__['round'](h)", "a number is needed here (math, round", "from elman import tanh"),
    "float": ("q = float(h)", "a number is needed here", "from elman import tanh"),
    "range": ("q = [h for _ in range(h)]", "a number is needed here", "from elman import tanh"),
    "numpy ufunc": ("q = np.tanh(h)", "a numpy function", "from elman import tanh"),
    "numpy function": ("q = np.where(h > 0, h, c)", "a numpy function", "from elman import tanh"),
    "numpy concatenate": ("q = np.concatenate([h, c])", "a numpy function", "from elman import tanh"),
    "numpy array": ("q = np.ones(3) * h", "a numpy function or array", "an array belongs into a parameter"),
    "numpy array on the right": ("q = h * np.ones(3)", "ndarray is no operand", "an array belongs into a parameter"),
    "numpy on a parameter": ("q = np.exp(b.i)", "a numpy function", "from elman import tanh"),
    "torch function": ("q = torch.tanh(h)", "a torch function", "from elman import tanh"),
    "torch function of a list": ("q = torch.cat([h, c])", "a torch function", "from elman import tanh"),
    "torch functional": ("q = torch.nn.functional.relu(h)", "a torch function", "from elman import tanh"),
    "torch keyword": ("q = torch.add(torch.ones(3), other=h)", "a torch function", "from elman import tanh"),
    "tensor": ("q = torch.ones(3) * h", "a torch function or tensor", "an array belongs into a parameter"),
    "tensor on the right": ("q = h - torch.ones(3)", "Tensor is no operand", "an array belongs into a parameter"),
    "text": ('q = h + "1"', "str is no operand", "plain numbers"),
    "truth": ("q = h * True", "bool is no operand", "plain numbers"),
    "infinity": ("q = where(h > 0, h, math.inf)", "inf is no number to compute with", "1e30"),
    "number beyond float32": ("q = where(h > 0, h, -1e39)", "-1e+39 is no number to compute with", "1e30"),
    "number of 400 digits": ("q = h * 10**400", "is no number to compute with", "1e30"),
    "index": ("q = h[0]", "an index on a symbol", "(W.i)"),
    "step index": ("q = h[t - 1]", "an index on a symbol", "kept as a state"),
    "index assigned": ("h[0] = 1", "an index on a symbol", "(W.i)"),
    "index of a group": ('q = W["i"] @ x', "an index on a symbol", "(W.i)"),
    "called with a step": ("q = h(t - 1)", "a symbol is called", "h is the last step's value"),
    "group called": ("q = W(x)", "a symbol is called", "W @ x"),
    "loop": ("q = sum(unit for unit in h)", "unpacked, looped over", "one step for all units"),
    "unpacked": ("q, r = h", "unpacked, looped over", "one step for all units"),
    "len": ("q = len(h)", "unpacked, looped over or measured", "one step for all units"),
    "attribute of a value": ("q = h.i", "a value has no .i", "members (W.i)"),
    "shape of a value": ("q = h.shape", "a value has no .shape", "members (W.i)"),
    "transpose of a value": ("q = h.T @ c", "a value has no .T", "belong to parameters"),
    "attribute assigned": ("h.last = c", "a value's .last is assigned", "a name of its own"),
    "member assigned": ("W.q = h", "W.q is assigned", "bind the value to a local"),
    "reserved shape": ("q = W.shape @ x", "W.shape is no parameter", "T, mT, shape, dtype are reserved"),
    "reserved dtype": ("q = h * b.dtype", "b.dtype is no parameter", "T, mT, shape, dtype are reserved"),
    "reserved mT": ("q = U.mT @ h", "U.mT is no parameter", "U.T is the transpose"),
    "member of a member": ("q = W.i.j @ x", "W.i.j is no parameter", "one plain name"),
    "member of a transpose": ("q = U.T.i @ h", "U.T.i is no parameter", "one plain name"),
    "hidden member": ("q = W._i @ x", "W._i is no parameter", "one plain name"),
    "precedence": ("q = x * W.n @ x", "Python reads r * W.n @ h as (r * W.n) @ h", "write r * (W.n @ h)"),
    "precedence, scaled": ("q = 0.5 * U.n @ h", "Python reads r * U.n @ h as (r * U.n) @ h", "write r * (U.n @ h)"),
    "precedence, divided": ("q = U.n / 2 @ h", "Python reads r * U.n @ h as (r * U.n) @ h", "write r * (U.n @ h)"),
    "precedence, negated": ("q = -U.n @ h", "Python reads -U.n @ h as (-U.n) @ h", "write -(U.n @ h)"),
    "two matrices": ("q = U.a @ U.b @ h", "Python reads U.a @ B @ v as (U.a @ B) @ v", "write U.a @ (B @ v)"),
    "mask": ("q = (b.m * U.n) @ h", "a matrix mask, (b.m * U.n) @ …", "mask the parameter outside"),
    "sum of matrices": ("q = (U.a + U.b) @ h", "a sum with U.a is applied as a matrix", "A @ v + B @ v"),
    "difference with a transpose": (
        "q = (U.a - U.a.T) @ h",
        "U.a.T is a matrix and is used element by element",
        "U.T @ h",
    ),
    "weight on the right": ("q = h @ U.n", "U.n stands on the right of @", "write U.n @ h"),
    "number before a weight": ("q = 2.0 @ U.n", "U.n stands on the right of @", "write U.n @ v"),
    "no weight": ("q = h @ c", "@ needs a parameter on its left", "U.i @ h"),
    "number before a value": ("q = 2.0 @ h", "@ needs a parameter on its left", "U.i @ h"),
    "number behind a weight": ("q = W.i @ 3.0", "W.i @ float", "applied to a vector"),
    "array behind a weight": ("q = W.i @ np.ones(3)", "W.i @ ndarray", "applied to a vector"),
    "member twice": ("q = U @ h + U.q @ h", "U is used whole and by member (U.q", "as in U.x"),
    "vector as matrix": (
        "q = b.q * h + b.q @ h",
        "b.q is used as a matrix here and as a vector",
        "write r * (b.q @ h)",
    ),
    "matrix as vector": (
        "q = U.q @ h + U.q * h",
        "U.q is used as a vector here and as a matrix",
        "write r * (U.q @ h)",
    ),
    "sizes added": ("q = x + h", "sizes differ: x has size D, h has size H", "W @ x"),
    "sizes in a function": ("q = where(h > 0, c, x)", "has size D", "W @ x"),
    "sizes of a vector": ("q = b.q * x + h * b.q", "sizes differ: h has size H, b.q has size D", "W @ x"),
    "sizes of a product": (
        "q = U.q @ x + U.q @ h",
        "U.q has D columns where it is used before or declared, and h has size H",
        "its own",
    ),
    "sizes of a transpose": (
        "q = h * (U.q @ x) + U.q.T @ x",
        "U.q has H columns where it is used before or declared, and x has",
        "own",
    ),
    "sizes of a result": ("q = h + c\n    r = x * q", "sizes differ: x has size D, q has size H", "W @ x"),
    "numbers in a function": (
        "q = tanh(0.5)",
        "tanh is for the symbols of a cell's equations and got float",
        "Python's math, min and max",
    ),
    "nothing to normalise": (
        "q = layer_norm()",
        "layer_norm is for the symbols of a cell's equations and got nothing",
        "",
    ),
    "number normalised": ("q = layer_norm(h, 1.0)", "layer_norm is given a number", "units of vectors"),
    "units of a scalar": ("q = sum(dt)", "sum is over the units of a vector, and dt is a scalar", "leave it out"),
    "softmax of a scalar": ("q = softmax(dot(h, c))", "softmax is over the units of a vector, and", "leave it out"),
    "sum of a list": ("q = sum([h, c])", "list is no operand of an equation", "plain numbers"),
    "sum of a number": ("q = sum(1.0)", "sum is for the symbols of a cell's equations and got float", "Python's math"),
    "half a shift": ("q = shift(h, 0.5)", "shift is by 0.5", "a whole number of units"),
    "endless shift": ("q = shift(h, 1e999)", "shift is by inf", "a whole number of units"),
    "shift of 400 digits": ("q = shift(h, 10**400)", "shift is by 1000", "a whole number of units"),
    "shift by a symbol": ("q = shift(h, dt)", "shift is by", "a whole number of units"),
    "shift of a number": ("q = shift(1.0, 1)", "shift is for the symbols of a cell's equations and got float", ""),
    "blocks of a value": ("q = block_diagonal(h) @ h", "block_diagonal is of a parameter", "block_diagonal(U) @ h"),
    "blocks of a number": ("q = block_diagonal(1) @ h", "block_diagonal is for the symbols", ""),
    "blocks element by element": ("q = block_diagonal(U.q) * h", "block_diagonal(U.q) is a matrix and is used", "@ h"),
    "member of blocks": ("q = block_diagonal(U).q @ h", "block_diagonal(U).q is no parameter", "block_diagonal(U.q)"),
    "eps": ("q = layer_norm(h, eps=0)", "layer_norm's eps is 0", "1e-5"),
    "eps of 400 digits": ("q = layer_norm(h, eps=10**400)", "layer_norm's eps is 1000", "1e-5"),
    "function of a matrix": ("q = tanh(U.o) @ h", "applies U.o as a matrix after a function", "outside of the cell"),
    "eps of a symbol": ("q = layer_norm(h, eps=dt)", "layer_norm's eps is", "1e-5"),
    "undefined name": ("q = gelu(h)", "gelu is no argument, local or function", "is relu meant? the functions"),
    "operator without meaning": ("q = h << 1", "TypeError: unsupported operand", "elman's functions"),
    "matrix in a list": ("q = [W.i] @ x", "@ needs a parameter on its left", "U.i @ h"),
    "unused in the end": ("q = W.q @ x", "W.q is used for nothing that is returned", "leave it out"),
    "local named as a group": ("b = h * c", "the local b hides the parameter group b", "another name"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "problem", "cure"), LINES.values(), ids=LINES)
def test_lines(line, problem, cure):
    first, *more = line.split("\n    ")
    marked = f"{first}\n            {more[0]}  # HERE" if more else f"{first}  # HERE"
    message = refused(
        f"""
        @cell(inputs="x dt:1", states="h c")
        def step(x, dt, h, c, W, U, b):
            t = 1
            {marked}
            h = tanh(W.i @ x + h + b.i + dt * c) + U.y @ h
            return h, c
        """,
        np=np, torch=torch, math=math,
    )  # fmt: skip
    assert problem in message
    assert cure in message.partition("; ")[2]


def test_blocks_are_blocks_everywhere():
    message = refused(
        """
        @cell(states="h", parameters="U:H,S")
        def step(x, h, W, U):
            a = block_diagonal(U) @ h + W @ x
            return a + U @ h  # HERE
        """
    )
    assert (
        "U is used as a matrix here and as a blocks on line 3; write block_diagonal(…) wherever it is used" in message
    )
