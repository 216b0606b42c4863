"""What a forward step keeps for its derivative: what that cannot cheaply compute again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from elman.equations.graph import LEAVES, PRODUCTS, Node

CHEAP = frozenset({"add", "sub", "mul", "div", "neg", "where", "greater", "greater_equal", "minimum", "maximum", "abs",
                   "relu"})  # fmt: skip


def choose_saved(
    nodes: Sequence[Node], forward: int, kept: Collection[int], roots: Iterable[int], sources: Iterable[int]
) -> list[int]:
    """The nodes to save, of the first `forward` ones, which are the step.

    Args:
        nodes: the step and its derivative.
        forward: how many nodes are the step.
        kept: next states, which lie in memory anyway.
        roots: what the derivative's step must compute.
        sources: what matrices are multiplied by, which their gradients read when all steps are over.
    """
    read = _read(nodes, forward, roots)
    saved = {n for n in sources if not _is_there(nodes, kept, n)}
    of_products: list[bool] = []  # a product, or a sum with one
    remade: list[bool] = []  # in memory, or cheaply computed from what is
    for n, node in enumerate(nodes[:forward]):
        inside = [of_products[arg] for arg in node.args]
        of_products.append(node.op in PRODUCTS or (node.op in ("add", "sub") and any(inside)))
        again = node.op != "sum" and not of_products[n] and all(_is_there(nodes, kept, arg) for arg in node.args)
        cheap = node.op in CHEAP and not of_products[n] and all(remade[arg] for arg in node.args)
        there = _is_there(nodes, kept, n) or n in saved or again or cheap
        if n in read and not there:
            saved.add(n)
        remade.append(there or n in read)
    return sorted(saved)


def _is_there(nodes: Sequence[Node], kept: Collection[int], n: int) -> bool:
    """Whether a forward value lies in memory anyway, or is a number."""
    return nodes[n].op in LEAVES or n in kept


def _read(nodes: Sequence[Node], forward: int, roots: Iterable[int]) -> set[int]:
    """The nodes of the step that its derivative reads; a spread takes no more than a size from its second argument."""
    found: set[int] = set()
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        n = stack.pop()
        if n not in seen:
            seen.add(n)
            if n < forward:
                found.add(n)
            else:
                stack += nodes[n].args[:1] if nodes[n].op == "spread" else nodes[n].args
    return found
