"""A cell is refused that returns, uses or names something wrongly as a whole: with its name, a line, and the cure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman import EquationError, layer_norm, maximum, sigmoid, tanh
from tests.equations.sources import make, refused, run

THIEF = """
        @cell(states="g")
        def thief(x, g, V):
            global other, V_of_another
            other, V_of_another = g, V
            return tanh(V @ x)
"""


@pytest.mark.parametrize(
    ("returned", "problem", "cure"),
    [
        ("h", "1 value returned, 2 expected", "end with return h, c"),
        ("h, c, x", "3 values returned, 2 expected", "end with return h, c"),
        ("", "nothing returned, 2 expected", "end with return h, c"),
        ("[h, c]", "1 value returned, 2 expected", "end with return h, c"),
        ("(h, c), c", "h is returned as a tuple", "return h, c, one after another"),
        ("h, 0.0", "c is returned as a float", "each computed in the equations"),
        ("h, W", "c is returned as the parameter W", "each computed in the equations"),
        ("h, x", "the state c has size H and is returned with size D", 'states="c:D"'),
        ("h, other", "c is returned as a symbol of another cell", "this cell's own arguments"),
    ],
)
def test_returned_values(returned, problem, cure):
    message = refused(
        f"""{THIEF}
        @cell(states="h c")
        def step(x, h, c, W):
            h = tanh(W @ x)
            return {returned}  # HERE
        """
    )
    assert problem in message
    assert cure in message


def test_no_return():
    message = refused(
        """
        @cell(states="h")
        def step(x, h, W):
            h = tanh(W @ x)  # HERE
        """
    )
    assert "nothing returned, 1 expected" in message


@pytest.mark.parametrize(
    "use",
    ["h + other", "other * h", "W @ other", "where(h > 0, other, h)", "tanh(other)", "other + other", "-other",
     "V_of_another @ h", "V_of_another * h", "tanh(V_of_another)", "layer_norm(h, other)"],
)  # fmt: skip
def test_symbols_of_another_cell(use):
    message = refused(
        f"""{THIEF}
        @cell(states="h")
        def step(x, h, W):
            q = {use}  # HERE
            return tanh(W @ x)
        """
    )
    assert "a symbol of another cell is used; use only this cell's own arguments" in message


def test_a_symbol_outside_of_its_cell():
    other = run(THIEF)["other"]
    for use in (lambda: other + 1, lambda: tanh(other), lambda: -other):
        with pytest.raises(EquationError, match=r"thief: .*a symbol of another cell is used"):
            use()


def test_a_vector_for_a_scalar_state():
    message = refused(
        """
        @cell(states="h s:1")
        def step(x, h, s, W, a):
            h = tanh(W @ x + s * h)
            s = s * a + h
            return h, s  # HERE
        """
    )
    assert 'the state s has size 1 and is returned with size H; declare it in states="s:H"' in message


def test_unused_groups():
    message = refused(
        """
        @cell(states="h")  # HERE
        def step(x, h, W, U):
            h = tanh(W @ x)
            return h
        """
    )
    assert "the parameter group U is never used; use it, or take it out" in message


@pytest.mark.parametrize(
    "body",
    ["for b in range(2): pass", "(b := h)", "b, q = h, h", "b += h", "import math as b", "with lock as b: pass",
     "b = h; f = lambda: b"],
)  # fmt: skip
def test_every_way_to_shadow_a_group(body):
    message = refused(
        f"""
        @cell(states="h")
        def step(x, h, W, b):
            q = W @ x + b
            {body}  # HERE
            return tanh(q)
        """
    )
    assert "the local b hides the parameter group b; give it another name" in message


def test_the_line_is_the_cells_own():
    """Whatever a helper does wrong, the cell's line that calls it is named."""
    message = refused(
        """
        def helper(v):
            w = v + 1
            return w ** 2

        @cell(states="h")
        def step(x, h, W):
            a = W @ x
            squares = [helper(value) for value in (a, h)]  # HERE
            return squares[0]
        """
    )
    assert "** is no operation" in message


def test_without_source_text():
    with pytest.raises(EquationError, match=r"^step: line 3: Python decides"):
        exec('@cell(states="h")\ndef step(x, h, W):\n  if h: pass\n  return W @ x', {**run("")})


def test_operations_outside_of_cells():
    for call in (
        lambda: tanh(0.5),
        lambda: sigmoid(np.ones(3)),
        lambda: maximum(1, 2),
        lambda: layer_norm(torch.ones(3)),
    ):
        with pytest.raises(
            EquationError, match=r"is for the symbols of a cell's equations and got .*; for arrays use numpy"
        ):
            call()


def test_the_cause_stays_visible():
    with pytest.raises(EquationError, match="ZeroDivisionError") as caught:
        make(
            """
            @cell(states="h")
            def step(x, h, W):
                return W @ x * (1 / 0)
            """
        )
    assert isinstance(caught.value.__context__, ZeroDivisionError)
