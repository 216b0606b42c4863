"""Where conditions choose: which elements of every value lead to a result, so that only those send gradients back.

A `where` computes both of its values and shows one. Backwards the other gets a gradient of 0, which autograd multiplies
by slopes that may be infinite there: 0 * inf is NaN. So a value is cut from what it is made of wherever no result shows
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from elman.equations.graph import PRODUCTS, Node
from elman.equations.graph.operations import OPERATIONS, Array, Namespace, still

Shown = Array | bool  # one for each element, or for all


def find_shown(nodes: Sequence[Node], results: Iterable[int], values: Sequence[Array]) -> list[Shown]:
    """For each node which of its elements lead to a result, given the nodes' `values`."""
    found: list[Shown] = [False] * len(nodes)
    for index in results:
        found[index] = True
    for index in range(len(nodes) - 1, -1, -1):
        node, mine = nodes[index], found[index]
        if mine is False:
            continue
        if node.op == "where":
            condition, a, b = node.args
            chosen = values[condition] != 0
            parts = [(condition, mine), (a, _both(mine, chosen)), (b, _both(mine, ~chosen))]
        elif is_mixed(node):
            parts = [(arg, _any(mine)) for arg in node.args]
        else:
            parts = [(arg, mine) for arg in node.args]
        for arg, part in parts:
            found[arg] = _either(found[arg], _spread(part, values[arg]))
    return found


def is_mixed(node: Node) -> bool:
    """Whether a unit of a value is made of several units."""
    return node.op in PRODUCTS or node.op == "layer_norm" or (node.op in OPERATIONS and OPERATIONS[node.op].mixes)


def cut(xp: Namespace, node: Node, args: Sequence[Array], shown: Shown) -> list[Array]:
    """The arguments of a node, cut from what they are made of where the node's value is not shown."""
    if isinstance(shown, bool) or node.op == "where":
        return list(args)
    if node.op in PRODUCTS:  # whose factor meets other rows in the gradient of the matrix
        (source,) = args
        return [xp.where(_any(shown), source, xp.zeros_like(source))]
    mask = _any(shown) if is_mixed(node) else shown
    return [xp.where(mask, arg, still(arg)) for arg in args]


def _both(mine: Shown, chosen: Array) -> Shown:
    return chosen if mine is True else mine & chosen


def _either(a: Shown, b: Shown) -> Shown:
    if a is True or b is True:
        return True
    return b if a is False else a if b is False else a | b


def _any(mine: Shown) -> Shown:
    return mine if isinstance(mine, bool) else mine.any(-1, keepdims=True)


def _spread(part: Shown, value: Array) -> Shown:
    """A scalar is shown where any unit that it is spread over is."""
    return _any(part) if value.shape[-1] == 1 else part
