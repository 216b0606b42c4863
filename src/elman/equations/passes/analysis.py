"""What follows from a cell's equations: facts that its users and its kernels go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.equations.graph import PRODUCTS, Graph, Node, live


@dataclass(frozen=True)
class Facts:
    """Facts about a recurrence, each by itself.

    `stages`: matrix products that must follow one another within a step (1: LSTM; 2: a GRU that resets before its
    product).
    `element_wise`: no matrix product stands between a state and the next one (IndRNN).
    `affine`: the next state is affine in the last one, with coefficients from x alone (minGRU), so that a scan can run
    it where it is element-wise too.
    `normalised`: some value needs all units of a vector at once (layer norm).
    """

    stages: int
    element_wise: bool
    affine: bool
    normalised: bool


def analyse(graph: Graph) -> Facts:
    """The facts of a cell."""
    stages, degrees = _stages(graph.nodes), _degrees(graph.nodes)
    recurrent = live(graph.nodes, [graph.results[state.name] for state in graph.states])
    return Facts(
        stages=max(stages),
        element_wise=not any(recurrent[i] and stages[i] and node.op in PRODUCTS for i, node in enumerate(graph.nodes)),
        affine=all(degrees[graph.results[state.name]] <= 1 for state in graph.states),
        normalised=any(node.op == "layer_norm" for node in graph.nodes),
    )


def depends(graph: Graph) -> tuple[frozenset[str], ...]:
    """For each node, which of "input", "state" and "parameter" it depends on."""
    found: list[frozenset[str]] = []
    for node in graph.nodes:
        kinds = frozenset[str]().union(*(found[arg] for arg in node.args))
        if node.op in ("input", "state"):
            kinds |= {node.op}
        if node.op == "vector" or node.op in PRODUCTS:
            kinds |= {"parameter"}
        found.append(kinds)
    return tuple(found)


def _stages(nodes: Sequence[Node]) -> list[int]:
    """For each node the number of products on the longest way to it from a state; 0 where no state reaches it."""
    stateful: list[bool] = []
    stages: list[int] = []
    for node in nodes:
        stateful.append(node.op == "state" or any(stateful[arg] for arg in node.args))
        before = max((stages[arg] for arg in node.args), default=0)
        stages.append(before + (node.op in PRODUCTS and stateful[-1]))
    return stages


def _degrees(nodes: Sequence[Node]) -> list[int]:
    """For each node 0 where no state reaches it, 1 where it is affine in the states, else 2."""
    degrees: list[int] = []
    for node in nodes:
        args = [degrees[arg] for arg in node.args]
        if node.op == "state":
            degree = 1
        elif node.op in PRODUCTS or node.op in ("add", "sub", "neg"):
            degree = max(args)
        elif node.op == "mul":
            degree = sum(args)
        elif node.op == "div":
            degree = args[0] if args[1] == 0 else 2
        elif node.op == "where":
            degree = max(args[1:]) if args[0] == 0 else 2
        else:
            degree = 2 if any(args) else 0
        degrees.append(min(degree, 2))
    return degrees
