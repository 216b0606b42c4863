"""The notebook of a cell while its function runs: which nodes, on which lines, by which names, of which parameters."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import NoReturn

from elman.equations.graph import PRODUCTS, SCALAR, Kind, Value
from elman.equations.graph.builder import Builder
from elman.equations.graph.limits import NODES
from elman.errors import EquationError


class Traced:
    """A value of the step, by its node."""

    __slots__ = ("_index", "_tracer")
    _index: int
    _tracer: Tracer


@dataclass(frozen=True)
class Use:
    """How a parameter or a constant is used, and where first."""

    kind: Kind
    sizes: tuple[str, ...]
    line: int | None


@dataclass(frozen=True)
class KnownSizes:
    """Sizes that do not follow from use.

    `declared` are the sizes of parameters, by full name or group; `scalars` the axes, (name, axis), of what scalars are
    made of; `constants` the lengths of the axes of constants.
    """

    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scalars: frozenset[tuple[str, int]] = frozenset()
    constants: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def declared_for(self, name: str) -> tuple[str, tuple[str, ...]] | None:
        """What a parameter's sizes are declared as, and under which name: its own, or its group's."""
        key = name if name in self.declared else name.partition(".")[0]
        return (key, self.declared[key]) if key in self.declared else None


class Tracer:
    """Collects one cell's nodes while its function runs.

    `sizes` says what is known of parameters beforehand. A `draft` lets sizes differ: it is made to see what is computed
    from what.
    """

    def __init__(self, name: str, code: CodeType, sizes: KnownSizes | None = None, draft: bool = False) -> None:
        self.name = name
        self.code = code
        self.sizes = sizes or KnownSizes()
        self.draft = draft
        self.builder = Builder()
        self.names: dict[int, str] = {}
        self.lines: dict[int, int] = {}
        self.used: dict[str, Use] = {}
        self.groups: dict[str, str] = {}  # the first parameter of each

    def frame(self) -> FrameType | None:
        """The frame of the cell's function, while it runs."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        return frame

    @property
    def line(self) -> int | None:
        """The line that the cell's function has come to, whatever it has called from there."""
        frame = self.frame()
        return frame.f_lineno if frame else None

    def refuse(self, problem: str, cure: str, line: int | None = None) -> NoReturn:
        """Raise EquationError with the cell, the line, what is wrong and how to mend it."""
        line = line or self.line or self.code.co_firstlineno
        source = linecache.getline(self.code.co_filename, line).strip()
        where = f"line {line}" + (f" ({source})" if source else "")
        raise EquationError(f"{self.name}: {where}: {problem}; {cure}")

    def node(self, op: str, *args: int, value: Value = None, size: str | None = None) -> int:
        """Write down one operation, with the line that asks for it, and the names bound so far."""
        self.check_active()
        frame = self.frame()
        if frame:
            self.take_names(frame.f_locals.items())
        try:
            index = self.builder.add(op, *args, value=value, size=size)
        except EquationError:
            if not self.draft:
                met = ", ".join(f"{self.describe(arg)} has size {self.builder.size(arg)}" for arg in args)
                self.refuse(
                    f"sizes differ: {met}", "put a matrix between them, as in W @ x, or declare one size for both"
                )
            index = self.builder.add(op, *args, value=value, size=SCALAR)
        if frame:
            self.lines.setdefault(index, frame.f_lineno)
        if len(self.builder.nodes) > NODES.most:
            self.refuse(f"the equations have more than {NODES.most:,} operations", "make several cells of them")
        return index

    def check_active(self) -> None:
        """Refuse a symbol that has left its cell."""
        active = ACTIVE.get()
        if active is not self:
            (active or self).refuse("a symbol of another cell is used", "use only this cell's own arguments")

    def take_names(self, local: Iterable[tuple[str, object]]) -> None:
        """Remember the first name that each computed value is bound to."""
        for name, value in local:
            if isinstance(value, Traced) and value._tracer is self and self.builder.nodes[value._index].args:
                self.names.setdefault(value._index, name)

    def describe(self, index: int) -> str:
        """A node in words: its name, or how it is made."""
        node = self.builder.nodes[index]
        if index in self.names:
            return self.names[index]
        if node.op in PRODUCTS:
            return f"{node.value}{'.T' if node.op == 'product_t' else ''} @ …"
        return f"{node.op}(…)" if node.args else str(node.value)

    def vector(self, name: str) -> int:
        """A parameter used element by element."""
        (size,) = self._use(name, "vector")
        return self.node("vector", value=name, size=size)

    def product(self, name: str, transposed: bool, source: int, kind: Kind = "matrix") -> int:
        """A matrix, or a block-diagonal one, applied to a vector."""
        rows, columns, *_ = self._use(name, kind)
        if transposed:
            rows, columns = columns, rows
        try:
            self.builder.unify(columns, self.builder.size(source))
        except EquationError:
            if not self.draft:
                self.refuse(
                    f"{name} has {self.builder.resolve(columns)} columns where it is used before or declared, and "
                    f"{self.describe(source)} has size {self.builder.size(source)}",
                    "a matrix has one shape: give this product a matrix of its own",
                )
        return self.node("product_t" if transposed else "product", source, value=name, size=rows)

    def _use(self, name: str, kind: Kind) -> tuple[str, ...]:
        """The sizes of a parameter, which must be of this kind wherever it is used."""
        self.check_active()
        if name not in self.used:
            self._check_group(name)
            self.used[name] = Use(kind, self._first_sizes(name, kind), self.line)
        use = self.used[name]
        if use.kind != kind:
            cure = (
                "write block_diagonal(…) wherever it is used"
                if "blocks" in (kind, use.kind)
                else f"write r * ({name} @ h) if a product is meant, or name the element-wise parameter otherwise: a "
                "matrix takes no mask and no sum"
            )
            self.refuse(f"{name} is used as a {kind} here and as a {use.kind} on line {use.line}", cure)
        return use.sizes

    def _first_sizes(self, name: str, kind: Kind) -> tuple[str, ...]:
        """The sizes of a parameter as far as they are known where it is first used."""
        count = {"vector": 1, "matrix": 2, "blocks": 3}[kind]
        found: list[str | None] = [SCALAR if (name, axis) in self.sizes.scalars else None for axis in range(count)]
        if name in self.sizes.constants:
            lengths = self.sizes.constants[name]
            if len(lengths) != count:
                self.refuse(
                    f"the constant {name} has {len(lengths)} axes and is used as a {kind}",
                    "a vector is used element by element, a matrix by A @ v",
                )
            found = [SCALAR if n == 1 else None for n in lengths]
        if told := self.sizes.declared_for(name):
            self._declare(name, kind, told[1], found)
        return tuple(size or self.builder.variable() for size in found)

    def _declare(self, name: str, kind: Kind, sizes: tuple[str, ...], found: list[str | None]) -> None:
        """Put declared sizes where they belong: of blocks the rows, and the columns of one block."""
        if kind == "vector" and len(sizes) > 1:
            self.refuse(f"{name} is declared with {len(sizes)} sizes and used element by element", "give it one size")
        for axis, size in zip((0, 2) if kind == "blocks" else (0, 1), sizes, strict=False):
            found[axis] = size

    def _check_group(self, name: str) -> None:
        """A group is one parameter, or has members: never both. Its first use says which."""
        group = name.partition(".")[0]
        other = self.groups.setdefault(group, name)
        if other != name and group in (name, other):
            member = other if name == group else name
            self.refuse(
                f"{group} is used whole and by member ({member}; the other use is on line {self.used[other].line})",
                f"give the whole a member's name too, as in {group}.{'y' if member == f'{group}.x' else 'x'}",
            )


ACTIVE: ContextVar[Tracer | None] = ContextVar("ACTIVE", default=None)
"""The tracer of the cell that is being read just now."""
