"""What the author of `left @ right` meant where `left` is no parameter: Python reads @ as it reads *, from the left."""

from __future__ import annotations

from elman.equations.graph import PRODUCTS
from elman.equations.graph.operations import OPERATIONS
from elman.equations.language.tracer import Tracer

_UNARY = tuple(row.name for row in OPERATIONS.values() if row.arity == 1)


def misread(tracer: Tracer, left: int, right: str | None) -> tuple[str, str]:
    """The problem and its cure, given the node on the left and the parameter on the right, if it is one."""
    node = tracer.builder.nodes[left]
    if node.op in PRODUCTS:
        name = node.value
        return f"Python reads {name} @ B @ v as ({name} @ B) @ v", f"write {name} @ (B @ v)"
    if terms := _weights(tracer, left, ("add", "sub")):
        return f"a sum with {terms[0]} is applied as a matrix", "apply each matrix by itself: A @ v + B @ v"
    factors = _weights(tracer, left, ("mul", "div", "neg"))
    if len(factors) > 1:
        return (
            f"a matrix mask, ({' * '.join(factors)}) @ …",
            "a matrix is used as it is: mask the parameter outside of the cell",
        )
    if factors:
        before = "-" if node.op == "neg" else "r * "
        return (
            f"Python reads {before}{factors[0]} @ h as ({before}{factors[0]}) @ h",
            f"write {before}({factors[0]} @ h)",
        )
    if right:
        return f"{right} stands on the right of @", f"write {right} @ {tracer.describe(left)}"
    if changed := _weights(tracer, left, _UNARY):
        return (
            f"{tracer.describe(left)} @ … applies {changed[0]} as a matrix after a function of its elements",
            "a matrix is used as it is: parametrise it outside of the cell",
        )
    return "@ needs a parameter on its left", "write U.i @ h with a parameter group U of the signature"


def _weights(tracer: Tracer, index: int, through: tuple[str, ...]) -> list[str]:
    """The parameters in an expression, as far as it is made by these operations alone."""
    found: list[str] = []
    stack, seen = [index], {index}
    while stack:
        node = tracer.builder.nodes[stack.pop()]
        if node.op == "vector":
            found.append(str(node.value))
        elif node.op in through:
            new = [arg for arg in dict.fromkeys(node.args) if arg not in seen]
            seen.update(new)
            stack += new[::-1]
    return found
