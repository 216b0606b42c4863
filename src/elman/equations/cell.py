"""The decorator `@cell`: a function of symbols becomes a frozen cell."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from elman.equations.graph import SCALAR, Graph, Parameter, Port
from elman.equations.symbols import Symbol, Tracer, Weight, scalar_size
from elman.errors import EquationError


@dataclass(frozen=True)
class Cell:
    """A recurrence: its equations as a graph, its text, and the options that it was traced with.

    Two cells are equal where their graphs are. `with_options` traces the equations again with other hyper-parameters.
    """

    name: str
    graph: Graph
    doc: str
    options: Mapping[str, float]
    _trace: Callable[[Mapping[str, float]], Graph]

    def with_options(self, **options: float) -> Cell:
        """The same equations with other hyper-parameters. Raises EquationError for an unknown one."""
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise EquationError(f"{self.name}: unknown option {unknown[0]!r}; known: {', '.join(self.options) or 'none'}")
        merged = {**self.options, **options}
        return Cell(self.name, self._trace(merged), self.doc, merged, self._trace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.graph.hash == other.graph.hash

    def __hash__(self) -> int:
        return hash(self.graph.hash)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value:g}" for name, value in self.options.items())
        return f"<cell {self.name}{options}: states {', '.join(p.name for p in self.graph.states)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return from_graph, (self.graph, self.doc)


def from_graph(graph: Graph, doc: str = "") -> Cell:
    """A cell whose equations come from a file; its options are settled."""

    def settled(_: Mapping[str, float]) -> Graph:
        return graph

    return Cell(graph.name, graph, doc, {}, settled)


def cell(
    *, states: str, inputs: str = "x", output: str | None = None, start: Mapping[str, float] | None = None
) -> Callable[[Callable[..., Any]], Cell]:
    """Make a cell of a function that states one step of a recurrence.

    `states` and `inputs` name the values, each with a size letter where it is not the usual one: `"h:P c"`, `"x dt:1"`
    (inputs are D, states H; "1" is a scalar that spreads over the units). The function takes the inputs, then the states, then
    parameter groups, in this order, and keyword hyper-parameters with defaults. It returns the next states in order, and the
    output last where that is no state. `output` is the first state by default; `start` gives states that do not begin at 0.

    Raises EquationError for whatever cannot be an equation of one step, with the line and the cure.
    """

    def decorate(function: Callable[..., Any]) -> Cell:
        signature = _Signature(function, inputs, states, output, dict(start or {}))
        options = dict(signature.options)
        return Cell(function.__name__, signature.trace(options), inspect.getdoc(function) or "", options, signature.trace)

    return decorate


class _Signature:
    """A cell's function with what its decorator says of it, checked."""

    def __init__(
        self, function: Callable[..., Any], inputs: str, states: str, output: str | None, start: dict[str, float]
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.inputs = self._ports(inputs, "D", {})
        self.states = self._ports(states, "H", start)
        self.output = output or (self.states[0].name if self.states else "")
        self.groups: list[str] = []
        self.options: dict[str, float] = {}
        self._read_arguments([p.name for p in self.inputs + self.states])
        for name in start:
            if name not in [p.name for p in self.states]:
                self._refuse(f"start names {name!r}, which is no state", f"states are {states}")

    def _refuse(self, problem: str, cure: str) -> NoReturn:
        raise EquationError(f"{self.name}: {problem}; {cure}")

    def _ports(self, text: str, letter: str, start: Mapping[str, float]) -> tuple[Port, ...]:
        ports = []
        for word in text.replace(",", " ").split():
            name, _, size = word.partition(":")
            if not name.isidentifier():
                self._refuse(f"{word!r} is no name", 'write names with optional sizes, as in "x dt:1"')
            ports.append(Port(name, scalar_size(size or letter), float(start.get(name, 0.0))))
        if not ports:
            self._refuse("inputs and states must each name one value at least", 'write states="h"')
        return tuple(ports)

    def _read_arguments(self, leading: list[str]) -> None:
        names = []
        for argument in inspect.signature(self.function).parameters.values():
            if argument.kind is argument.KEYWORD_ONLY:
                if argument.default is argument.empty:
                    self._refuse(f"the option {argument.name} has no default", f"write *, {argument.name}=1.0")
                self.options[argument.name] = float(argument.default)
            elif argument.kind is argument.POSITIONAL_OR_KEYWORD and argument.default is argument.empty:
                names.append(argument.name)
            else:
                self._refuse(f"the argument {argument.name} is not plain", "options stand behind a *, with a default")
        if names[: len(leading)] != leading:
            self._refuse(
                f"the arguments must begin with {', '.join(leading)} and are {', '.join(names)}",
                "inputs come first, then states, then parameter groups",
            )
        self.groups = names[len(leading) :]
        for instruction in dis.get_instructions(self.function):
            stored = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
            shadowed = [name for name in stored if name in self.groups] if "STORE_FAST" in instruction.opname else []
            if shadowed:
                line = instruction.positions.lineno if instruction.positions else None
                Tracer(self.name, self.function.__code__).refuse(
                    f"the local {shadowed[0]} hides the parameter group {shadowed[0]}", "give it another name", line
                )

    def trace(self, options: Mapping[str, float]) -> Graph:
        """Run the function once on symbols."""
        tracer = Tracer(self.name, self.function.__code__)
        arguments: list[Symbol | Weight] = []
        for op, ports in (("input", self.inputs), ("state", self.states)):
            arguments += [Symbol(tracer, tracer.builder.add(op, value=p.name, size=p.size)) for p in ports]
        arguments += [Weight(tracer, group) for group in self.groups]
        returned = self.function(*arguments, **options)
        results = self._results(tracer, returned)
        parameters = self._parameters(tracer)
        tracer.take_names((name, Symbol(tracer, node)) for name, node in results.items())
        nodes = list(tracer.builder.finish())
        for index, (name, line) in tracer.names.items():
            node = nodes[index]
            nodes[index] = type(node)(node.op, node.args, node.value, node.size, name, line)
        return Graph(self.name, self.inputs, self.states, self.output, parameters, tuple(nodes), results)

    def _results(self, tracer: Tracer, returned: object) -> dict[str, int]:
        values = returned if isinstance(returned, tuple) else (returned,)
        names = [p.name for p in self.states] + ([] if self._shows_state() else [self.output])
        if len(values) != len(names):
            self._refuse(f"the function must return {', '.join(names)} and returns {len(values)} values", "see its last line")
        results = {}
        for name, value in zip(names, values, strict=True):
            if not isinstance(value, Symbol) or value._tracer is not tracer:
                self._refuse(f"{name} is returned as {type(value).__name__}", "return a value computed in the equations")
            results[name] = value._index
        for port in self.states:
            size = tracer.builder.size(results[port.name])
            try:
                tracer.builder.unify(size, port.size)
            except EquationError:
                self._refuse(f"the state {port.name} has size {port.size} and is returned with size {size}", "make them equal")
        return results

    def _shows_state(self) -> bool:
        return self.output in [p.name for p in self.states]

    def _parameters(self, tracer: Tracer) -> tuple[Parameter, ...]:
        found = []
        for group in self.groups:
            members = [name for name in tracer.used if name.partition(".")[0] == group]
            if not members:
                self._refuse(f"the parameter group {group} is never used", "use it, or take it out of the signature")
            if group in members and len(members) > 1:
                self._refuse(f"{group} is used whole and by member ({members[1]})", "give the whole matrix a member name too")
            for name in members:
                kind, variables, _ = tracer.used[name]
                sizes = (tracer.builder.resolve(size) for size in variables)
                shape = tuple("H" if size.startswith("?") else size for size in sizes)
                found.append(Parameter(name, group, "matrix" if kind == "matrix" else "vector", shape))
        if any(size == SCALAR for p in found if p.kind == "matrix" for size in p.shape[:1]):
            self._refuse("a matrix makes a scalar", "name its size with a letter of its own")
        return tuple(found)
