"""Reverse mode on the graph: from the step, the step of backpropagation through time, as a graph again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from elman.equations.graph import PRODUCTS, SCALAR, Node, live
from elman.equations.graph.builder import Builder
from elman.equations.graph.operations import OPERATIONS
from elman.equations.passes.contract import contract
from elman.equations.passes.lower import Lowered, Norm, total_of


@dataclass(frozen=True)
class Outer:
    """A matrix gradient: the sum over steps and sequences of d ⊗ v (for a transposed use, of v ⊗ d)."""

    matrix: str
    transposed: bool
    source: int
    d: int


@dataclass(frozen=True)
class Derivative:
    """The adjoint step.

    `nodes` begin with the step's own, `forward` of them; leaves ("adjoint", name) are ∂loss/∂next state, the leaf
    ("d_output", name) is ∂loss/∂output. `states` and `inputs` give ∂loss/∂previous state and ∂loss/∂input (absent where
    zero); `vectors` the summands, over steps and sequences, of each vector parameter's gradient; `outers` the same for
    matrices.
    """

    nodes: tuple[Node, ...]
    forward: int
    states: dict[str, int]
    inputs: dict[str, int]
    vectors: dict[str, int]
    outers: tuple[Outer, ...]


def differentiate(lowered: Lowered) -> Derivative:
    """The derivative of a lowered step.

    Subgradients are torch's: ties in maximum ½ and ½, relu′(0) = 0, abs′(0) = 0. What `where` has not chosen gets a
    gradient of 0, whatever the slopes are there.
    """
    return _Reverse(lowered).run()


class _Reverse:
    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.builder = Builder(lowered.nodes)
        self.adjoint: dict[int, int] = {}
        self.outers: list[Outer] = []
        branches = [arg for node in lowered.nodes if node.op == "where" for arg in node.args[1:]]
        self.chosen = live(lowered.nodes, branches)
        constants = {c.name for c in lowered.graph.constants}
        self.fixed = {m.name for m in lowered.matrices if all(name in constants for _, name, _ in m.terms)}

    def op(self, op: str, *args: int) -> int:
        return self.builder.add(op, *args)

    def number(self, value: float) -> int:
        return self.builder.constant(value)

    def value(self, index: int) -> float:
        return cast(float, self.node(index).value)

    def node(self, index: int) -> Node:
        return self.builder.nodes[index]

    def accumulate(self, index: int, contribution: int) -> None:
        size, given = self.builder.size(index), self.builder.size(contribution)
        if size == SCALAR != given:
            contribution = self.op("sum", contribution)
        elif given == SCALAR != size:
            contribution = self.op("spread", contribution, index)
        before = self.adjoint.get(index)
        self.adjoint[index] = contribution if before is None else self.op("add", before, contribution)

    def run(self) -> Derivative:
        forward = len(self.lowered.nodes)
        graph = self.lowered.graph
        states = {port.name for port in graph.states}
        for name, index in self.lowered.results.items():
            for op, shown in (("adjoint", name in states), ("d_output", name == graph.output)):
                if shown:
                    self.accumulate(index, self.builder.add(op, value=name, size=self.builder.size(index)))
        norms = {norm.scale: norm for norm in self.lowered.norms}
        normed = {out for norm in self.lowered.norms for out in norm.outs}
        for index in range(forward - 1, -1, -1):
            if index in norms:
                self._norm(norms[index])
            elif index in self.adjoint and index not in normed:
                self._step(index, self.adjoint[index])
        found: dict[str, dict[str, int]] = {"state": {}, "input": {}, "vector": {}}
        for index, node in enumerate(self.lowered.nodes):
            if node.op in found and index in self.adjoint:
                found[node.op][str(node.value)] = self.adjoint[index]
        roots = [*found["state"].values(), *found["input"].values(), *found["vector"].values()]
        roots += [outer.d for outer in self.outers]
        nodes = contract(self.builder.finish(), roots, forward)
        return Derivative(nodes, forward, found["state"], found["input"], found["vector"], tuple(self.outers))

    def _step(self, index: int, d: int) -> None:
        node = self.node(index)
        if node.op in PRODUCTS:
            matrix, source = str(node.value), node.args[0]
            back = "product" if node.op == "product_t" else "product_t"
            if matrix not in self.fixed:
                self.outers.append(Outer(matrix, node.op == "product_t", source, d))
            self.accumulate(source, self.builder.add(back, d, value=matrix, size=self.builder.size(source)))
        elif node.op in OPERATIONS and (row := OPERATIONS[node.op]).derivative:
            safe = self.chosen[index] and not row.mixes
            for arg, share in zip(node.args, row.derivative(self, d, index, *node.args), strict=True):
                if share is not None:
                    self.accumulate(arg, self._safe(share, d) if safe else share)

    def _safe(self, share: int, d: int) -> int:
        """A share of d that is 0 where d is: a value that `where` has not chosen may have an infinite slope."""
        return share if share == d else self.op("where", d, share, self.number(0))

    def _norm(self, norm: Norm) -> None:
        """d_v = scale * (d - mean(d) - out * mean(d * out)), the means over all units of all joined vectors.

        Reference: Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material; by hand, because it is a third of
        what the rules of the single operations give.
        """
        given = {out: self.adjoint[out] for out in norm.outs if out in self.adjoint}
        if not given:
            return
        mean = self.op("div", total_of(self.builder, list(given.values())), norm.count)
        any_d = total_of(self.builder, [self.op("abs", d) for d in given.values()]) if self.chosen[norm.scale] else None
        products = [self.op("mul", d, out) for out, d in given.items()]
        slope = self.op("div", total_of(self.builder, products), norm.count)
        for arg, out in zip(norm.args, norm.outs, strict=True):
            rest = self.op("add", mean, self.op("mul", out, slope))
            d = given.pop(out, None)  # once, where a vector is joined twice
            centred = self.op("neg", rest) if d is None else self.op("sub", d, rest)
            share = self.op("mul", norm.scale, centred)
            self.accumulate(arg, self.op("where", any_d, share, self.number(0)) if any_d is not None else share)
