"""The table of operations: what each takes, means, gives back to its operands, and is called by the kernels.

A new one is a row here and a row of code in kernels/native/isa/operations.h; loading the kernels compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from elman.equations.graph.graph import Node

Array = Any
Namespace = Any


class NodeWriter(Protocol):
    """What a derivative is written with: nodes by their indices."""

    def op(self, op: str, *args: int) -> int:
        """The node op(args)."""

    def number(self, value: float) -> int:
        """A constant."""

    def value(self, index: int) -> float:
        """What a constant is."""


Gradients = list[int | None]


def still(v: Array) -> Array:
    """The same value, through which no gradient flows."""
    return v.detach() if hasattr(v, "detach") else v


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, unit by unit; scalars spread over the units of vectors.

    `evaluate(xp, *operands)` is its meaning, `xp` numpy or torch. `derivative(tape, d, y, *operands)` gives for each
    operand its share of d = ∂loss/∂y, or None; an operation without one is lowered to others first. `written` ones may
    stand in a cell's graph, the others come from passes. A `cheap` one costs no more than a load. One that `reduces`
    makes a scalar of all units; one that `mixes` makes each unit of several. `runs_as` is what the kernels call it
    where that is not its name; they read no more operands than that operation has.
    """

    name: str
    arity: int
    evaluate: Callable[..., Array]
    derivative: Callable[..., Gradients] | None
    written: bool = True
    cheap: bool = False
    reduces: bool = False
    mixes: bool = False
    runs_as: str | None = None

    @property
    def code(self) -> str:
        """The operation of the kernels."""
        return self.runs_as or self.name


def _sigmoid(xp: Namespace, v: Array) -> Array:
    # As in softplus, exp of what is never positive, so that values far out are good to their last bits.
    positive = v >= 0
    u = xp.exp(xp.where(positive, -v, v))
    return xp.where(positive, xp.ones_like(u), u) / (1 + u)


def _softplus(xp: Namespace, v: Array) -> Array:
    # v or -v is chosen, not |v|: at 0 every derivative is right too, where relu and |v| would add their subgradients.
    positive, zero = v >= 0, xp.zeros_like(v)
    return xp.where(positive, v, zero) + xp.log1p(xp.exp(xp.where(positive, -v, v)))


