"""What a cell's function is called with: symbols that write down what is done to them, or refuse it with a cure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any, NoReturn

from elman.equations.graph import RESERVED, Kind, is_name
from elman.equations.language.misread import misread
from elman.equations.language.numbers import finite
from elman.equations.language.tracer import Traced, Tracer
from elman.errors import EquationError

_OWN = "use elman's own (from elman import tanh, sigmoid, exp, …); an array belongs into a parameter or an input"
_LOGIC = "nest where(condition, a, b); for both of two conditions write minimum(p, q), for one of them maximum(p, q)"

# What numpy calls the operators when a number of its own stands on the left.
_NUMPY_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "remainder": operator.mod,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
}


def _refusal(problem: str, cure: str) -> Callable[..., NoReturn]:
    """A method that refuses whatever it is called with."""

    def method(self: Arithmetic, *_: object, **__: object) -> NoReturn:
        self._tracer.refuse(problem, cure)

    return method


class Arithmetic:
    """Operators that symbols and weights share."""

    __slots__ = ()
    _tracer: Tracer

    def _node(self) -> int:
        raise NotImplementedError

    def _apply(self, op: str, *operands: Operand) -> Symbol:
        return apply(self._tracer, op, *operands)

    def __add__(self, other: Operand) -> Symbol:
        return self._apply("add", self, other)

    def __radd__(self, other: Operand) -> Symbol:
        return self._apply("add", other, self)

    def __sub__(self, other: Operand) -> Symbol:
        return self._apply("sub", self, other)

    def __rsub__(self, other: Operand) -> Symbol:
        return self._apply("sub", other, self)

    def __mul__(self, other: Operand) -> Symbol:
        return self._apply("mul", self, other)

    def __rmul__(self, other: Operand) -> Symbol:
        return self._apply("mul", other, self)

    def __truediv__(self, other: Operand) -> Symbol:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: Operand) -> Symbol:
        return self._apply("div", other, self)

    def __mod__(self, other: Operand) -> Symbol:
        return self._apply("mod", self, other)

    def __rmod__(self, other: Operand) -> Symbol:
        return self._apply("mod", other, self)

    def __neg__(self) -> Symbol:
        return self._apply("neg", self)

    def __pos__(self) -> Symbol:
        return Symbol(self._tracer, self._node())

    def __abs__(self) -> Symbol:
        return self._apply("abs", self)

    def __gt__(self, other: Operand) -> Symbol:
        return self._apply("greater", self, other)

    def __ge__(self, other: Operand) -> Symbol:
        return self._apply("greater_equal", self, other)

    def __lt__(self, other: Operand) -> Symbol:
        return self._apply("greater", other, self)

    def __le__(self, other: Operand) -> Symbol:
        return self._apply("greater_equal", other, self)

    def __hash__(self) -> int:
        return id(self)

    __eq__ = __ne__ = _refusal(
        "== and != on a symbol",
        "numbers that are computed are hardly ever equal: compare with >, >=, < or <= in a where(…)",
    )
    __pow__ = __rpow__ = _refusal("** is no operation of an equation", "write x * x, sqrt(x), or exp(a * log(x))")
    __floordiv__ = __rfloordiv__ = _refusal("// is no operation of an equation", "write floor(a / b)")
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refusal("&, | and ^ on symbols", _LOGIC)
    __invert__ = _refusal("~ on a symbol", "turn the comparison round, or write 1 - condition")
    __bool__ = _refusal(
        "Python decides (if, and, or, not, max, min) on a symbol, which has no value yet",
        "write where(condition, a, b), maximum(a, b) or minimum(a, b)",
    )
    __getitem__ = __setitem__ = _refusal(
        "an index on a symbol",
        "equations say one step for all units: a gate is a member (W.i), an earlier step's value is kept as a state",
    )
    __call__ = _refusal(
        "a symbol is called", "a matrix is applied by W @ x, and h is the last step's value without h(t - 1)"
    )
    __iter__ = __len__ = _refusal(
        "a symbol is unpacked, looped over or measured", "equations say one step for all units: name what you need"
    )
    __float__ = __int__ = __index__ = __complex__ = __round__ = __floor__ = __ceil__ = __trunc__ = _refusal(
        "a number is needed here (math, round, range, float) and a symbol came", _OWN
    )
    __array__ = __array_function__ = _refusal("a numpy function meets a symbol", _OWN)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        operator_ = _NUMPY_OPERATORS.get(ufunc.__name__)
        numbers = (isinstance(i, (Arithmetic, Real)) or getattr(i, "shape", None) == () for i in inputs)
        if operator_ and method == "__call__" and not kwargs and all(numbers):
            return operator_(*(i if isinstance(i, Arithmetic) else float(i) for i in inputs))
        return self._tracer.refuse("a numpy function or array meets a symbol", _OWN)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:
        for symbol in symbols_in([args, kwargs or {}]):
            symbol._tracer.refuse("a torch function or tensor meets a symbol", _OWN)
        raise EquationError(f"a torch function meets a symbol; {_OWN}")


class Symbol(Arithmetic, Traced):
    """A value of the step: an input, a state, or what has been computed from them."""

    __slots__ = ()

    def __init__(self, tracer: Tracer, index: int) -> None:
        object.__setattr__(self, "_tracer", tracer)
        object.__setattr__(self, "_index", index)

    def _node(self) -> int:
        return self._index

    def __matmul__(self, other: object) -> NoReturn:
        self._tracer.refuse(
            *misread(self._tracer, self._index, str(other) if isinstance(other, ParameterSymbol) else None)
        )

    __rmatmul__ = _refusal("@ needs a parameter on its left", "write U.i @ h with a parameter group U of the signature")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._tracer.refuse(f"a value has no .{name}", "members (W.i) and transposes (U.T) belong to parameters")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self._tracer.refuse(f"a value's .{name} is assigned", "bind it to a name of its own")


class ParameterSymbol(Arithmetic):
    """A parameter group of the signature (`W`), one of its members (`W.i`), or the transpose of one (`W.i.T`)."""

    __slots__ = ("_name", "_tracer", "_transposed")
    _name: str
    _transposed: bool
    _kind: Kind = "matrix"

    def __init__(self, tracer: Tracer, name: str, transposed: bool = False) -> None:
        object.__setattr__(self, "_tracer", tracer)
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_transposed", transposed)

    def _node(self) -> int:
        if self._transposed:
            self._tracer.refuse(
                f"{self} is a matrix and is used element by element", "write U @ h - U.T @ h, one product each"
            )
        return self._tracer.vector(self._name)

    def __getattr__(self, member: str) -> ParameterSymbol:
        if member.startswith("__"):
            raise AttributeError(member)
        if member == "T":
            return ParameterSymbol(self._tracer, self._name, not self._transposed)
        if not is_name(member) or member.startswith("_") or "." in self._name or self._transposed:
            self._tracer.refuse(
                f"{self}.{member} is no parameter",
                f"a member is one plain name, as in W.i; {', '.join(RESERVED)} are reserved (U.T is the transpose)",
            )
        return ParameterSymbol(self._tracer, f"{self._name}.{member}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self._tracer.refuse(
            f"{self}.{name} is assigned", "a parameter is learned, not computed: bind the value to a local name"
        )

    def __matmul__(self, other: Operand) -> Symbol:
        if not isinstance(other, (Symbol, ParameterSymbol)):
            self._tracer.refuse(
                f"{self} @ {type(other).__name__}", "a matrix is applied to a vector: an input, a state, a value"
            )
        source = operand(self._tracer, other)
        return Symbol(self._tracer, self._tracer.product(self._name, self._transposed, source, self._kind))

    def __rmatmul__(self, other: object) -> NoReturn:
        self._tracer.refuse(f"{self} stands on the right of @", f"write {self} @ v")

    def __repr__(self) -> str:
        return self._name + (".T" if self._transposed else "")


class BlockDiagonal(ParameterSymbol):
    """A block-diagonal matrix (`block_diagonal(U)`), or its transpose."""

    __slots__ = ()
    _kind: Kind = "blocks"

    def _node(self) -> int:
        self._tracer.refuse(f"{self} is a matrix and is used element by element", f"write {self} @ h")

    def __getattr__(self, member: str) -> ParameterSymbol:
        if member == "T":
            return BlockDiagonal(self._tracer, self._name, not self._transposed)
        if member.startswith("__"):
            raise AttributeError(member)
        return self._tracer.refuse(f"{self}.{member} is no parameter", f"write block_diagonal({self._name}.{member})")

    def __repr__(self) -> str:
        return f"block_diagonal({self._name})" + (".T" if self._transposed else "")


Operand = Arithmetic | float


def apply(tracer: Tracer, op: str, *operands: Operand) -> Symbol:
    """The value of an element-wise operation."""
    return Symbol(tracer, tracer.node(op, *(operand(tracer, value) for value in operands)))


def operand(tracer: Tracer, value: object) -> int:
    """The node of an operand of an element-wise operation."""
    if isinstance(value, Arithmetic):
        value._tracer.check_active()
        return value._node()
    if isinstance(value, Real) and not isinstance(value, bool):
        number = finite(value)
        if number is None:
            tracer.refuse(f"{value!s:.40} is no number to compute with", "write a large finite one, such as 1e30")
        return tracer.builder.constant(number)
    return tracer.refuse(
        f"{type(value).__name__} is no operand of an equation",
        "use the cell's inputs, states, parameters and plain numbers; an array belongs into a parameter",
    )


def symbols_in(value: object) -> Iterator[Arithmetic]:
    """The symbols in nested arguments."""
    if isinstance(value, Arithmetic):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from symbols_in(item)
    elif isinstance(value, dict):
        yield from symbols_in(list(value.values()))
