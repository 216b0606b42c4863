"""A cell as the kernels run it: the step, the step that keeps what the gradient needs, and the step of its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.emit.program import Array, Matrix, Program, compile_program
from elman.equations.derivative import Derivative, differentiate
from elman.equations.graph import PRODUCTS, Graph, Node
from elman.equations.lower import Lowered, count_uses, lower, terms_of

CHEAP = frozenset({"add", "sub", "mul", "div", "neg", "where", "greater", "greater_equal", "minimum", "maximum", "abs",
                   "relu", "spread"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class MatrixGradient:
    """The gradient of a parameter matrix: the sum over all steps of d ⊗ source (transposed: source ⊗ d)."""

    matrix: str
    transposed: bool
    source: Array
    d: Array


@dataclass(frozen=True, slots=True)
class VectorGradient:
    """The gradient of a parameter vector: the sum of the rows d, one for each step (kept) or each lane (summed)."""

    vector: str
    d: Array


@dataclass(frozen=True, slots=True)
class InputGradient:
    """The gradient of an input: products of kept rows, after the recurrence over all steps at once, and an element-wise part."""

    name: str
    pointwise: Array | None
    products: tuple[tuple[Matrix, Array], ...]


@dataclass(frozen=True)
class Recurrence:
    """Programs and gradients of one cell.

    `saved` goes from forward to backward; `kept` and `summed` go from backward to the gradients of the parameters.
    """

    lowered: Lowered
    inference: Program
    forward: Program
    backward: Program
    saved: tuple[Array, ...]
    kept: tuple[Array, ...]
    summed: tuple[Array, ...]
    matrix_gradients: tuple[MatrixGradient, ...]
    vector_gradients: tuple[VectorGradient, ...]
    input_gradients: tuple[InputGradient, ...]

    @property
    def graph(self) -> Graph:
        """The equations."""
        return self.lowered.graph


_EMITTED: dict[str, Recurrence] = {}


def emit(graph: Graph) -> Recurrence:
    """The programs of a cell (made once for equal equations)."""
    key = graph.hash
    if key not in _EMITTED:
        _EMITTED[key] = _Emitter(graph).run()
    return _EMITTED[key]


class _Emitter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lowered = lower(graph)
        self.derivative: Derivative = differentiate(self.lowered)
        self.nodes: list[Node] = list(self.derivative.nodes)
        self.split = self.derivative.forward
        self.results = {node: p for p in graph.states for name, node in self.lowered.results.items() if name == p.name}

    def run(self) -> Recurrence:
        inputs = tuple(self._input_gradient(p.name) for p in self.graph.inputs)
        rows = [o.d for o in self.derivative.outers] + [n for _, n, _ in inputs if n is not None]
        kept = {n: Array(f"d{n}", "kept", self._size(n)) for n in dict.fromkeys(rows)}
        vectors = self.derivative.vectors
        summed = {n: Array(f"d{n}", "summed", self._size(n)) for n in dict.fromkeys(vectors.values()) if n not in kept}
        backward_roots = [*kept, *summed, *self.derivative.states.values()]
        saved_nodes = self._choose_saved(backward_roots)
        saved = {n: Array(f"v{n}", "saved", self._size(n)) for n in saved_nodes}
        step = self.nodes[: self.split]
        stores = [(node, Array(name, *self._role(name, node))) for name, node in self.lowered.results.items()]
        leaves = self._leaves("carry")
        return Recurrence(
            lowered=self.lowered,
            inference=compile_program(step, leaves, stores),
            forward=compile_program(step, leaves, stores + list(saved.items())),
            backward=self._backward(saved, kept | summed),
            saved=tuple(saved.values()),
            kept=tuple(kept.values()),
            summed=tuple(summed.values()),
            matrix_gradients=tuple(
                MatrixGradient(o.matrix, o.transposed, self._source(o.source, saved), kept[o.d])
                for o in self.derivative.outers
            ),
            vector_gradients=tuple(VectorGradient(name, kept.get(n) or summed[n]) for name, n in vectors.items()),
            input_gradients=tuple(
                InputGradient(name, None if part is None else kept[part], tuple((m, kept[d]) for m, d in products))
                for name, part, products in inputs
            ),
        )

    def _size(self, node: int) -> str:
        return self.nodes[node].size

    def _role(self, name: str, node: int) -> tuple[str, str]:
        is_state = any(p.name == name for p in self.graph.states)
        return ("next" if is_state else "output"), self._size(node)

    def _leaves(self, state_role: str) -> dict[int, Array]:
        roles = {"input": "input", "state": state_role, "vector": "vector"}
        step = self.nodes[: self.split]
        return {i: Array(str(n.value), roles[n.op], n.size) for i, n in enumerate(step) if n.op in roles}

    def _backward(self, saved: dict[int, Array], gradients: dict[int, Array]) -> Program:
        leaves = self._leaves("before")
        for node, port in self.results.items():
            leaves.setdefault(node, Array(port.name, "after", port.size))
        leaves |= saved
        for i, node in enumerate(self.nodes):
            if node.op == "adjoint":
                leaves[i] = Array(str(node.value), "carry", node.size)
            elif node.op == "d_output":
                leaves[i] = Array("output", "output", node.size)
        stores = list(gradients.items())
        for port in self.graph.states:
            gradient = self.derivative.states.get(port.name)
            if gradient is None:
                self.nodes.append(Node("constant", value=0.0))
                gradient = len(self.nodes) - 1
            stores.append((gradient, Array(port.name, "next", port.size)))
        return compile_program(self.nodes, leaves, stores)

    def _source(self, node: int, saved: dict[int, Array]) -> Array:
        """Where the source of a product lies when all steps are over."""
        if node in saved:
            return saved[node]
        if node in self.results:
            return Array(self.results[node].name, "after", self._size(node))
        op = self.nodes[node].op
        return Array(str(self.nodes[node].value), "input" if op == "input" else "before", self._size(node))

    def _input_gradient(self, name: str) -> tuple[str, int | None, list[tuple[Matrix, int]]]:
        """Split ∂loss/∂input into products, which wait until all steps are known, and the rest."""
        root = self.derivative.inputs.get(name)
        if root is None:
            return name, None, []
        uses = count_uses(self.nodes, [root, *self.derivative.states.values(), *self.derivative.vectors.values()])
        terms = terms_of(self.nodes, uses, root)
        late = [n for sign, n in terms if sign > 0 and self.nodes[n].op in PRODUCTS and uses[n] == 1]
        products = []
        for n in late:
            node = self.nodes[n]
            matrix = Matrix(str(node.value), node.op == "product_t", node.size, self._size(node.args[0]))
            products.append((matrix, node.args[0]))
        rest = [(sign, n) for sign, n in terms if n not in late]
        return name, self._sum(rest) if rest else None, products

    def _sum(self, terms: Sequence[tuple[int, int]]) -> int:
        sign, total = terms[0]
        if sign < 0:
            self.nodes.append(Node("neg", (total,), size=self._size(total)))
            total = len(self.nodes) - 1
        for sign, node in terms[1:]:
            self.nodes.append(Node("add" if sign > 0 else "sub", (total, node), size=self._size(node)))
            total = len(self.nodes) - 1
        return total

    def _choose_saved(self, roots: Sequence[int]) -> list[int]:
        """The forward values to keep: what the backward step reads and cannot cheaply compute again."""
        wanted = sorted(self._read_by_backward(roots))
        saved = {n for n in wanted if not self._available(n) and not self._cheap(n) and not self._again(n)}
        saved |= {o.source for o in self.derivative.outers if not self._available(o.source)}
        for n in wanted:
            if n not in saved and self._cheap(n):
                saved |= {n} if self._missing(n, saved) else set()
        return sorted(saved)

    def _read_by_backward(self, roots: Sequence[int]) -> set[int]:
        found: set[int] = set()
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            n = stack.pop()
            if n in seen:
                continue
            seen.add(n)
            if n < self.split:
                found.add(n)
            else:
                stack += self.nodes[n].args[:1] if self.nodes[n].op == "spread" else self.nodes[n].args
        return found

    def _available(self, n: int) -> bool:
        """Whether a forward value lies in memory anyway."""
        return self.nodes[n].op in ("input", "state", "vector", "constant", "count") or n in self.results

    def _cheap(self, n: int) -> bool:
        """Whether a value costs little to compute again from its operands; a sum of products never does."""
        node = self.nodes[n]
        return node.op in CHEAP and not (node.op in ("add", "sub") and any(self._of_products(arg) for arg in node.args))

    def _of_products(self, n: int) -> bool:
        node = self.nodes[n]
        return node.op in PRODUCTS or (node.op in ("add", "sub") and any(self._of_products(arg) for arg in node.args))

    def _again(self, n: int) -> bool:
        """Whether a function is computed again rather than kept: where its operands lie in memory anyway."""
        node = self.nodes[n]
        return node.op not in PRODUCTS and node.op != "sum" and not self._of_products(n) and all(self._available(arg) for arg in node.args)

    def _missing(self, n: int, saved: set[int]) -> set[int]:
        """What would have to be kept so that a cheap value can be computed again."""
        if n in saved or self._available(n) or self._again(n):
            return set()
        if not self._cheap(n):
            return {n}
        node = self.nodes[n]
        args = node.args[:1] if node.op == "spread" else node.args
        found: set[int] = set()
        for arg in args:
            found |= self._missing(arg, saved)
        return found
