"""Multiplications and additions made one operation, which rounds once: fused multiply-add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from elman.equations.graph import Node
from elman.equations.passes.sums import count_live_uses, sums_of_products

# By the operation and the argument that is the product: a * b + c, a * b - c and c - a * b.
_FUSED = {("add", 0): "fma", ("add", 1): "fma", ("sub", 0): "fms", ("sub", 1): "fnma"}


def contract(nodes: Sequence[Node], roots: Sequence[int], first: int = 0) -> tuple[Node, ...]:
    """The nodes, those from `first` on with each sum of a product that nothing else uses as one operation.

    No node moves; a product that has become part of a sum stays, used by nobody. Sums with matrix products are left as
    they are: they are chains. What is fused depends on the nodes and their roots alone, so that all programs of a step
    round alike.
    """
    found = list(nodes)
    uses = count_live_uses(nodes, roots)
    chained = sums_of_products(nodes)
    for index, node in enumerate(nodes):
        if index < first or node.op not in ("add", "sub") or chained[index]:
            continue
        for place in (0, 1):
            product = nodes[node.args[place]]
            if product.op == "mul" and product.size == node.size and uses[node.args[place]] == 1:
                args = (*product.args, node.args[1 - place])
                found[index] = replace(node, op=_FUSED[node.op, place], args=args)
                break
    return tuple(found)