def _softmax(xp: Namespace, v: Array) -> Array:
    e = xp.exp(v - still(xp.amax(v, axis=-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


def _straight_through(xp: Namespace, value: Array, way: Array) -> Array:
    finite = xp.where(xp.isfinite(way), way, xp.zeros_like(way))
    return still(value) + (finite - still(finite))


def _one_where(xp: Namespace, condition: Array, like: Array) -> Array:
    return xp.where(condition, xp.ones_like(like), xp.zeros_like(like))


def _d_mod(r: NodeWriter, d: int, y: int, a: int, b: int) -> Gradients:
    times = r.op("round", r.op("div", r.op("sub", a, y), b))  # whole but for its last bits
    return [d, r.op("neg", r.op("mul", d, times))]


def _d_shift(r: NodeWriter, d: int, y: int, a: int, by: int) -> Gradients:
    return [r.op("shift", d, r.number(-r.value(by))), None]


def _d_div(r: NodeWriter, d: int, y: int, a: int, b: int) -> Gradients:
    quotient = r.op("div", d, b)
    return [quotient, r.op("neg", r.op("mul", quotient, y))]


def _d_fnma(r: NodeWriter, d: int, y: int, a: int, b: int, c: int) -> Gradients:
    turned = r.op("neg", d)
    return [r.op("mul", turned, b), r.op("mul", turned, a), d]


def _d_fms(r: NodeWriter, d: int, y: int, a: int, b: int, c: int) -> Gradients:
    turned = r.op("neg", d)
    return [r.op("mul", d, b), r.op("mul", d, a), turned]


def _d_abs(r: NodeWriter, d: int, y: int, a: int) -> Gradients:
    zero = r.number(0)
    negative = r.op("where", r.op("greater", zero, a), r.op("neg", d), zero)
    return [r.op("where", r.op("greater", a, zero), d, negative)]


def _d_extremum(r: NodeWriter, d: int, a: int, b: int, smallest: bool) -> Gradients:
    """All to the one that is chosen; a tie gives each half."""
    zero, half = r.number(0), r.op("mul", d, r.number(0.5))
    first, second = r.op("greater", a, b), r.op("greater", b, a)
    if smallest:
        first, second = second, first
    d_a = r.op("where", first, d, r.op("where", second, zero, half))
    return [d_a, r.op("where", second, d, r.op("where", first, zero, half))]


def _d_where(r: NodeWriter, d: int, y: int, condition: int, a: int, b: int) -> Gradients:
    zero = r.number(0)
    return [None, r.op("where", condition, d, zero), r.op("where", condition, zero, d)]


_ROWS = (
    Operation("add", 2, lambda xp, a, b: a + b, lambda r, d, y, a, b: [d, d], cheap=True),
    Operation("sub", 2, lambda xp, a, b: a - b, lambda r, d, y, a, b: [d, r.op("neg", d)], cheap=True),
    Operation(
        "mul", 2, lambda xp, a, b: a * b, lambda r, d, y, a, b: [r.op("mul", d, b), r.op("mul", d, a)], cheap=True
    ),
    Operation("div", 2, lambda xp, a, b: a / b, _d_div),
    Operation("neg", 1, lambda xp, a: -a, lambda r, d, y, a: [r.op("neg", d)], cheap=True),
    Operation(
        "sigmoid", 1, _sigmoid,
        lambda r, d, y, a: [r.op("mul", d, r.op("mul", y, r.op("sub", r.number(1), y)))],
    ),
    Operation(
        "tanh", 1, lambda xp, a: xp.tanh(a),
        lambda r, d, y, a: [r.op("mul", d, r.op("sub", r.number(1), r.op("mul", y, y)))],
    ),
    Operation(
        "relu", 1, lambda xp, a: xp.where(a <= 0, xp.zeros_like(a), a),  # a NaN stays one
        lambda r, d, y, a: [r.op("where", r.op("greater", y, r.number(0)), d, r.number(0))],
    ),
    Operation("exp", 1, lambda xp, a: xp.exp(a), lambda r, d, y, a: [r.op("mul", d, y)]),
    Operation("log", 1, lambda xp, a: xp.log(a), lambda r, d, y, a: [r.op("div", d, a)]),
    Operation("softplus", 1, _softplus, lambda r, d, y, a: [r.op("mul", d, r.op("sigmoid", a))]),
    Operation("abs", 1, lambda xp, a: xp.abs(a), _d_abs),
    Operation(
        "sqrt", 1, lambda xp, a: xp.sqrt(a), lambda r, d, y, a: [r.op("div", r.op("mul", d, r.number(0.5)), y)]
    ),
    Operation("minimum", 2, lambda xp, a, b: xp.minimum(a, b), lambda r, d, y, a, b: _d_extremum(r, d, a, b, True)),
    Operation("maximum", 2, lambda xp, a, b: xp.maximum(a, b), lambda r, d, y, a, b: _d_extremum(r, d, a, b, False)),
    Operation("greater", 2, lambda xp, a, b: _one_where(xp, a > b, a), lambda r, d, y, a, b: [None, None]),
    Operation("greater_equal", 2, lambda xp, a, b: _one_where(xp, a >= b, a), lambda r, d, y, a, b: [None, None]),
    Operation("where", 3, lambda xp, c, a, b: xp.where(c != 0, a, b), _d_where),
    Operation(
        "fma", 3, lambda xp, a, b, c: a * b + c, lambda r, d, y, a, b, c: [r.op("mul", d, b), r.op("mul", d, a), d],
        written=False, cheap=True,
    ),
    Operation("fms", 3, lambda xp, a, b, c: a * b - c, _d_fms, written=False, cheap=True),
    Operation("fnma", 3, lambda xp, a, b, c: c - a * b, _d_fnma, written=False, cheap=True),
    Operation("copy", 1, lambda xp, a: a, lambda r, d, y, a: [d], written=False),
    # A scalar for every unit of a vector, of which no more than its size is taken.
    Operation(
        "spread", 2, lambda xp, a, like: xp.zeros_like(like) + a, lambda r, d, y, a, like: [d, None],
        written=False, cheap=True, runs_as="copy",
    ),
    Operation("sin", 1, lambda xp, a: xp.sin(a), lambda r, d, y, a: [r.op("mul", d, r.op("cos", a))]),
    Operation("cos", 1, lambda xp, a: xp.cos(a), lambda r, d, y, a: [r.op("neg", r.op("mul", d, r.op("sin", a)))]),
    Operation("floor", 1, lambda xp, a: xp.floor(a), lambda r, d, y, a: [None]),
    Operation("round", 1, lambda xp, a: xp.round(a), lambda r, d, y, a: [None]),
    Operation("mod", 2, lambda xp, a, b: xp.remainder(a, b), _d_mod),
    # The value of the first, and a gradient to the second as if it were the value.
    Operation("straight_through", 2, _straight_through, lambda r, d, y, a, b: [None, d], cheap=True, runs_as="copy"),
    Operation("shift", 2, lambda xp, a, by: xp.roll(a, int(by.reshape(-1)[0]), -1), _d_shift, mixes=True),
    Operation("sum", 1, lambda xp, a: a.sum(-1, keepdims=True), lambda r, d, y, a: [d], reduces=True, mixes=True),
    Operation(
        "largest", 1, lambda xp, a: xp.amax(a, axis=-1, keepdims=True), lambda r, d, y, a: [None],
        written=False, reduces=True, mixes=True,
    ),
    Operation("mean", 1, lambda xp, a: a.mean(-1, keepdims=True), None, reduces=True, mixes=True),
    Operation("softmax", 1, _softmax, None, mixes=True),
)  # fmt: skip
OPERATIONS = {row.name: row for row in _ROWS}
"""All operations by name."""
OPERANDS = {row.code: OPERATIONS[row.code].arity for row in _ROWS if row.derivative}
"""What programs are made of: the kernels' operations, and how many operands each takes."""


MOST_SHIFT = 1 << 24
"""How far units can be shifted: what float32 counts to."""


def reduces(op: str) -> bool:
    """Whether an operation makes a scalar of all units."""
    return op in OPERATIONS and OPERATIONS[op].reduces


def read_args(node: Node) -> tuple[int, ...]:
    """The arguments that a program reads to make a node."""
    row = OPERATIONS.get(node.op)
    return node.args[: OPERANDS[row.code]] if row and row.code in OPERANDS else node.args
