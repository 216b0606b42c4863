"""What a cell's function is called with: symbols that write down what is done to them, and refuse the rest with a cure."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterable
from numbers import Real
from types import CodeType, FrameType
from typing import Any, NoReturn

from elman.equations.builder import Builder
from elman.equations.graph import SCALAR, Value
from elman.errors import EquationError

RESERVED = ("T", "mT", "shape", "dtype")


class Tracer:
    """Collects one cell's nodes while its function runs: which line, which name, which parameter is used how."""

    def __init__(self, name: str, code: CodeType) -> None:
        self.name = name
        self.code = code
        self.builder = Builder()
        self.names: dict[int, tuple[str, int | None]] = {}
        self.lines: dict[int, int] = {}
        self.used: dict[str, tuple[str, tuple[str, ...], int | None]] = {}

    def frame(self) -> FrameType | None:
        """The frame of the cell's function, while it runs."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        return frame

    def refuse(self, problem: str, cure: str, line: int | None = None) -> NoReturn:
        """Raise EquationError with the cell, the line, what is wrong and how to mend it."""
        if line is None:
            frame = self.frame()
            line = frame.f_lineno if frame else None
        source = linecache.getline(self.code.co_filename, line).strip() if line else ""
        where = f"line {line}" + (f" ({source})" if source else "") + ": " if line else ""
        raise EquationError(f"{self.name}: {where}{problem}; {cure}")

    def node(self, op: str, *args: int, value: Value = None, size: str | None = None) -> Symbol:
        """Write down one operation, with the line that asks for it, and the names bound so far."""
        frame = self.frame()
        self.take_names(frame.f_locals.items() if frame else ())
        try:
            index = self.builder.add(op, *args, value=value, size=size)
        except EquationError as error:
            self.refuse(str(error), "check which vectors are added or multiplied here")
        if frame:
            self.lines.setdefault(index, frame.f_lineno)
        return Symbol(self, index)

    def take_names(self, local: Iterable[tuple[str, object]]) -> None:
        """Remember the first name that each computed value is bound to."""
        for name, value in local:
            if isinstance(value, Symbol) and value._tracer is self and self.builder.nodes[value._index].args:
                self.names.setdefault(value._index, (name, self.lines.get(value._index)))

    def operand(self, operand: Operand) -> int:
        """The node of an operand of an element-wise operation."""
        if isinstance(operand, Symbol):
            if operand._tracer is not self:
                self.refuse("a symbol of another cell is used", "use only this cell's own arguments")
            return operand._index
        if isinstance(operand, Weight):
            return self.vector(operand)
        if isinstance(operand, Real) and not isinstance(operand, bool):
            return self.builder.constant(float(operand))
        return self.refuse(
            f"{type(operand).__name__} is no operand of an equation",
            "use the cell's inputs, states, parameters and plain numbers; arrays belong into parameters",
        )

    def vector(self, weight: Weight) -> int:
        """A parameter used element by element."""
        if weight._transposed:
            self.refuse(f"{weight} is a matrix and is used element by element", "write U @ h - U.T @ h, one product each")
        (size,) = self._use(weight, "vector")
        return self.node("vector", value=weight._name, size=size)._index

    def product(self, weight: Weight, operand: Operand) -> Symbol:
        """A matrix applied to a vector."""
        source = self.operand(operand)
        rows, columns = self._use(weight, "matrix")
        if weight._transposed:
            rows, columns = columns, rows
        try:
            self.builder.unify(columns, self.builder.size(source))
        except EquationError as error:
            self.refuse(f"{weight} @ …: {error}", "a matrix has one shape; give the other product its own matrix")
        return self.node("product_t" if weight._transposed else "product", source, value=weight._name, size=rows)

    def _use(self, weight: Weight, kind: str) -> tuple[str, ...]:
        frame = self.frame()
        line = frame.f_lineno if frame else None
        if weight._name not in self.used:
            count = 2 if kind == "matrix" else 1
            self.used[weight._name] = (kind, tuple(self.builder.variable() for _ in range(count)), line)
        known, sizes, before = self.used[weight._name]
        if known != kind:
            self.refuse(
                f"{weight._name} is used as a {kind} here and as a {known} on line {before}",
                "matrix masks and sums are no equations of a step: use two parameters, or write A @ x + B @ x",
            )
        return sizes


class _Arithmetic:
    """Operators that symbols and weights share."""

    _tracer: Tracer

    def _binary(self, op: str, a: Operand, b: Operand) -> Symbol:
        return self._tracer.node(op, self._tracer.operand(a), self._tracer.operand(b))

    def __add__(self, other: Operand) -> Symbol:
        return self._binary("add", self, other)  # type: ignore[arg-type]

    def __radd__(self, other: Operand) -> Symbol:
        return self._binary("add", other, self)  # type: ignore[arg-type]

    def __sub__(self, other: Operand) -> Symbol:
        return self._binary("sub", self, other)  # type: ignore[arg-type]

    def __rsub__(self, other: Operand) -> Symbol:
        return self._binary("sub", other, self)  # type: ignore[arg-type]

    def __mul__(self, other: Operand) -> Symbol:
        return self._binary("mul", self, other)  # type: ignore[arg-type]

    def __rmul__(self, other: Operand) -> Symbol:
        return self._binary("mul", other, self)  # type: ignore[arg-type]

    def __truediv__(self, other: Operand) -> Symbol:
        return self._binary("div", self, other)  # type: ignore[arg-type]

    def __rtruediv__(self, other: Operand) -> Symbol:
        return self._binary("div", other, self)  # type: ignore[arg-type]

    def __neg__(self) -> Symbol:
        return self._tracer.node("neg", self._tracer.operand(self))  # type: ignore[arg-type]

    def __gt__(self, other: Operand) -> Symbol:
        return self._binary("greater", self, other)  # type: ignore[arg-type]

    def __ge__(self, other: Operand) -> Symbol:
        return self._binary("greater_equal", self, other)  # type: ignore[arg-type]

    def __lt__(self, other: Operand) -> Symbol:
        return self._binary("greater", other, self)  # type: ignore[arg-type]

    def __le__(self, other: Operand) -> Symbol:
        return self._binary("greater_equal", other, self)  # type: ignore[arg-type]

    def __eq__(self, other: object) -> Any:
        self._tracer.refuse("== on a symbol", "compare with >, >=, < or <= inside where(condition, a, b)")

    def __ne__(self, other: object) -> Any:
        self._tracer.refuse("!= on a symbol", "compare with >, >=, < or <= inside where(condition, a, b)")

    def __hash__(self) -> int:
        return id(self)

    def __pow__(self, other: object) -> NoReturn:
        self._tracer.refuse("** is no operation of an equation", "write x * x, sqrt(x), or exp(a * log(x))")

    __rpow__ = __pow__

    def __bool__(self) -> bool:
        self._tracer.refuse(
            "Python decides (if, and, or, max, min) on a symbol, which has no value yet",
            "write where(condition, a, b), maximum(a, b) or minimum(a, b)",
        )

    def __getitem__(self, index: object) -> NoReturn:
        self._tracer.refuse(
            "an index on a symbol", "equations are written for one step and all units: name what you need as a state or input"
        )

    def __iter__(self) -> NoReturn:
        self._tracer.refuse("a symbol is unpacked or looped over", "equations are written for all units at once")

    def __float__(self) -> float:
        self._tracer.refuse(
            "a function of Python's math meets a symbol", "use elman's own: from elman import tanh, sigmoid, exp, …"
        )

    __int__ = __index__ = __complex__ = __float__  # type: ignore[assignment]

    def __array__(self, *_: object, **__: object) -> NoReturn:
        self._tracer.refuse("a numpy function meets a symbol", "use elman's own: from elman import tanh, sigmoid, exp, …")

    def __array_ufunc__(self, *_: object, **__: object) -> NoReturn:
        self._tracer.refuse("a numpy function meets a symbol", "use elman's own: from elman import tanh, sigmoid, exp, …")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> NoReturn:
        for arg in args:
            if isinstance(arg, _Arithmetic):
                arg._tracer.refuse(
                    "a torch function meets a symbol", "use elman's own: from elman import tanh, sigmoid, exp, …"
                )
        raise EquationError("a torch function meets a symbol; use elman's own: from elman import tanh, sigmoid, exp, …")


class Symbol(_Arithmetic):
    """A value of the step: an input, a state, or what has been computed from them."""

    def __init__(self, tracer: Tracer, index: int) -> None:
        self._tracer = tracer
        self._index = index

    def __matmul__(self, other: object) -> NoReturn:
        nodes = self._tracer.builder.nodes
        node = nodes[self._index]
        if node.op == "mul" and nodes[node.args[1]].op == "vector":
            weight = nodes[node.args[1]].value
            if nodes[node.args[0]].op == "vector":
                self._tracer.refuse(
                    f"a matrix mask ({nodes[node.args[0]].value} * {weight}) @ …",
                    "a matrix is used as it is; mask the parameter outside of the equations",
                )
            self._tracer.refuse(
                f"Python reads r * {weight} @ h as (r * {weight}) @ h", f"write r * ({weight} @ h)"
            )
        self._tracer.refuse("@ needs a parameter on its left", "write U.i @ h with a parameter group U of the signature")

    def __rmatmul__(self, other: object) -> NoReturn:
        self._tracer.refuse("@ needs a parameter on its left", "write U.i @ h with a parameter group U of the signature")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._tracer.refuse(f"a symbol has no attribute .{name}", "members (W.i) belong to parameter groups, not to values")


class Weight(_Arithmetic):
    """A parameter group of the signature (`W`), one of its members (`W.i`), or the transpose of one (`W.i.T`)."""

    def __init__(self, tracer: Tracer, name: str, transposed: bool = False) -> None:
        self._tracer = tracer
        self._name = name
        self._transposed = transposed

    def __getattr__(self, member: str) -> Weight:
        if member.startswith("__"):
            raise AttributeError(member)
        if member == "T":
            return Weight(self._tracer, self._name, not self._transposed)
        if member in RESERVED or member.startswith("_") or "." in self._name or self._transposed:
            self._tracer.refuse(
                f"{self}.{member} is no parameter", f"a member has one plain name, not one of {', '.join(RESERVED)}"
            )
        return Weight(self._tracer, f"{self._name}.{member}")

    def __matmul__(self, other: Operand) -> Symbol:
        return self._tracer.product(self, other)

    def __rmatmul__(self, other: object) -> NoReturn:
        self._tracer.refuse(f"{self} stands on the right of @", f"write {self} @ v")

    def __repr__(self) -> str:
        return self._name + (".T" if self._transposed else "")


Operand = Symbol | Weight | float


def tracer_of(op: str, operands: Iterable[object]) -> Tracer:
    """The tracer that the operands belong to. Raises EquationError where none is a symbol."""
    for operand in operands:
        if isinstance(operand, _Arithmetic):
            return operand._tracer
    kinds = ", ".join(type(operand).__name__ for operand in operands)
    raise EquationError(f"{op} is for the equations of a cell and got {kinds}; for arrays use numpy's or torch's own")


def scalar_size(size: str) -> str:
    """A declared size: a letter, or "1". Raises EquationError for anything else."""
    if size == SCALAR or (len(size) == 1 and size.isalpha() and size.isupper()):
        return size
    raise EquationError(f'a size is one capital letter or "1", got {size!r}')
