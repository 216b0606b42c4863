"""A cell is a value: options, equality, hash, repr, copies, pickles, and what arrives in another process."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import pickle

import pytest

from elman import EquationError, cell, cells, tanh
from elman.equations import Graph, from_graph
from tests.equations.sources import make

SOURCE = """
    @cell(states="h", start={"h": 0.5})
    def step(x, h, W, U, *, eps=0.1, steps=2, gated=False):
        '''A cell.

        With options.
        '''
        for _ in range(steps):
            h = h + eps * tanh(W @ x + U @ h)
        return h * h if gated else h
"""


def test_options():
    step = make(SOURCE)
    assert step.options == {"eps": 0.1, "steps": 2, "gated": False}
    assert step.doc == "A cell.\n\nWith options."
    other = step.with_options(eps=0.2)
    assert (other.options, step.options["eps"]) == ({"eps": 0.2, "steps": 2, "gated": False}, 0.1)
    assert [n.value for n in other.graph.nodes if n.op == "constant"] == [0.2]
    assert len(step.with_options(steps=3).graph.nodes) > len(step.graph.nodes)
    assert step.with_options(gated=True).graph.nodes[-1].op == "mul"
    assert other.with_options(eps=0.1) == step == step.with_options() != other
    assert repr(step) == "<cell step, eps=0.1, steps=2, gated=0: states h>"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 1.0}, r"^step: unknown option 'epsilon'; known: eps, steps, gated$"),
        ({"eps": "0.1"}, r"^step: the option eps must be a finite number, got '0.1'$"),
        ({"eps": 10**400}, r"^step: the option eps must be a finite number, got 1000"),
        ({"eps": float("nan")}, r"^step: the option eps must be a finite number, got nan$"),
        ({"steps": 1.5}, r"^step: line 7 .*TypeError"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(EquationError, match=message):
        make(SOURCE).with_options(**options)


def test_no_options():
    with pytest.raises(EquationError, match="known: none"):
        cells.get("lstm").with_options(eps=1.0)


def test_equality_and_hash():
    a, b = make(SOURCE), make(SOURCE.replace("step", "other").replace("A cell", "Another"))
    c = make(SOURCE.replace("h * h", "h + h"))
    assert a == b
    assert hash(a) == hash(b)
    assert a == c != a.with_options(gated=True)  # they differ in an option's branch alone
    assert len({a, b, c, a.with_options(eps=0.3)}) == 2
    assert a != "step"
    assert a.graph != b.graph  # names differ
    assert hash(a.graph) == hash(b.graph)
    assert len({cells.get(name) for name in cells.names()}) == len(cells.names())


def test_frozen():
    step = make(SOURCE)
    for value, field in (
        (step, "name"),
        (step.graph, "nodes"),
        (step.graph.nodes[0], "op"),
        (step.graph.states[0], "start"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, None)


def test_copies():
    step = make(SOURCE)
    for twin in (copy.copy(step), copy.deepcopy(step), copy.deepcopy([step])[0]):
        assert twin == step
        assert twin.with_options(eps=0.5) == step.with_options(eps=0.5)
    assert copy.deepcopy(step.graph) == step.graph


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol):
    step = make(SOURCE).with_options(eps=0.25)
    twin = pickle.loads(pickle.dumps(step, protocol))
    assert twin == step
    assert (twin.graph, twin.name, twin.doc, twin.options) == (step.graph, step.name, step.doc, step.options)
    assert pickle.loads(pickle.dumps(step.graph, protocol)) == step.graph


def test_options_are_settled_in_a_pickle():
    twin = pickle.loads(pickle.dumps(make(SOURCE)))
    assert twin.with_options(eps=0.1) == twin
    with pytest.raises(EquationError, match=r"step: its options are settled.*set them where the cell is defined"):
        twin.with_options(eps=0.2)
    assert pickle.loads(pickle.dumps(twin)).options == twin.options


def test_from_graph():
    lstm = cells.get("lstm")
    twin = from_graph(Graph.from_json(lstm.graph.to_json()))
    assert twin == lstm
    assert (twin.name, twin.doc, twin.options) == ("lstm", "", {})


def describe(received):
    return received.graph.hash, received.options, received.name


def test_another_process():
    """A cell defined in a function reaches a process that cannot import it."""

    @cell(states="h")
    def step(x, h, W, *, gain=2.0):
        return tanh(gain * (W @ x)) + h

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(describe, [step]) == [(step.graph.hash, {"gain": 2.0}, "step")]
