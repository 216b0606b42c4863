"""Runs a graph with torch's or numpy's own functions: the reference that everything else is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from elman.equations.choices import Shown, cut, find_shown
from elman.equations.graph import SCALAR, Graph, Node
from elman.equations.graph.operations import OPERATIONS, Array, Namespace, still
from elman.equations.passes.lower import Lowered


def _layer_norm(xp: Namespace, vectors: Sequence[Array], index: int, eps: float) -> Array:
    rows = xp.broadcast_shapes(*(vector.shape[:-1] for vector in vectors))
    joined = xp.concatenate(tuple(xp.broadcast_to(v, (*rows, v.shape[-1])) for v in vectors), -1)
    mean = joined.mean(-1, keepdims=True)
    variance = ((joined - mean) ** 2).mean(-1, keepdims=True)
    return (vectors[index] - mean) / xp.sqrt(variance + eps)


def run_nodes(
    nodes: Sequence[Node],
    xp: Namespace,
    leaves: Mapping[tuple[str, str], Array],
    sizes: Mapping[str, int] | None = None,
    shown: Sequence[Shown] | None = None,
) -> list[Array]:
    """The value of every node.

    `leaves` maps (op, name) to arrays, a vector first; matrices stand under ("matrix", name). `sizes` gives the size
    letters' numbers, which a lowered graph may count; `shown` which elements send gradients back. Vectors are arrays
    [..., size], scalars [..., 1]; matrices [rows, columns].
    """
    like = next(iter(leaves.values()))[..., :1]
    values: list[Array] = []
    for index, node in enumerate(nodes):
        args = [values[arg] for arg in node.args]
        if shown is not None:
            args = cut(xp, node, args, shown[index])
        if node.op == "constant":
            values.append(xp.full_like(like, node.value))
        elif node.op == "count":
            values.append(xp.full_like(like, _count(node, sizes or {})))
        elif node.op in ("product", "product_t"):
            matrix = leaves["matrix", str(node.value)]
            values.append(xp.matmul(args[0], matrix.T if node.op == "product" else matrix))
        elif node.op == "layer_norm":
            values.append(_layer_norm(xp, args, *cast(tuple[int, float], node.value)))
        elif node.op == "shift":  # by a number that no trace may turn into an array
            values.append(xp.roll(args[0], int(cast(float, nodes[node.args[1]].value)), -1))
        elif node.op in OPERATIONS:
            values.append(OPERATIONS[node.op].evaluate(xp, *args))
        else:
            values.append(leaves[node.op, str(node.value)])
    return values


def run_chosen(
    nodes: Sequence[Node],
    results: Iterable[int],
    xp: Namespace,
    leaves: Mapping[tuple[str, str], Array],
    sizes: Mapping[str, int] | None = None,
) -> list[Array]:
    """The same, with gradients of 0 for what `where` has not chosen, whatever the slopes are there."""
    if not hasattr(xp, "autograd") or all(node.op != "where" for node in nodes):
        return run_nodes(nodes, xp, leaves, sizes)
    values = run_nodes(nodes, xp, {name: still(leaf) for name, leaf in leaves.items()}, sizes)
    return run_nodes(nodes, xp, leaves, sizes, find_shown(nodes, results, values))


def _count(node: Node, sizes: Mapping[str, int]) -> float:
    letters = cast(tuple[str, ...], node.value)
    return float(sum(1 if letter == SCALAR else sizes[letter] for letter in letters))


def constant_arrays(graph: Graph, xp: Namespace, like: Array) -> dict[str, Array]:
    """The constants of a graph as arrays of the type of `like`, and where it lies."""
    place = {"device": like.device} if hasattr(like, "device") else {}
    return {c.name: xp.asarray(c.values, dtype=like.dtype, **place) for c in graph.constants}


def parameter_leaves(
    graph: Graph, xp: Namespace, parameters: Mapping[str, Array], sizes: Mapping[str, int]
) -> dict[tuple[str, str], Array]:
    """Parameters and constants as nodes read them, vectors first; `parameters` may hold the constants already.

    `sizes` are the numbers of the letters of inputs and states at least.
    """
    held = dict(parameters)
    if missing := [c for c in graph.constants if c.name not in held]:
        held |= constant_arrays(replace(graph, constants=tuple(missing)), xp, next(iter(held.values())))
    known = dict(sizes) | graph.fixed | {SCALAR: 1}
    for p in graph.parameters:
        known |= dict(zip(p.stored, held[p.name].shape, strict=True))
    kinds = {p.name: p.kind for p in graph.parameters} | {c.name: c.kind for c in graph.constants}
    found = {("vector", name): held[name] for name, kind in kinds.items() if kind == "vector"}
    found |= {("matrix", name): held[name] for name, kind in kinds.items() if kind == "matrix"}
    for p in graph.parameters:
        if p.kind == "blocks":
            found["matrix", p.name] = _block_diagonal(xp, held[p.name], known[p.shape[1]])
    return found


def _block_diagonal(xp: Namespace, blocks: Array, columns: int) -> Array:
    """The whole matrix [rows, columns] of blocks that stand below one another."""
    count = columns // blocks.shape[1]
    rows = blocks.shape[0] // count
    strips = []
    for k in range(count):
        block = blocks[k * rows : (k + 1) * rows]
        empty = xp.zeros_like(block)
        strips.append(xp.concatenate([empty] * k + [block] + [empty] * (count - 1 - k), -1))
    return xp.concatenate(strips, 0)


def run(
    graph: Graph,
    xp: Namespace,
    inputs: Mapping[str, Array],
    states: Mapping[str, Array],
    parameters: Mapping[str, Array],
) -> tuple[Array, dict[str, Array]]:
    """One step: the output and the next states.

    `xp` is numpy or torch (any module with their function names); `inputs` and `states` hold arrays [..., size] by
    name, `parameters` arrays by full name ("W.i": [H, D]). Differentiable where `xp` is: torch's autograd through this
    is the reference gradient.
    """
    leaves = {("input", name): value for name, value in inputs.items()}
    leaves |= {("state", name): value for name, value in states.items()}
    rows = xp.broadcast_shapes(*(value.shape[:-1] for value in leaves.values()))
    sizes = {port.size: leaf.shape[-1] for port, leaf in zip(graph.inputs + graph.states, leaves.values(), strict=True)}
    leaves |= parameter_leaves(graph, xp, parameters, sizes)
    values = run_chosen(graph.nodes, graph.results.values(), xp, leaves)
    results = {name: _in_rows(xp, values[node], rows) for name, node in graph.results.items()}
    return results[graph.output], {p.name: results[p.name] for p in graph.states}


def _in_rows(xp: Namespace, value: Array, rows: tuple[int, ...]) -> Array:
    """The value for every row, where it comes from parameters alone, or from an input with fewer rows."""
    return value if value.shape[:-1] == rows else xp.broadcast_to(value, (*rows, value.shape[-1]))


def derive(
    lowered: Lowered, xp: Namespace, parameters: Mapping[str, Array], sizes: Mapping[str, int]
) -> dict[str, Array]:
    """The derived parameters ("%…") of a lowered cell, by name, from its own; differentiable where `xp` is."""
    leaves = parameter_leaves(lowered.graph, xp, parameters, sizes)
    found: dict[str, Array] = {}
    for matrix in lowered.matrices:
        parts = []
        for sign, name, turned in matrix.terms:
            part = leaves["matrix", name].T if turned else leaves["matrix", name]
            parts.append(part if sign > 0 else -part)
        found[matrix.name] = sum(parts[1:], parts[0])
    if lowered.vectors:
        values = run_chosen(lowered.prologue, [vector.node for vector in lowered.vectors], xp, leaves, sizes)
        found |= {vector.name: values[vector.node] for vector in lowered.vectors}
    return found
