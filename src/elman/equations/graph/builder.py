"""Grows a list of nodes: equal expressions become one node, sizes are inferred by unification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from elman.equations.graph import SCALAR, Node, Value
from elman.equations.graph.operations import OPERATIONS
from elman.errors import EquationError


class Builder:
    """Nodes under construction.

    Element-wise operations hold vectors of one size; scalars (size "1") are spread over them. A size that is not known
    yet is a variable, written "?n", which later uses unify with a letter.
    """

    def __init__(self, nodes: Sequence[Node] = ()) -> None:
        self.nodes: list[Node] = list(nodes)
        self._index = {(n.op, n.args, repr(n.value)): i for i, n in enumerate(nodes)}
        self._bound: dict[str, str] = {}
        self._variables = 0

    def variable(self) -> str:
        """A new size that nothing is known about."""
        self._variables += 1
        return f"?{self._variables}"

    def resolve(self, size: str) -> str:
        """What is known of `size` by now."""
        while size in self._bound:
            size = self._bound[size]
        return size

    def size(self, node: int) -> str:
        """The size of a node, as far as it is known."""
        return self.resolve(self.nodes[node].size)

    def unify(self, a: str, b: str) -> str:
        """Make two sizes one. Raises EquationError where both are letters and differ."""
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return a
        if not a.startswith("?"):
            a, b = b, a
        if not a.startswith("?"):
            raise EquationError(f"sizes {b} and {a} meet")
        self._bound[a] = b
        return b

    def add(self, op: str, *args: int, value: Value = None, size: str | None = None) -> int:
        """The node `op(args)`; an equal one that stands already is returned instead."""
        key = (op, args, repr(value))  # repr tells -0.0 from 0.0
        if key not in self._index:
            self.nodes.append(Node(op, args, value, self._size(op, args) if size is None else size))
            self._index[key] = len(self.nodes) - 1
        return self._index[key]

    def constant(self, number: float) -> int:
        """A number."""
        return self.add("constant", value=float(number), size=SCALAR)

    def _size(self, op: str, args: tuple[int, ...]) -> str:
        """The size of an operation's value: that of its vectors, unless it makes a scalar of them."""
        size = SCALAR
        for arg in args:
            found = self.size(arg)
            if found != SCALAR:
                size = found if size == SCALAR else self.unify(size, found)
        return SCALAR if OPERATIONS[op].reduces else size

    def finish(self) -> tuple[Node, ...]:
        """The nodes, every size settled."""
        return tuple(replace(node, size=self.resolve(node.size)) for node in self.nodes)
