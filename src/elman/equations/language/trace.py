"""Calls a cell's function once with symbols, and makes a graph of what it wrote down."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import cast

from elman.equations.graph import PRODUCTS, SCALAR, Graph, Node, Parameter, live, only
from elman.equations.graph.check import check
from elman.equations.language.signature import Signature
from elman.equations.language.symbols import Arithmetic, Symbol, Weight
from elman.equations.language.tracer import ACTIVE, Tracer
from elman.errors import EquationError


def trace(signature: Signature, options: Mapping[str, float]) -> Graph:
    """The graph of a cell with these options. Raises EquationError for what is no equation of one step."""
    tracer = Tracer(signature.name, signature.code, _scalars(signature, options))
    results = _run(tracer, signature, options)
    tracer.take_names((name, Symbol(tracer, node)) for name, node in results.items())
    nodes, results = _tidy(tracer, results)
    graph = Graph(
        signature.name, signature.inputs, signature.states, signature.output,
        _parameters(tracer, signature, nodes), nodes, results,
    )  # fmt: skip
    check(graph)
    return graph


def _scalars(signature: Signature, options: Mapping[str, float]) -> frozenset[tuple[str, int]]:
    """The axes of parameters that a scalar state is made of: (name, axis).

    They are found beforehand, on a draft, because a parameter that meets a vector first would be taken for a vector.
    """
    scalars = [port.name for port in signature.states if port.size == SCALAR]
    if not scalars:
        return frozenset()
    draft = Tracer(signature.name, signature.code, draft=True)
    results = _run(draft, signature, options)
    found: set[tuple[str, int]] = set()
    seen: set[int] = set()
    stack = [results[name] for name in scalars]
    while stack:
        index = stack.pop()
        node = draft.builder.nodes[index]
        if node.op == "vector" or node.op in PRODUCTS:
            found.add((str(node.value), int(node.op == "product_t")))
        elif index not in seen:
            seen.add(index)
            stack += (node.args[cast(tuple[int, float], node.value)[0]],) if node.op == "layer_norm" else node.args
    return frozenset(found)


def _run(tracer: Tracer, signature: Signature, options: Mapping[str, float]) -> dict[str, int]:
    """Call the function; the nodes of what it returns."""
    arguments: list[Symbol | Weight] = []
    for op, ports in (("input", signature.inputs), ("state", signature.states)):
        arguments += [Symbol(tracer, tracer.builder.add(op, value=p.name, size=p.size)) for p in ports]
    arguments += [Weight(tracer, group) for group in signature.groups]
    return _results(tracer, signature, _call(tracer, signature, arguments, options))


def _call(
    tracer: Tracer, signature: Signature, arguments: Iterable[Arithmetic], options: Mapping[str, float]
) -> object:
    """What the function returns; whatever it raises becomes an EquationError that names the line."""
    token = ACTIVE.set(tracer)
    try:
        return signature.function(*arguments, **options)
    except EquationError:
        raise
    except Exception as error:  # whatever Python has against the function
        tracer.refuse(
            f"{type(error).__name__}: {error}",
            "an equation is made of inputs, states, parameters, numbers, + - * / @ and elman's functions",
            _last_line(error.__traceback__, tracer),
        )
    finally:
        ACTIVE.reset(token)


def _last_line(traceback: TracebackType | None, tracer: Tracer) -> int | None:
    line = None
    while traceback:
        if traceback.tb_frame.f_code is tracer.code:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _return_line(tracer: Tracer) -> int | None:
    """The line of the function's last return."""
    lines = [
        instruction.positions.lineno
        for instruction in dis.get_instructions(tracer.code)
        if instruction.opname.startswith("RETURN_") and instruction.positions
    ]
    return lines[-1] if lines else None


def _results(tracer: Tracer, signature: Signature, returned: object) -> dict[str, int]:
    """The node of each returned value, by its name."""
    line, names = _return_line(tracer), signature.returned
    values = returned if isinstance(returned, tuple) else (returned,)
    wanted = f"return {', '.join(names)}"
    if returned is None or len(values) != len(names):
        came = "nothing" if returned is None else f"{len(values)} value{'s' * (len(values) > 1)}"
        tracer.refuse(f"{came} returned, {len(names)} expected", f"end with {wanted}", line)
    results = {}
    for name, value in zip(names, values, strict=True):
        if isinstance(value, Symbol) and value._tracer is not tracer:
            tracer.refuse(f"{name} is returned as a symbol of another cell", "use only this cell's own arguments", line)
        if not isinstance(value, Symbol):
            kind = f"the parameter {value}" if isinstance(value, Weight) else f"a {type(value).__name__}"
            tracer.refuse(
                f"{name} is returned as {kind}", f"{wanted}, one after another, each computed in the equations", line
            )
        results[name] = value._index
    if not tracer.draft:
        _match_states(tracer, signature, results)
    return results


def _match_states(tracer: Tracer, signature: Signature, results: Mapping[str, int]) -> None:
    """Refuse a next state of another size."""
    for port in signature.states:
        size = tracer.builder.size(results[port.name])
        try:
            tracer.builder.unify(size, port.size)
        except EquationError:
            tracer.refuse(
                f"the state {port.name} has size {port.size} and is returned with size {size}",
                f'declare it in states="{port.name}:{size}", or bring it to size {port.size} by a matrix',
                _return_line(tracer),
            )


def _tidy(tracer: Tracer, results: dict[str, int]) -> tuple[tuple[Node, ...], dict[str, int]]:
    """The nodes with their names and lines, without those that lead to no result."""
    nodes = [
        replace(node, name=tracer.names[index], line=tracer.lines.get(index)) if index in tracer.names else node
        for index, node in enumerate(tracer.builder.finish())
    ]
    used = live(nodes, results.values())
    kept, places = only(nodes, [used[i] or node.op in ("input", "state") for i, node in enumerate(nodes)])
    return kept, {name: places[node] for name, node in results.items()}


def _parameters(tracer: Tracer, signature: Signature, nodes: tuple[Node, ...]) -> tuple[Parameter, ...]:
    """The parameters, group by group, members in the order of first use."""
    named = {str(node.value) for node in nodes if node.op == "vector" or node.op in PRODUCTS}
    found = []
    for group in signature.groups:
        members = [name for name in tracer.used if name.partition(".")[0] == group]
        if not members:
            tracer.refuse(f"the parameter group {group} is never used", "use it, or take it out of the signature")
        for name in members:
            use = tracer.used[name]
            if name not in named:
                tracer.refuse(
                    f"{name} is used for nothing that is returned", "use its value, or leave it out", use.line
                )
            shape = tuple(tracer.builder.settle(size) for size in use.sizes)
            found.append(Parameter(name, group, "matrix" if use.kind == "matrix" else "vector", shape))
    return tuple(found)
