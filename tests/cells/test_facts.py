"""What analysis says of every built-in cell, and of cells that tell the facts apart."""

from __future__ import annotations

import re

import pytest

from elman import cells
from elman.equations.passes.analysis import Facts, analyse, depends
from tests.equations.sources import make

# stages, element-wise, affine, normalised
FACTS = {
    "elman": (1, False, False, False),
    "elman_relu": (1, False, False, False),
    "lstm": (1, False, False, False),
    "gru": (1, False, False, False),
    "gru_reset_before": (2, False, False, False),
    "peephole_lstm": (1, False, False, False),
    "projected_lstm": (2, False, False, False),
    "coupled_lstm": (1, False, False, False),
    "janet": (1, False, False, False),
    "layer_norm_lstm": (1, False, False, True),
    "indrnn": (0, True, False, False),
    "min_gru": (0, True, True, False),
    "min_lstm": (0, True, True, False),
    "leaky_elman": (1, False, False, False),
    "antisymmetric": (1, False, False, False),
    "slstm": (1, False, False, False),
}


@pytest.mark.parametrize("name", cells.names())
def test_built_in_cells(name):
    assert analyse(cells.get(name).graph) == Facts(*FACTS[name])


STEPS = {
    "an Elman-like linear map needs its product": ("U @ h + W @ x", (1, False, True, False)),
    "coefficients from x": ("sigmoid(W.z @ x) * h + W.n @ x", (0, True, True, False)),
    "a coefficient from the state": ("h * h + W @ x", (0, True, False, False)),
    "a quotient by x": ("h / (1 + W @ x)", (0, True, True, False)),
    "a quotient by the state": ("W @ x / (2 + h)", (0, True, False, False)),
    "minus": ("W @ x - (-h)", (0, True, True, False)),
    "chosen by x": ("where(W @ x > 0, h, 0.5 * h + b)", (0, True, True, False)),
    "chosen by the state": ("where(h > 0, W @ x, b)", (0, True, False, False)),
    "largest of two": ("maximum(h, W @ x)", (0, True, False, False)),
    "a transpose": ("U.T @ h + W @ x", (1, False, True, False)),
    "a norm of the input": ("h + layer_norm(W @ x)", (0, True, True, True)),
    "a norm of the state": ("layer_norm(h) + W @ x", (0, True, False, True)),
    "three products in a row": ("tanh(U.p @ tanh(U.q @ (U.r @ h))) + W @ x", (3, False, False, False)),
    "products of x in a row": ("h * tanh(W.y @ tanh(W @ x))", (0, True, True, False)),
    "no state at all": ("tanh(W @ x)", (0, True, True, False)),
}


@pytest.mark.parametrize(("step", "facts"), STEPS.values(), ids=STEPS)
def test_facts(step, facts):
    step = step.replace("W @", "W.x @")
    groups = [group for group in ("W", "U", "b") if re.search(rf"\b{group}\b", step)]
    sizes = " ".join(f"{name}:H" for name in ("U.q", "U.r", "W.x") if f"@ ({name}" in step or f"({name}" in step)
    cell = make(f'@cell(states="h", parameters="{sizes}")\ndef step(x, h, {", ".join(groups)}):\n    return {step}')
    assert analyse(cell.graph) == Facts(*facts)


def test_a_product_of_the_output_alone_is_not_in_the_recurrence():
    cell = make('@cell(states="h", output="y:Y")\ndef step(x, h, W, V):\n    h = 0.5 * h + W @ x\n    return h, V @ h')
    assert analyse(cell.graph) == Facts(stages=1, element_wise=True, affine=True, normalised=False)


def test_every_state_counts():
    """One state alone would be affine and element-wise."""
    cell = make('@cell(states="h c")\ndef step(x, h, c, W, U):\n    return 0.5 * h + W @ x, tanh(U @ c)')
    assert analyse(cell.graph) == Facts(stages=1, element_wise=False, affine=False, normalised=False)


def test_dependence():
    cell = make(
        """
        @cell(states="h")
        def step(x, h, W, U, b):
            gain = sigmoid(b)
            drive = W @ x
            back = U @ h
            double = x + x
            half = 0.5 * h
            return gain * drive + back + half * (W @ double)
        """
    )
    found = {node.name: kinds for node, kinds in zip(cell.graph.nodes, depends(cell.graph), strict=True) if node.name}
    assert found == {
        "gain": {"parameter"}, "drive": {"input", "parameter"}, "back": {"state", "parameter"}, "double": {"input"},
        "half": {"state"}, "h": {"input", "state", "parameter"},
    }  # fmt: skip
