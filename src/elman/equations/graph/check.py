"""What every graph must be, wherever it comes from: each rule here is one that the programs made from it rely on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NoReturn

from elman.equations.graph import PRODUCTS, SCALAR, Constant, Graph, Node, Parameter, Port, is_name, is_size, live
from elman.equations.graph.limits import STAGES, excess, stages
from elman.equations.graph.operations import MOST_SHIFT, OPERATIONS, reduces
from elman.errors import EquationError

_LEAVES = ("input", "state", "vector", "constant")
# A layer norm takes one or more.
_ARITY = (
    dict.fromkeys(_LEAVES, 0)
    | dict.fromkeys(PRODUCTS, 1)
    | {row.name: row.arity for row in OPERATIONS.values() if row.written}
)
_VALUED = PRODUCTS | {*_LEAVES, "layer_norm"}


def check(graph: Graph) -> None:
    """Raise EquationError unless the graph is well formed, and no larger than `limits` allow.

    Names are identifiers and differ, every node has the arguments, the value and the size that its operation asks for,
    no node stands twice or for nothing, every parameter is used, and each state's next value has the state's size.
    """
    if not is_name(graph.name):
        refuse(f"{graph.name!r} is no name for a cell")
    if problem := excess(graph):
        refuse(problem)
    _check_ports(graph)
    taken = {p.name for p in graph.inputs + graph.states} | {graph.output}
    _check_parameters(graph.parameters, taken)
    _check_constants(graph.constants, taken | {p.group for p in graph.parameters})
    _check_nodes(graph)
    if (count := stages(graph.nodes)) > STAGES.most:
        refuse(STAGES.refusal(count))
    _check_results(graph)
    _check_use(graph)


def refuse(problem: str) -> NoReturn:
    """Raise EquationError; what stands in a file may be long."""
    raise EquationError(f"graph: {problem if len(problem) < 500 else problem[:500] + '…'}")


def _check_ports(graph: Graph) -> None:
    if not graph.inputs or not graph.states:
        refuse("one input and one state are needed at least")
    for port in graph.inputs + graph.states:
        if not is_name(port.name) or not is_size(port.size) or not math.isfinite(port.start):
            refuse(f"{port} needs an identifier, a capital letter or 1, and a finite start")
    names = [port.name for port in graph.inputs + graph.states]
    if len(set(names)) < len(names):
        refuse(f"inputs and states must have names that differ, got {', '.join(names)}")
    if any(port.start for port in graph.inputs):
        refuse("an input starts from nothing")
    if not is_name(graph.output) or graph.output in {port.name for port in graph.inputs}:
        refuse(f"the output {graph.output!r} must be a state, or a name of its own")


def _check_parameters(parameters: Sequence[Parameter], taken: set[str]) -> None:
    ranks = {"matrix": 2, "vector": 1, "blocks": 3}
    sizes = Counter(p.group for p in parameters)
    groups = [p.group for i, p in enumerate(parameters) if i == 0 or parameters[i - 1].group != p.group]
    if len(set(groups)) < len(groups) or taken & set(groups):
        refuse(f"the groups {', '.join(groups)} must differ from each other and from other names, members side by side")
    for p in parameters:
        whole, _, member = p.name.partition(".")
        if whole != p.group or not is_name(p.group) or (p.name != p.group and not is_name(member)):
            refuse(f"parameter {p.name!r} must be named {p.group!r}, or {p.group!r}, a dot and a member's name")
        if len(p.shape) != ranks.get(p.kind) or not all(map(is_size, p.shape)):
            count = {1: "1 size", 2: "2 sizes", 3: "3 sizes"}.get(ranks.get(p.kind, 0))
            refuse(f"parameter {p.name}: a {p.kind} has {count}, got {p.shape}")
        if p.name == p.group and sizes[p.group] > 1:
            refuse(f"{p.group} is used whole and by member")
    tensors = {p.name.replace(".", "_") for p in parameters}
    if len(tensors) < len(parameters):
        refuse("two parameters are called the same, or alike but for a dot and a _")


def _check_constants(constants: Sequence[Constant], taken: set[str]) -> None:
    numbers = {SCALAR: 1}
    names = {c.name for c in constants}
    if len(names) < len(constants) or names & taken:
        refuse(f"the constants {', '.join(c.name for c in constants)} must differ from each other and from other names")
    for c in constants:
        if not is_name(c.name) or len(c.shape) not in (1, 2) or not all(map(is_size, c.shape)) or not c.values:
            refuse(f"constant {c.name!r} must be a vector or a matrix with a name and a size letter for each axis")
        if c.kind == "matrix" and (not c.values[0] or len({len(row) for row in c.values}) > 1):
            refuse(f"constant {c.name}: its rows are of unlike lengths, or empty")
        for letter, length in zip(c.shape, c.lengths, strict=True):
            if numbers.setdefault(letter, length) != length:
                refuse(f"constant {c.name}: the size {letter} is {numbers[letter]} elsewhere and {length} here")


def _check_nodes(graph: Graph) -> None:
    ports = {("input", p.name): p for p in graph.inputs} | {("state", p.name): p for p in graph.states}
    parameters: dict[str, Parameter | Constant] = {p.name: p for p in graph.parameters}
    parameters |= {c.name: c for c in graph.constants}
    seen: set[tuple[object, ...]] = set()
    for index, node in enumerate(graph.nodes):
        what = f"node {index} ({node.op})"
        arity = max(1, len(node.args)) if node.op == "layer_norm" else _ARITY.get(node.op)
        if arity is None:
            refuse(f"{what}: unknown operation")
        if len(node.args) != arity or not all(0 <= arg < index for arg in node.args):
            refuse(f"{what}: {arity} earlier nodes are its arguments, got {node.args}")
        if node.value is not None and node.op not in _VALUED:
            refuse(f"{what}: has no value, got {node.value!r}")
        if node.args and all(graph.nodes[arg].op == "constant" for arg in node.args):
            refuse(f"{what}: numbers alone; write their value")
        expected = _size(graph.nodes, node, ports, parameters, what)
        if node.size != expected:
            refuse(f"{what}: its size is {expected}, got {node.size!r}")
        key = (node.op, node.args, repr(node.value))
        if key in seen:
            refuse(f"{what}: stands twice")
        seen.add(key)


def _size(
    nodes: Sequence[Node],
    node: Node,
    ports: dict[tuple[str, str], Port],
    parameters: Mapping[str, Parameter | Constant],
    what: str,
) -> str:
    """The size that a node has by what it is made from."""
    sizes = [nodes[arg].size for arg in node.args]
    if node.op in ("input", "state"):
        port = ports.get((node.op, str(node.value)))
        return port.size if port else refuse(f"{what}: there is no {node.op} {node.value!r}")
    if node.op == "vector" or node.op in PRODUCTS:
        kinds = ("vector",) if node.op == "vector" else ("matrix", "blocks")
        parameter = parameters.get(str(node.value))
        if parameter is None or parameter.kind not in kinds:
            refuse(f"{what}: there is no {kinds[0]} {node.value!r}")
        rows, *columns = parameter.shape[:2] if node.op != "product_t" else parameter.shape[1::-1]
        return rows if columns == sizes else refuse(f"{what}: {node.value} takes size {columns[0]}, got {sizes[0]}")
    if node.op == "layer_norm":
        return sizes[_norm_index(node, what)]
    if node.op == "constant" and not (isinstance(node.value, float) and math.isfinite(node.value)):
        refuse(f"{what}: a finite number is needed, got {node.value!r}")
    letters = sorted(set(sizes) - {SCALAR})
    if len(letters) > 1:
        refuse(f"{what}: sizes {', '.join(letters)} meet")
    _check_units(nodes, node, what)
    return letters[0] if letters and not reduces(node.op) else SCALAR


def _check_units(nodes: Sequence[Node], node: Node, what: str) -> None:
    """What takes several units needs a vector; a shift is by a whole number."""
    if node.op in OPERATIONS and OPERATIONS[node.op].mixes and nodes[node.args[0]].size == SCALAR:
        refuse(f"{what}: it is over the units of a vector, and takes a scalar")
    if node.op == "shift":
        by = nodes[node.args[1]].value
        if not isinstance(by, float) or not by.is_integer() or abs(by) > MOST_SHIFT:
            refuse(f"{what}: a shift is by a whole number of at most {MOST_SHIFT}")


def _norm_index(node: Node, what: str) -> int:
    value = node.value
    if isinstance(value, tuple) and len(value) == 2:
        index, eps = value
        if isinstance(index, int) and 0 <= index < len(node.args) and isinstance(eps, float) and 0 < eps < math.inf:
            return index
    return refuse(f"{what}: the place of one of its vectors and a positive eps are needed, got {value!r}")


def _check_results(graph: Graph) -> None:
    needed = list(dict.fromkeys([*(p.name for p in graph.states), graph.output]))
    if list(graph.results) != needed or not all(0 <= n < len(graph.nodes) for n in graph.results.values()):
        refuse(f"results must be a node for each of {', '.join(needed)}, got {dict(graph.results)}")
    for name, index in graph.results.items():
        if graph.nodes[index].op in ("constant", "vector"):
            refuse(f"{name} becomes a {graph.nodes[index].op} as it is, which is nothing computed in a step")
    for port in graph.states:
        size = graph.nodes[graph.results[port.name]].size
        if size != port.size:
            refuse(f"the state {port.name} has size {port.size} and becomes a value of size {size}")


def _check_use(graph: Graph) -> None:
    """Every node leads to a result, inputs and states aside, which may go unused; so does every parameter."""
    used = live(graph.nodes, graph.results.values())
    for index, node in enumerate(graph.nodes):
        if not used[index] and node.op not in ("input", "state"):
            refuse(f"node {index} ({node.op}) leads to no result")
    names = {str(node.value) for node in graph.nodes if node.op == "vector" or node.op in PRODUCTS}
    for name in [p.name for p in graph.parameters] + [c.name for c in graph.constants]:
        if name not in names:
            refuse(f"the parameter {name} is never used")
