"""The functions that a cell's equations are written with, beside + - * / and @."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman.equations.graph import SCALAR
from elman.equations.graph.operations import MOST_SHIFT
from elman.equations.language.numbers import finite
from elman.equations.language.symbols import BlockDiagonal, Operand, ParameterSymbol, Symbol, apply, operand, symbols_in
from elman.equations.language.tracer import ACTIVE, Tracer
from elman.errors import EquationError


def _tracer_of(op: str, operands: Sequence[object]) -> Tracer:
    """The tracer that the operands belong to. Raises EquationError where none is a symbol."""
    for symbol in symbols_in(operands):
        return symbol._tracer
    kinds = ", ".join(type(value).__name__ for value in operands) or "nothing"
    problem = f"{op} is for the symbols of a cell's equations and got {kinds}"
    if tracer := ACTIVE.get():
        tracer.refuse(problem, "with numbers use Python's math, min and max")
    raise EquationError(f"{problem}; for arrays use numpy's or torch's own")


def _apply(op: str, *operands: Operand) -> Symbol:
    return apply(_tracer_of(op, operands), op, *operands)


def sigmoid(v: Operand) -> Symbol:
    """1 / (1 + exp(-v))."""
    return _apply("sigmoid", v)


def tanh(v: Operand) -> Symbol:
    """The hyperbolic tangent of v."""
    return _apply("tanh", v)


def relu(v: Operand) -> Symbol:
    """v where it is positive, else 0; its derivative at 0 is 0."""
    return _apply("relu", v)


def exp(v: Operand) -> Symbol:
    """e to the power of v."""
    return _apply("exp", v)


def log(v: Operand) -> Symbol:
    """The natural logarithm of v."""
    return _apply("log", v)


def softplus(v: Operand) -> Symbol:
    """log(1 + exp(v))."""
    return _apply("softplus", v)


def abs(v: Operand) -> Symbol:
    """The magnitude of v; its derivative at 0 is 0."""
    return _apply("abs", v)


def sqrt(v: Operand) -> Symbol:
    """The square root of v."""
    return _apply("sqrt", v)


def minimum(a: Operand, b: Operand) -> Symbol:
    """The smaller of a and b, element by element; a tie gives each half of the gradient."""
    return _apply("minimum", a, b)


def maximum(a: Operand, b: Operand) -> Symbol:
    """The larger of a and b, element by element; a tie gives each half of the gradient."""
    return _apply("maximum", a, b)


def where(condition: Operand, a: Operand, b: Operand) -> Symbol:
    """a where `condition` (a comparison such as x > 0) holds, else b."""
    return _apply("where", condition, a, b)


def sin(v: Operand) -> Symbol:
    """The sine of v."""
    return _apply("sin", v)


def cos(v: Operand) -> Symbol:
    """The cosine of v."""
    return _apply("cos", v)


def floor(v: Operand) -> Symbol:
    """The largest whole number that is not above v; its derivative is 0."""
    return _apply("floor", v)


def round(v: Operand) -> Symbol:
    """The whole number next to v, the even one of two; its derivative is 0."""
    return _apply("round", v)


def mod(a: Operand, b: Operand) -> Symbol:
    """What is left of a / b rounded down: it has the sign of b. Also written a % b."""
    return _apply("mod", a, b)


def step(v: Operand) -> Symbol:
    """1 where v > 0, else 0; its derivative is 0."""
    return _apply("greater", v, 0.0)


def straight_through(value: Operand, way: Operand) -> Symbol:
    """`value`, with a gradient that flows to `way` as if that were the value: straight-through and surrogate gradients.

    `straight_through(step(v), sigmoid(4 * v))` is a spike with the slope of a sigmoid.
    Reference: Bengio, Léonard & Courville 2013, arXiv:1308.3432.
    """
    return _apply("straight_through", value, way)


def sum(v: Operand) -> Symbol:
    """The sum over the units of v, a scalar."""
    return _over_units("sum", v)


def mean(v: Operand) -> Symbol:
    """The mean over the units of v, a scalar."""
    return _over_units("mean", v)


def dot(a: Operand, b: Operand) -> Symbol:
    """The sum over units of a * b, a scalar."""
    return _over_units("sum", _apply("mul", a, b))


def softmax(v: Operand) -> Symbol:
    """exp(v) / sum(exp(v)) over the units of v."""
    return _over_units("softmax", v)


def shift(v: Operand, by: float) -> Symbol:
    """Each unit's value from the unit `by` places before it, round the end, as numpy.roll."""
    tracer = _tracer_of("shift", [v])
    places = finite(by)
    if places is None or not places.is_integer() or not -MOST_SHIFT <= places <= MOST_SHIFT:
        tracer.refuse(f"shift is by {by!r:.40}", "give it a whole number of units, such as 1 or -1")
    return _over_units("shift", v, tracer.builder.constant(places))


def _over_units(op: str, v: Operand, *more: int) -> Symbol:
    tracer = _tracer_of(op, [v])
    index = operand(tracer, v)
    if not tracer.draft and tracer.builder.size(index) == SCALAR:
        tracer.refuse(f"{op} is over the units of a vector, and {tracer.describe(index)} is a scalar", "leave it out")
    return Symbol(tracer, tracer.node(op, index, *more))


def layer_norm(*vectors: Operand, eps: float = 1e-5) -> Any:
    """(v - mean) / sqrt(variance + eps), over the units of one vector, or of several joined.

    One vector gives one, several give a tuple. Gain and bias are the cell's own: `g.i * layer_norm(a) + b.i`.
    Reference: Ba, Kiros & Hinton 2016, arXiv:1607.06450, equation 3.
    """
    tracer = _tracer_of("layer_norm", vectors)
    small = finite(eps)
    if small is None or small <= 0:
        tracer.refuse(f"layer_norm's eps is {eps!r:.40}", "give it a small positive number, such as 1e-5")
    nodes = [operand(tracer, vector) for vector in vectors]
    if any(tracer.builder.nodes[node].op == "constant" for node in nodes):
        tracer.refuse("layer_norm is given a number", "it is over the units of vectors")
    normed = tuple(
        Symbol(tracer, tracer.node("layer_norm", *nodes, value=(index, small), size=tracer.builder.size(node)))
        for index, node in enumerate(nodes)
    )
    return normed[0] if len(normed) == 1 else normed


def block_diagonal(matrix: object) -> BlockDiagonal:
    """The block-diagonal matrix of a parameter: `block_diagonal(U) @ h` applies each block to units of its own (heads).

    The parameter holds the blocks below one another. Its sizes, rows and the columns of one block, are declared:
    parameters="U:H,S" makes H / S heads of S units each.
    """
    if not isinstance(matrix, ParameterSymbol):
        tracer = _tracer_of("block_diagonal", [matrix])
        tracer.refuse("block_diagonal is of a parameter", "write block_diagonal(U) @ h with a parameter group U")
    return BlockDiagonal(matrix._tracer, matrix._name, matrix._transposed)
