"""A file may bring anything: what is no graph is refused with EquationError, and nothing else ever comes out."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman import cells
from elman.emit import emit
from elman.equations import EquationError, Graph
from tests.equations.random_cells import MANY, arrays, source
from tests.equations.sources import make

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(("", "x", "h", "W", "H", "1", "add", "W.m0")),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=2),
    max_leaves=4,
)  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside JSON data, the whole included."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [path, *(place for key in keys for place in places(data[key], (*path, key)))]


def parent(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def reads_or_refuses(data: Any) -> None:
    """A graph that comes out works: its hash, its letters, another trip through JSON, its programs, and one step."""
    try:
        graph = Graph.from_json(data)
    except EquationError:
        return
    assert Graph.from_json(json.loads(json.dumps(graph.to_json(), allow_nan=False))) == graph
    emit(graph)
    arrays(graph, 0, sizes=dict.fromkeys(graph.letters, 2))


@MANY
@given(st.sampled_from([f"random {seed}" for seed in range(20)] + list(cells.names())), st.data(), JSON)
def test_any_value_altered_or_deleted(name, random, value):
    graph = make(source(int(name.split()[1]))).graph if name.startswith("random") else cells.get(name).graph
    data = graph.to_json()
    path = random.draw(st.sampled_from(places(data)[1:]))
    action = random.draw(st.sampled_from(("replace", "near", "delete", "repeat", "rename")))
    holder, key = parent(data, path), path[-1]
    if action == "replace":
        holder[key] = value
    elif action == "near":  # another value of the same kind, taken from the same graph
        alike = [p for p in places(data)[1:] if type(parent(data, p)[p[-1]]) is type(holder[key])]
        other = random.draw(st.sampled_from(alike))
        holder[key] = copy.deepcopy(parent(data, other)[other[-1]])
    elif action == "delete":
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(random.draw(st.integers(0, len(holder))), copy.deepcopy(holder[key]))
    elif action == "rename":
        holder[random.draw(st.text(max_size=3))] = holder.pop(key)
    reads_or_refuses(data)


@given(JSON)
def test_anything_at_all(data):
    reads_or_refuses(data)


def nested(depth: int) -> list[Any]:
    data: list[Any] = []
    for _ in range(depth):
        data = [data]
    return data


@pytest.mark.parametrize(
    "value",
    [nested(100_000), 10**5000, -(10**5000), [0] * 100_000, "x" * 100_000],
    ids=["deep", "huge", "hugely negative", "wide", "long"],
)
def test_values_without_bounds(value):
    """Deep, huge and long values, wherever one can stand: refused in few words, if they are not a name or a line."""
    for path in places(base())[1:]:
        data = base()
        parent(data, path)[path[-1]] = value
        if path[-1] == "name" and isinstance(value, str):  # any text may be the name of a cell or a node
            assert Graph.from_json(data).to_json() == data
            continue
        with pytest.raises(EquationError) as caught:
            Graph.from_json(data)
        assert len(str(caught.value)) < 1000


def grown(data: dict[str, Any], choose: Any, count: int) -> dict[str, Any]:
    """The graph with `count` more nodes, each of others chosen; the first state becomes a sum with the last of them."""
    nodes, name = data["nodes"], data["states"][0][0]
    for _ in range(count):
        alike = [k for k, node in enumerate(nodes) if node["size"] == data["states"][0][1] and node["op"] != "constant"]
        op = choose(("add", "sub", "mul", "div", "maximum", "tanh", "exp", "neg", "layer_norm"))
        args = [choose(alike[-12:]) for _ in range(1 if op in ("tanh", "exp", "neg", "layer_norm") else 2)]
        value = {"value": [0, 0.1]} if op == "layer_norm" else {}
        nodes.append({"op": op, "args": args, "size": data["states"][0][1], **value})
    nodes.append({"op": "add", "args": [data["results"][name], len(nodes) - 1], "size": data["states"][0][1]})
    data["results"][name] = len(nodes) - 1
    return data


@given(st.sampled_from(cells.names()), st.randoms(use_true_random=False))
def test_grown_graphs(name, random):
    """Most are refused, because a node leads to no result or stands twice; the others have programs."""
    reads_or_refuses(grown(cells.get(name).graph.to_json(), random.choice, random.choice((1, 2, 3, 30))))


def base() -> dict[str, Any]:
    """Nodes: 0 x, 1 h, 2 s, 3 W.i @ x, 4 b, 5 W.i @ x + b, 6 tanh, 7 layer_norm, 8 0.5, 9 s * 0.5, 10 h * s."""
    return make(
        """
        @cell(inputs="x", states="h s:1", output="y")
        def step(x, h, s, W, b):
            h_ = layer_norm(tanh(W.i @ x + b))
            return h_, s * 0.5, h * s
        """
    ).graph.to_json()


def test_the_base_is_as_it_says():
    ops = [node["op"] for node in base()["nodes"]]
    assert ops == [
        "input",
        "state",
        "state",
        "product",
        "vector",
        "add",
        "tanh",
        "layer_norm",
        "constant",
        "mul",
        "mul",
    ]
    assert base()["results"] == {"h": 7, "s": 9, "y": 10}


NODES: dict[str, tuple[int, dict[str, Any], str]] = {
    "unknown operation": (6, {"op": "gelu"}, r"node 6 \(gelu\): unknown operation"),
    "operation of lowered graphs": (6, {"op": "largest"}, "unknown operation"),
    "spread": (9, {"op": "spread"}, "unknown operation"),
    "count": (8, {"op": "count", "value": None}, "unknown operation"),
    "adjoint": (0, {"op": "adjoint", "value": None}, "unknown operation"),
    "too few arguments": (5, {"args": [3]}, "2 earlier nodes are its arguments"),
    "too many arguments": (6, {"args": [5, 5]}, "1 earlier nodes"),
    "leaf with an argument": (4, {"args": [3]}, "0 earlier nodes"),
    "nothing normalised": (7, {"args": []}, "1 earlier nodes"),
    "argument behind": (5, {"args": [3, 6]}, "earlier nodes are its arguments"),
    "argument itself": (6, {"args": [6]}, "earlier nodes are its arguments"),
    "negative argument": (6, {"args": [-1]}, "earlier nodes are its arguments"),
    "argument true": (6, {"args": [True]}, "an argument must be a whole number"),
    "argument 5.0": (6, {"args": [5.0]}, "an argument must be a whole number"),
    "arguments a text": (6, {"args": "5"}, "args must be a list"),
    "value of an operation": (6, {"value": 1}, "value must be absent"),
    "leaf without value": (4, {"value": None}, "value must be a text"),
    "unknown input": (0, {"value": "z"}, "there is no input 'z'"),
    "state as input": (0, {"value": "h"}, "there is no input 'h'"),
    "input as state": (1, {"value": "x"}, "there is no state 'x'"),
    "matrix as vector": (4, {"value": "W.i"}, "there is no vector 'W.i'"),
    "vector as matrix": (3, {"value": "b"}, "there is no matrix 'b'"),
    "unknown matrix": (3, {"value": "U"}, "there is no matrix 'U'"),
    "product of another size": (3, {"args": [1]}, "W.i takes size D, got H"),
    "transposed product": (3, {"op": "product_t"}, "W.i takes size H, got D"),
    "sizes that meet": (5, {"args": [0, 4]}, "its|sizes D, H meet"),
    "size of a leaf": (0, {"size": "H"}, "its size is D, got 'H'"),
    "size of an operation": (6, {"size": "D"}, "its size is H, got 'D'"),
    "size of a scalar": (9, {"size": "H"}, "its size is 1, got 'H'"),
    "no size": (6, {"size": None}, "size must be a text"),
    "endless number": (8, {"value": math.inf}, "value must be a finite number"),
    "no number": (8, {"value": math.nan}, "value must be a finite number"),
    "text as number": (8, {"value": "0.5"}, "value must be a finite number"),
    "number beyond float32": (8, {"value": 1e39}, "value must be a finite number that float32 holds"),
    "huge number": (8, {"value": 10**400}, "value must be a finite number"),
    "true as number": (8, {"value": True}, "value must be a finite number"),
    "norm without eps": (7, {"value": [0]}, "value must be a list of 2"),
    "norm of another vector": (7, {"value": [1, 1e-5]}, "the place of one of its vectors and a positive eps"),
    "norm of no vector": (7, {"value": [-1, 1e-5]}, "the place of one of its vectors and a positive eps"),
    "negative eps": (7, {"value": [0, -1e-5]}, "the place of one of its vectors and a positive eps"),
    "no eps": (7, {"value": [0, 0]}, "the place of one of its vectors and a positive eps"),
    "twice": (10, {"args": [2, 8], "size": "1"}, "stands twice"),
    "numbers alone": (9, {"args": [8, 8]}, "numbers alone"),
    "dead node": (7, {"args": [4]}, "leads to no result"),
    "name of a node": (6, {"name": 3}, "name must be a text"),
    "line of a node": (6, {"line": "3"}, "line must be a whole number"),
    "unknown field": (6, {"extra": 3}, "unknown field 'extra'"),
}


@pytest.mark.parametrize(("index", "change", "message"), NODES.values(), ids=NODES)
def test_bad_nodes(index, change, message):
    data = base()
    data["nodes"][index] |= change
    with pytest.raises(EquationError, match=message):
        Graph.from_json(data)


FIELDS: dict[str, tuple[str, Any, str]] = {
    "format": ("format", 2, "reads format 1, got 2; written by a later version"),
    "name": ("name", "two words", "'two words' is no name for a cell"),
    "reserved name": ("name", "T", "'T' is no name"),
    "number as name": ("name", 3, "the name must be a text"),
    "no inputs": ("inputs", [], "one input and one state are needed"),
    "input with a start": ("inputs", [["x", "D", 0.0]], r"an input \[name, size\] must be a list of 2"),
    "input without a size": ("inputs", [["x"]], "must be a list of 2"),
    "bad letter": ("inputs", [["x", "d"]], "needs an identifier, a capital letter"),
    "bad port": ("inputs", [["x y", "D"]], "needs an identifier"),
    "reserved port": ("inputs", [["T", "D"]], "needs an identifier"),
    "endless start": ("states", [["h", "H", math.inf], ["s", "1", 0.0]], "a state's start must be a finite number"),
    "text as start": ("states", [["h", "H", "0"], ["s", "1", 0.0]], "a state's start must be a finite number"),
    "size of a state": ("states", [["h", "D", 0.0], ["s", "1", 0.0]], "its size is D, got 'H'"),
    "state like an input": ("inputs", [["x", "D"], ["h", "H"]], "names that differ"),
    "unknown output": ("output", "z", "results must be h, s, z"),
    "output is an input": ("output", "x", "results must be h, s, x"),
    "results short": ("results", {"h": 7, "y": 10}, "results must be h, s, y"),
    "results long": ("results", {"h": 7, "s": 9, "y": 10, "z": 1}, "results must be h, s, y"),
    "result behind": ("results", {"h": 7, "s": 9, "y": 11}, "results must be a node"),
    "result before": ("results", {"h": 7, "s": 9, "y": -1}, "results must be a node"),
    "result of another size": ("results", {"h": 9, "s": 7, "y": 10}, "the state h has size H and becomes"),
    "result is a number": ("results", {"h": 7, "s": 8, "y": 10}, "s becomes a constant as it is"),
    "result is a parameter": ("results", {"h": 4, "s": 9, "y": 10}, "h becomes a vector as it is"),
    "results a list": ("results", [7, 9, 10], "must be a JSON object"),
    "nodes an object": ("nodes", {}, "nodes must be a list"),
    "nodes of numbers": ("nodes", [1, 2], "node 0 must be a JSON object"),
    "no nodes": ("nodes", [], "results must be a node"),
    "parameter gone": ("parameters", [["W.i", "W", "matrix", ["H", "D"]]], "there is no vector 'b'"),
    "group like a state": ("parameters", [["h", "h", "matrix", ["H", "D"]]], "must differ"),
}  # fmt: skip


@pytest.mark.parametrize(("field", "value", "message"), FIELDS.values(), ids=FIELDS)
def test_bad_fields(field, value, message):
    with pytest.raises(EquationError, match=message):
        Graph.from_json({**base(), field: value})


@pytest.mark.parametrize(
    ("index", "parameter", "message"),
    [
        (0, ["W.i", "W", "matrix", ["D", "H"]], "W.i takes size H, got D"),
        (0, ["W.i", "W", "tensor", ["H", "D"]], "a matrix, a vector or blocks"),
        (0, ["W.i", "V", "matrix", ["H", "D"]], "must be named 'V'"),
        (0, ["W.i", "W", "matrix", ["H"]], "a matrix has 2 sizes"),
        (0, ["W.i", "W", "matrix", ["H", "d"]], "a matrix has 2 sizes"),
        (1, ["b", "b", "vector", ["H", "D"]], "a vector has 1 size,"),
        (1, ["b", "b", "vector", "H"], "shape must be a list"),
        (1, ["b", "b", "vector", ["1"]], "its size is 1, got 'H'"),
    ],
)
def test_changed_parameters(index, parameter, message):
    data = base()
    data["parameters"][index] = parameter
    with pytest.raises(EquationError, match=message):
        Graph.from_json(data)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["W.j", "W", "matrix", ["H", "D"]], "the groups W, b, W must differ"),
        (["b", "b", "vector", ["H"]], "used whole and by member|called the same"),
        (["b.i", "b", "vector", ["H"]], "used whole and by member"),
        (["W_i", "W_i", "vector", ["H"]], "alike but for a dot and a _"),
        (["q", "q", "vector", ["H"]], "the parameter q is never used"),
        (["q.T", "q", "vector", ["H"]], "must be named 'q'"),
        (["%M0", "%M0", "vector", ["H"]], "must be named"),
    ],
)
def test_added_parameters(extra, message):
    data = base()
    data["parameters"].append(extra)
    with pytest.raises(EquationError, match=message):
        Graph.from_json(data)


def test_fields_must_be_known_and_whole():
    for data in ({**base(), "extra": 1}, {k: v for k, v in base().items() if k != "nodes"}):
        with pytest.raises(EquationError, match="the fields must be format, inputs"):
            Graph.from_json(data)
