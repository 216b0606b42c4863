"""The decorator `@cell`: a function of symbols becomes a frozen cell."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from elman.equations.graph import Graph
from elman.equations.language.declarations import Said
from elman.equations.language.numbers import option
from elman.equations.language.signature import Signature
from elman.equations.language.trace import trace
from elman.errors import EquationError


@dataclass(frozen=True)
class Cell:
    """A recurrence: its equations as a graph, its text, and the options that it was traced with.

    Two cells are equal where their graphs mean the same. `with_options` traces the equations again with other
    hyper-parameters. A cell that is pickled, or read from a file, is its graph: its options are settled.
    """

    name: str
    graph: Graph
    doc: str
    options: Mapping[str, float]
    _trace: Callable[[Mapping[str, float]], Graph]

    def with_options(self, **options: float) -> Cell:
        """The same equations with other hyper-parameters.

        Raises EquationError for an unknown option, one that is no finite number, or a cell that has come without its
        function.
        """
        for name, value in options.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise EquationError(f"{self.name}: unknown option {name!r}; known: {known}")
            if option(value) is None:
                raise EquationError(f"{self.name}: the option {name} must be a finite number, got {value!r:.40}")
        merged = {**self.options, **{name: cast(float, option(value)) for name, value in options.items()}}
        return Cell(self.name, self._trace(merged), self.doc, merged, self._trace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.graph.hash == other.graph.hash

    def __hash__(self) -> int:
        return hash(self.graph)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value:g}" for name, value in self.options.items())
        return f"<cell {self.name}{options}: states {', '.join(p.name for p in self.graph.states)}>"

    def __copy__(self) -> Cell:
        return self

    def __deepcopy__(self, memo: object) -> Cell:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return from_graph, (self.graph, self.doc, dict(self.options))


def from_graph(graph: Graph, doc: str = "", options: Mapping[str, float] | None = None) -> Cell:
    """A cell whose equations come from a file or another process; `options` say what they were traced with."""
    settled = dict(options or {})

    def retrace(wanted: Mapping[str, float]) -> Graph:
        if wanted != settled:
            raise EquationError(
                f"{graph.name}: its options are settled, because its graph has come without its function; "
                "set them where the cell is defined"
            )
        return graph

    return Cell(graph.name, graph, doc, settled, retrace)


def cell(
    *misplaced: object,
    states: str | Sequence[str] = "",
    inputs: str | Sequence[str] = "x",
    parameters: str | Sequence[str] = "",
    output: str | None = None,
    start: Mapping[str, float] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], Cell]:
    """Make a cell of a function that states one step of a recurrence.

    `states` and `inputs` name the values, each with a size letter where it is not the usual one: `"h:P c"`, `"x dt:1"`
    (inputs are D, states H; "1" is a scalar that spreads over the units, and so is what a scalar state is made of).
    `parameters` does the same for parameters whose sizes do not follow from use: `"W.down:R"` makes R values of its
    source, `"zeta:1"` is a scalar, and `"U:R,H"` gives a matrix's rows and columns. `constants` gives arrays that are
    never learned, by name. The function takes the inputs, then the states, then parameter groups and constants, in this
    order, and keyword hyper-parameters with defaults. It returns the next states in order, and the output last where
    that is no state. `output` is the first state by default (`"y:P"` with a size of its own); `start` gives states that
    do not begin at 0.

    Raises EquationError for whatever cannot be an equation of one step, with the line and the cure.
    """
    if misplaced:
        name = getattr(misplaced[0], "__name__", repr(misplaced[0]))
        raise EquationError(f'{name}: @cell is used without its states; write @cell(states="h") above the function')

    def decorate(function: Callable[..., Any]) -> Cell:
        said = Said(inputs, states, parameters, output, start, constants)
        signature = Signature.of(function, said)

        def retrace(options: Mapping[str, float]) -> Graph:
            return trace(signature, options)

        options = dict(signature.options)
        return Cell(signature.name, retrace(options), inspect.getdoc(function) or "", options, retrace)

    return decorate
