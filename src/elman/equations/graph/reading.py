"""Reads a graph from JSON values. A file may bring anything: whatever is no graph is refused with EquationError."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from elman.equations.graph import FORMAT, PRODUCTS, Constant, Graph, Kind, Node, Parameter, Port, Value
from elman.equations.graph.check import check, refuse
from elman.equations.graph.limits import LARGEST, NODES

_FIELDS = ("format", "inputs", "name", "nodes", "output", "parameters", "results", "states")
_MOST = 1 << 31  # of a line's number, an index or a place
_NODE_FIELDS = ("args", "line", "name", "op", "size", "value")


def read(data: object) -> Graph:
    """The graph that `data` (the value of `Graph.to_json`, back from JSON) describes, checked."""
    fields = _record(data, "a graph")
    if fields.get("format") != FORMAT:
        refuse(f"this version reads format {FORMAT}, got {_shown(fields.get('format'))}; written by a later version?")
    if sorted(set(fields) - {"constants"}) != list(_FIELDS):
        refuse(f"the fields must be {', '.join(_FIELDS)}, got {', '.join(sorted(fields))}")
    graph = Graph(
        name=_text(fields["name"], "the name"),
        inputs=tuple(_input(row) for row in _list(fields["inputs"], "inputs")),
        states=tuple(_state(row) for row in _list(fields["states"], "states")),
        output=_text(fields["output"], "the output"),
        parameters=tuple(_parameter(row) for row in _list(fields["parameters"], "parameters")),
        nodes=_nodes(fields["nodes"]),
        results=_results(fields["results"], fields["states"], fields["output"]),
        constants=tuple(_constant(row) for row in _list(fields.get("constants", ()), "constants")),
    )
    check(graph)
    return graph


def _shown(data: object) -> str:
    """The beginning of a value, however deep or long it is."""
    try:
        return f"{reprlib.repr(data):.60}"
    except ValueError:  # a number of more digits than Python writes
        return f"a huge {type(data).__name__}"


def _record(data: object, what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        refuse(f"{what} must be a JSON object, got {_shown(data)}")
    return data


def _list(data: object, what: str, length: int | None = None) -> Sequence[Any]:
    if not isinstance(data, (list, tuple)) or length not in (None, len(data)):
        count = "a list" if length is None else f"a list of {length}"
        refuse(f"{what} must be {count}, got {_shown(data)}")
    return data


def _text(data: object, what: str) -> str:
    if not isinstance(data, str):
        refuse(f"{what} must be a text, got {_shown(data)}")
    return data


def _whole(data: object, what: str) -> int:
    if not isinstance(data, int) or isinstance(data, bool) or abs(data) > _MOST:
        refuse(f"{what} must be a whole number, got {_shown(data)}")
    return data


def _number(data: object, what: str) -> float:
    if isinstance(data, (int, float)) and not isinstance(data, bool) and -LARGEST <= data <= LARGEST:
        return float(data)
    return refuse(f"{what} must be a finite number that float32 holds, got {_shown(data)}")


def _input(data: object) -> Port:
    name, size = _list(data, "an input [name, size]", 2)
    return Port(_text(name, "an input's name"), _text(size, "an input's size"))


def _state(data: object) -> Port:
    name, size, start = _list(data, "a state [name, size, start]", 3)
    return Port(_text(name, "a state's name"), _text(size, "a state's size"), _number(start, "a state's start"))


def _parameter(data: object) -> Parameter:
    name, group, kind, shape = _list(data, "a parameter [name, group, kind, shape]", 4)
    known: dict[object, Kind] = {"matrix": "matrix", "vector": "vector", "blocks": "blocks"}
    if not isinstance(kind, str) or kind not in known:
        refuse(f"a parameter is a matrix, a vector or blocks, got {_shown(kind)}")
    letters = tuple(_text(size, "a parameter's size") for size in _list(shape, "a parameter's shape"))
    return Parameter(_text(name, "a parameter's name"), _text(group, "a parameter's group"), known[kind], letters)


def _constant(data: object) -> Constant:
    name, shape, values = _list(data, "a constant [name, shape, values]", 3)
    letters = tuple(_text(size, "a constant's size") for size in _list(shape, "a constant's shape"))
    rows = _list(values, "a constant's values")
    if len(letters) == 2:
        numbers: Sequence[Any] = [tuple(_numbers(row)) for row in rows]
    else:
        numbers = _numbers(rows)
    return Constant(_text(name, "a constant's name"), letters, tuple(numbers))


def _numbers(data: object) -> list[float]:
    return [_number(value, "a constant's value") for value in _list(data, "a constant's row")]


def _results(data: object, states: Sequence[Sequence[Any]], output: str) -> dict[str, int]:
    """The results in the order of the states, the output behind them: JSON keeps no order."""
    found = {name: _whole(node, f"the result {name}") for name, node in _record(data, "results").items()}
    needed = list(dict.fromkeys([*(state[0] for state in states), output]))
    if set(found) != set(needed):
        refuse(f"results must be {', '.join(needed)}, got {', '.join(found)}")
    return {name: found[name] for name in needed}


def _nodes(data: object) -> tuple[Node, ...]:
    rows = _list(data, "nodes")
    if len(rows) > NODES.most:
        refuse(NODES.refusal(len(rows)))
    return tuple(_node(row, index) for index, row in enumerate(rows))


def _node(data: object, index: int) -> Node:
    what = f"node {index}"
    fields = _record(data, what)
    if unknown := sorted(set(fields) - set(_NODE_FIELDS)):
        refuse(f"{what} has the unknown field {unknown[0]!r}")
    op = _text(fields.get("op"), f"{what}: op")
    name, line = fields.get("name"), fields.get("line")
    return Node(
        op=op,
        args=tuple(_whole(arg, f"{what}: an argument") for arg in _list(fields.get("args", ()), f"{what}: args")),
        value=_value(op, fields.get("value"), f"{what} ({op}): value"),
        size=_text(fields.get("size"), f"{what}: size"),
        name=None if name is None else _text(name, f"{what}: name"),
        line=None if line is None else _whole(line, f"{what}: line"),
    )


def _value(op: str, data: object, what: str) -> Value:
    if op in PRODUCTS or op in ("input", "state", "vector"):
        return _text(data, what)
    if op == "constant":
        return _number(data, what)
    if op == "layer_norm":
        index, eps = _list(data, what, 2)
        return _whole(index, what), _number(eps, what)
    if data is not None:
        refuse(f"{what} must be absent, got {_shown(data)}")
    return None
