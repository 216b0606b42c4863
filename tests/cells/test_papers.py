"""Every built-in cell is what its paper says: the evaluator against independent equations and torch's cells."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from elman import cells
from elman.equations.evaluate import run
from tests.cells.papers import STEPS
from tests.equations.autograd import assert_near
from tests.equations.random_cells import arrays

SIZES = {"D": 3, "H": 5, "P": 2}
OPTIONS = {
    "janet": {"beta": 0.5},
    "layer_norm_lstm": {"eps": 0.25},
    "layer_norm_gru": {"eps": 0.25},
    "antisymmetric": {"eps": 0.5, "gamma": 0.75},
}


def drawn(name, seed=0):
    inputs, states, weights = arrays(cells.get(name).graph, seed, rows=4, sizes=SIZES)
    if name == "leaky_elman":
        inputs["dt"] = np.abs(inputs["dt"])  # lengths of time
    if name == "slstm":
        states["n"] = 1 + np.abs(states["n"])  # as the cell leaves it
    return inputs, states, weights


def check(graph, name, inputs, states, weights, **options):
    output, after = run(graph, np, inputs, states, weights)
    for b in range(4):
        values = {k: v[b] for k, v in (inputs | states).items()}
        expected, then = STEPS[name](weights, **values, **options)
        assert_near(output[b], expected, f"{name}: output", 1e-12)
        assert list(after) == list(then)
        for state, value in then.items():
            assert_near(after[state][b], value, f"{name}: {state}", 1e-12)


def test_all_cells_are_here():
    assert list(STEPS) == list(cells.names())


@pytest.mark.parametrize("name", cells.names())
def test_papers(name):
    check(cells.get(name).graph, name, *drawn(name))


@pytest.mark.parametrize("name", OPTIONS)
def test_papers_with_other_options(name):
    cell = cells.get(name)
    assert set(OPTIONS[name]) == set(cell.options)
    check(cell.with_options(**OPTIONS[name]).graph, name, *drawn(name), **OPTIONS[name])


@pytest.mark.parametrize("name", cells.names())
def test_several_steps_from_the_start(name):
    """From the cell's own start values on."""
    graph = cells.get(name).graph
    inputs, states, weights = drawn(name)
    states = {p.name: np.full_like(states[p.name], p.start) for p in graph.states}
    for seed in range(4):
        inputs = drawn(name, seed)[0]
        check(graph, name, inputs, states, weights)
        states = run(graph, np, inputs, states, weights)[1]
        assert all(np.isfinite(value).all() for value in states.values())
    if name == "slstm":
        assert (states["n"] >= 1).all()


@pytest.mark.parametrize("name", cells.names())
def test_torch_and_numpy_agree(name):
    graph = cells.get(name).graph
    given = drawn(name)
    output, after = run(graph, np, *given)
    as_torch = [{k: torch.tensor(v) for k, v in part.items()} for part in given]
    other, then = run(graph, torch, *as_torch)
    assert_near(other.numpy(), output, "output", 1e-14)
    for state in after:
        assert_near(then[state].numpy(), after[state], state, 1e-14)


@pytest.mark.parametrize("name", cells.names())
def test_single_precision_stays_single(name):
    graph = cells.get(name).graph
    given = [{k: np.float32(v) for k, v in part.items()} for part in drawn(name)]
    output, after = run(graph, np, *given)
    assert {output.dtype, *(value.dtype for value in after.values())} == {np.dtype(np.float32)}
    exact = run(graph, np, *([{k: np.float64(v) for k, v in part.items()} for part in given]))[0]
    assert_near(output, exact, "output", 1e-5)


@pytest.mark.parametrize("name", cells.names())
def test_docstrings_cite(name):
    """A sentence about the cell, then a reference with a year."""
    first, _, rest = cells.get(name).doc.partition("\n\n")
    assert first.endswith(".")
    assert re.search(r"^Reference: .*(19|20)\d\d", rest, re.MULTILINE)


def weights_of(module, groups, gates):
    """Torch's stacked gates as this package's parameters."""
    found = {}
    for group, name in groups.items():
        parts = getattr(module, name).detach().chunk(len(gates))
        found |= {f"{group}.{gate}" if gates != ("",) else group: part for gate, part in zip(gates, parts, strict=True)}
    return found


def torch_cell(kind, **options):
    torch.manual_seed(0)
    return kind(3, 5, dtype=torch.float64, **options)


def states_of(count):
    return [torch.randn(4, 5, dtype=torch.float64) for _ in range(count)]


def test_torch_lstm():
    module = torch_cell(torch.nn.LSTMCell)
    x, (h, c) = torch.randn(4, 3, dtype=torch.float64), states_of(2)
    w = weights_of(module, {"W": "weight_ih", "U": "weight_hh"}, tuple("ifgo"))
    w |= {f"b.{gate}": b for gate, b in zip("ifgo", (module.bias_ih + module.bias_hh).detach().chunk(4), strict=True)}
    output, after = run(cells.get("lstm").graph, torch, {"x": x}, {"h": h, "c": c}, w)
    expected = module(x, (h, c))
    assert_near(output, expected[0].detach(), "h", 1e-13)
    assert_near(after["c"], expected[1].detach(), "c", 1e-13)


def test_torch_gru():
    module = torch_cell(torch.nn.GRUCell)
    x, (h,) = torch.randn(4, 3, dtype=torch.float64), states_of(1)
    w = weights_of(module, {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "d": "bias_hh"}, tuple("rzn"))
    w |= {"b.r": w["b.r"] + w.pop("d.r"), "b.z": w["b.z"] + w.pop("d.z")}
    output, _ = run(cells.get("gru").graph, torch, {"x": x}, {"h": h}, w)
    assert_near(output, module(x, h).detach(), "h", 1e-13)


@pytest.mark.parametrize(("name", "nonlinearity"), [("elman", "tanh"), ("elman_relu", "relu")])
def test_torch_rnn(name, nonlinearity):
    module = torch_cell(torch.nn.RNNCell, nonlinearity=nonlinearity)
    x, (h,) = torch.randn(4, 3, dtype=torch.float64), states_of(1)
    w = weights_of(module, {"W": "weight_ih", "U": "weight_hh"}, ("",))
    w["b"] = (module.bias_ih + module.bias_hh).detach()
    output, _ = run(cells.get(name).graph, torch, {"x": x}, {"h": h}, w)
    assert_near(output, module(x, h).detach(), "h", 1e-13)


def test_torch_projection():
    torch.manual_seed(0)
    module = torch.nn.LSTM(3, 5, proj_size=2, dtype=torch.float64)
    x, h, c = torch.randn(4, 3), torch.randn(4, 2), torch.randn(4, 5)
    x, h, c = x.double(), h.double(), c.double()
    w = weights_of(module, {"W": "weight_ih_l0", "U": "weight_hh_l0"}, tuple("ifgo"))
    bias = (module.bias_ih_l0 + module.bias_hh_l0).detach().chunk(4)
    w |= {f"b.{gate}": b for gate, b in zip("ifgo", bias, strict=True)} | {"R": module.weight_hr_l0.detach()}
    output, after = run(cells.get("projected_lstm").graph, torch, {"x": x}, {"h": h, "c": c}, w)
    expected, (_, memory) = module(x[None], (h[None], c[None]))
    assert_near(output, expected[0].detach(), "h", 1e-13)
    assert_near(after["c"], memory[0].detach(), "c", 1e-13)
