"""Calls a cell's function once with symbols, and makes a graph of what it wrote down."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import cast

from elman.equations.graph import PRODUCTS, SCALAR, Constant, Graph, Node, Parameter, live, only
from elman.equations.graph.check import check
from elman.equations.graph.operations import reduces
from elman.equations.language.declarations import Rows
from elman.equations.language.open_sizes import name_constant_sizes, refuse_open_sizes
from elman.equations.language.signature import Signature
from elman.equations.language.symbols import Arithmetic, ParameterSymbol, Symbol
from elman.equations.language.tracer import ACTIVE, KnownSizes, Tracer, Use
from elman.equations.language.unknown import unknown
from elman.errors import EquationError


def trace(signature: Signature, options: Mapping[str, float]) -> Graph:
    """The graph of a cell with these options. Raises EquationError for what is no equation of one step."""
    known = KnownSizes(signature.sizes, constants={n: _lengths(rows) for n, rows in signature.constants.items()})
    tracer = Tracer(signature.name, signature.code, replace(known, scalars=_scalars(signature, options, known)))
    results = _run(tracer, signature, options)
    tracer.take_names((name, Symbol(tracer, node)) for name, node in results.items())
    name_constant_sizes(tracer)
    refuse_open_sizes(tracer, results.values())
    nodes, results = _tidy(tracer, results)
    graph = Graph(
        signature.name, signature.inputs, signature.states, signature.output,
        _parameters(tracer, signature, nodes), nodes, results, _constants(tracer, signature),
    )  # fmt: skip
    check(graph)
    return graph


def _lengths(rows: Rows) -> tuple[int, ...]:
    return (len(rows), len(rows[0])) if isinstance(rows[0], tuple) else (len(rows),)


def _scalars(signature: Signature, options: Mapping[str, float], known: KnownSizes) -> frozenset[tuple[str, int]]:
    """The axes of parameters that a scalar state is made of: (name, axis).

    They are found beforehand, on a draft, because a parameter that meets a vector first would be taken for a vector.
    """
    scalars = [port.name for port in signature.states if port.size == SCALAR]
    if not scalars:
        return frozenset()
    draft = Tracer(signature.name, signature.code, known, draft=True)
    results = _run(draft, signature, options)
    found: set[tuple[str, int]] = set()
    seen: set[int] = set()
    stack = [results[name] for name in scalars]
    while stack:
        index = stack.pop()
        node = draft.builder.nodes[index]
        if node.op == "vector" or node.op in PRODUCTS:
            found.add((str(node.value), int(node.op == "product_t")))
        elif index not in seen and not reduces(node.op):
            seen.add(index)
            stack += (node.args[cast(tuple[int, float], node.value)[0]],) if node.op == "layer_norm" else node.args
    return frozenset(found)


def _run(tracer: Tracer, signature: Signature, options: Mapping[str, float]) -> dict[str, int]:
    """Call the function; the nodes of what it returns."""
    arguments: list[Symbol | ParameterSymbol] = []
    for op, ports in (("input", signature.inputs), ("state", signature.states)):
        arguments += [Symbol(tracer, tracer.builder.add(op, value=p.name, size=p.size)) for p in ports]
    arguments += [ParameterSymbol(tracer, group) for group in signature.groups]
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
        tracer.refuse(*unknown(error, tracer.code.co_varnames), _last_line(error.__traceback__, tracer))
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
            kind = f"the parameter {value}" if isinstance(value, ParameterSymbol) else f"a {type(value).__name__}"
            tracer.refuse(
                f"{name} is returned as {kind}", f"{wanted}, one after another, each computed in the equations", line
            )
        results[name] = value._index
    if not tracer.draft:
        _match_sizes(tracer, signature, results)
    return results


def _match_sizes(tracer: Tracer, signature: Signature, results: Mapping[str, int]) -> None:
    """Refuse a next state, or an output, of another size than it is declared with."""
    told = {port.name: port.size for port in signature.states}
    if signature.output_size:
        told[signature.output] = signature.output_size
    for name, declared in told.items():
        size = tracer.builder.size(results[name])
        try:
            tracer.builder.unify(size, declared)
        except EquationError:
            kind = "state" if name in [port.name for port in signature.states] else "output"
            cure = f'declare it in {kind}{"s" * (kind == "state")}="{name}:{size}"'
            tracer.refuse(
                f"the {kind} {name} has size {declared} and is returned with size {size}",
                f"{cure}, or bring it to size {declared} by a matrix",
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
    _refuse_idle(tracer, signature, nodes)
    found = []
    for group in signature.groups:
        for name, use in tracer.used.items():
            if name.partition(".")[0] == group and group not in signature.constants:
                found.append(Parameter(name, group, use.kind, _settled(tracer, use)))
    return tuple(found)


def _constants(tracer: Tracer, signature: Signature) -> tuple[Constant, ...]:
    return tuple(
        Constant(name, _settled(tracer, tracer.used[name]), rows) for name, rows in signature.constants.items()
    )


def _settled(tracer: Tracer, use: Use) -> tuple[str, ...]:
    return tuple(tracer.builder.resolve(size) for size in use.sizes)


def _refuse_idle(tracer: Tracer, signature: Signature, nodes: tuple[Node, ...]) -> None:
    """Refuse parameters, constants and declared sizes that make nothing that is returned."""
    named = {str(node.value) for node in nodes if node.op == "vector" or node.op in PRODUCTS}
    for group in signature.groups:
        if not any(name.partition(".")[0] == group for name in tracer.used):
            what = "constant" if group in signature.constants else "parameter group"
            tracer.refuse(f"the {what} {group} is never used", "use it, or take it out of the signature")
    for name, use in tracer.used.items():
        if name not in named:
            tracer.refuse(f"{name} is used for nothing that is returned", "use its value, or leave it out", use.line)
    taken = {told[0] for name in tracer.used if (told := tracer.sizes.declared_for(name))}
    for name in signature.sizes:
        if name not in taken:
            tracer.refuse(f"parameters name {name}, which is never used", "use it, or leave its size out")
