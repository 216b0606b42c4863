"""Constant arrays, blocks and shifts as JSON: what comes back, and what no file may bring."""

from __future__ import annotations

import copy
import json

import pytest

from elman.equations import EquationError, Graph
from tests.equations.sources import make

CELL = make(
    """
    @cell(states="h:M s:1", parameters="U:M,S", constants={"A": [[1, 2], [3, 4]], "p": [5, 6]})
    def step(x, h, s, A, p, U, W):
        h = A @ h + p * shift(h, 1) + block_diagonal(U) @ h + W @ x
        return h, s + sum(h)
    """
)


def base() -> dict:
    return json.loads(json.dumps(CELL.graph.to_json()))


def test_they_come_back():
    assert Graph.from_json(base()) == CELL.graph


def test_a_graph_without_constants_says_nothing_of_them():
    plain = make('@cell(states="h")\ndef step(x, h, W):\n    return W @ x').graph
    assert "constants" not in plain.to_json()


WRONG = {
    "no list": ({"constants": {}}, "constants must be a list"),
    "two fields": ({"constants": [["A", ["M", "M"]]]}, "must be a list of 3"),
    "no numbers": ({"constants": [["A", ["M", "M"], [["1", 2], [3, 4]]]]}, "must be a finite number"),
    "endless": ({"constants": [["A", ["M", "M"], [[1e999, 2], [3, 4]]]]}, "must be a finite number"),
    "flat": ({"constants": [["A", ["M", "M"], [1, 2]]]}, "a constant's row must be a list"),
    "uneven": ({"constants": [["A", ["M", "M"], [[1], [3, 4]]]]}, "unlike lengths, or empty"),
    "empty rows": ({"constants": [["A", ["M", "M"], [[], []]]]}, "unlike lengths, or empty"),
    "empty": ({"constants": [["A", ["M", "M"], []]]}, "must be a vector or a matrix"),
    "three axes": ({"constants": [["A", ["M", "M", "M"], [1]]]}, "must be a vector or a matrix"),
    "no letter": ({"constants": [["A", ["M", "m"], [[1, 2], [3, 4]]]]}, "must be a vector or a matrix"),
    "no name": ({"constants": [["%A", ["M", "M"], [[1, 2], [3, 4]]]]}, "must be a vector or a matrix"),
    "oblong": ({"constants": [["A", ["M", "M"], [[1, 2]]]]}, "the size M is 1 elsewhere and 2 here"),
    "named as a state": ({"constants": [["h", ["M"], [1, 2]]]}, "must differ from each other and from other names"),
    "named as a parameter": ({"constants": [["W", ["M"], [1, 2]]]}, "must differ from each other and from other names"),
    "none": ({"constants": []}, "there is no matrix 'A'"),
    "blocks of two sizes": ({"parameters": [["U", "U", "blocks", ["M", "S"]]]}, "a blocks has 3 sizes"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_refused(change, message):
    with pytest.raises(EquationError, match=message):
        Graph.from_json(base() | copy.deepcopy(change))


@pytest.mark.parametrize(("by", "message"), [(0.5, "a whole number"), (1e12, "a whole number"), ("1", "finite number")])
def test_shifts_are_by_whole_numbers(by, message):
    data = base()
    next(node for node in data["nodes"] if node["op"] == "constant")["value"] = by
    with pytest.raises(EquationError, match=message):
        Graph.from_json(data)


def test_units_of_a_scalar_are_refused():
    data = base()
    node = next(node for node in data["nodes"] if node["op"] == "sum")
    node["args"] = [next(k for k, n in enumerate(data["nodes"]) if n.get("value") == "s")]
    with pytest.raises(EquationError, match="it is over the units of a vector, and takes a scalar"):
        Graph.from_json(data)


def test_constants_that_are_never_used():
    data = base()
    data["constants"].append(["q", ["M"], [1.0, 2.0]])
    with pytest.raises(EquationError, match="the parameter q is never used"):
        Graph.from_json(data)
