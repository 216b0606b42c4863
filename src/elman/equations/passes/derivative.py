"""Reverse mode on the graph: from the step, the step of backpropagation through time, as a graph again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elman.equations.graph import PRODUCTS, SCALAR, Node
from elman.equations.graph.builder import Builder
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


Rule = Callable[["_Reverse", int, int], list[int | None]]


def differentiate(lowered: Lowered) -> Derivative:
    """The derivative of a lowered step.

    Subgradients are torch's: ties in maximum ½ and ½, relu′(0) = 0, abs′(0) = 0.
    """
    return _Reverse(lowered).run()


class _Reverse:
    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.builder = Builder(lowered.nodes)
        self.adjoint: dict[int, int] = {}
        self.outers: list[Outer] = []

    def op(self, op: str, *args: int) -> int:
        return self.builder.add(op, *args, size=SCALAR if op == "sum" else None)

    def number(self, value: float) -> int:
        return self.builder.constant(value)

    def node(self, index: int) -> Node:
        return self.builder.nodes[index]

    def accumulate(self, index: int, contribution: int) -> None:
        size, given = self.builder.size(index), self.builder.size(contribution)
        if size == SCALAR != given:
            contribution = self.op("sum", contribution)
        elif given == SCALAR != size:
            contribution = self.builder.add("spread", contribution, index, size=size)
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
            self.outers.append(Outer(matrix, node.op == "product_t", source, d))
            self.accumulate(source, self.builder.add(back, d, value=matrix, size=self.builder.size(source)))
        elif node.op in RULES:
            for arg, contribution in zip(node.args, RULES[node.op](self, index, d), strict=True):
                if contribution is not None:
                    self.accumulate(arg, contribution)

    def _norm(self, norm: Norm) -> None:
        """d_v = scale * (d - mean(d) - out * mean(d * out)), the means over all units of all joined vectors.

        Reference: Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material; by hand, because it is a third of
        what the rules of the single operations give.
        """
        given = {out: self.adjoint[out] for out in norm.outs if out in self.adjoint}
        if not given:
            return
        mean = self.op("div", total_of(self.builder, list(given.values())), norm.count)
        products = [self.op("mul", d, out) for out, d in given.items()]
        slope = self.op("div", total_of(self.builder, products), norm.count)
        for arg, out in zip(norm.args, norm.outs, strict=True):
            rest = self.op("add", mean, self.op("mul", out, slope))
            d = given.pop(out, None)  # once, where a vector is joined twice
            centred = self.op("neg", rest) if d is None else self.op("sub", d, rest)
            self.accumulate(arg, self.op("mul", norm.scale, centred))


def _mul(r: _Reverse, n: int, d: int) -> list[int | None]:
    a, b = r.node(n).args
    return [r.op("mul", d, b), r.op("mul", d, a)]


def _div(r: _Reverse, n: int, d: int) -> list[int | None]:
    b = r.node(n).args[1]
    quotient = r.op("div", d, b)
    return [quotient, r.op("neg", r.op("mul", quotient, n))]


def _fused(r: _Reverse, n: int, d: int) -> list[int | None]:
    op, (a, b, _) = r.node(n).op, r.node(n).args
    turned = r.op("neg", d) if op != "fma" else d
    d_product, d_rest = (turned, d) if op == "fnma" else (d, turned)
    return [r.op("mul", d_product, b), r.op("mul", d_product, a), d_rest]


def _sigmoid(r: _Reverse, n: int, d: int) -> list[int | None]:
    return [r.op("mul", d, r.op("mul", n, r.op("sub", r.number(1), n)))]


def _tanh(r: _Reverse, n: int, d: int) -> list[int | None]:
    return [r.op("mul", d, r.op("sub", r.number(1), r.op("mul", n, n)))]


def _relu(r: _Reverse, n: int, d: int) -> list[int | None]:
    return [r.op("where", r.op("greater", n, r.number(0)), d, r.number(0))]


def _abs(r: _Reverse, n: int, d: int) -> list[int | None]:
    a, zero = r.node(n).args[0], r.number(0)
    negative = r.op("where", r.op("greater", zero, a), r.op("neg", d), zero)
    return [r.op("where", r.op("greater", a, zero), d, negative)]


def _extremum(r: _Reverse, n: int, d: int) -> list[int | None]:
    a, b = r.node(n).args
    zero, half = r.number(0), r.op("mul", d, r.number(0.5))
    first, second = r.op("greater", a, b), r.op("greater", b, a)
    if r.node(n).op == "minimum":
        first, second = second, first
    d_a = r.op("where", first, d, r.op("where", second, zero, half))
    d_b = r.op("where", second, d, r.op("where", first, zero, half))
    return [d_a, d_b]


def _where(r: _Reverse, n: int, d: int) -> list[int | None]:
    condition, zero = r.node(n).args[0], r.number(0)
    return [None, r.op("where", condition, d, zero), r.op("where", condition, zero, d)]


RULES: dict[str, Rule] = {
    "add": lambda r, n, d: [d, d],
    "sub": lambda r, n, d: [d, r.op("neg", d)],
    "mul": _mul,
    "div": _div,
    "fma": _fused,
    "fms": _fused,
    "fnma": _fused,
    "neg": lambda r, n, d: [r.op("neg", d)],
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "relu": _relu,
    "exp": lambda r, n, d: [r.op("mul", d, n)],
    "log": lambda r, n, d: [r.op("div", d, r.node(n).args[0])],
    "softplus": lambda r, n, d: [r.op("mul", d, r.op("sigmoid", r.node(n).args[0]))],
    "abs": _abs,
    "sqrt": lambda r, n, d: [r.op("div", r.op("mul", d, r.number(0.5)), n)],
    "minimum": _extremum,
    "maximum": _extremum,
    "where": _where,
    "sum": lambda r, n, d: [d],
}
