"""A cell as the kernels run it: the step, the step that keeps what its gradient needs, the step of its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.emit.compile import compile_program
from elman.emit.phase import Array, Matrix, Role
from elman.emit.program import Program
from elman.emit.saving import choose_saved
from elman.equations.graph import PRODUCTS, Graph, Node
from elman.equations.passes.derivative import differentiate
from elman.equations.passes.lower import Lowered, lower
from elman.equations.passes.sums import Term, count_uses, sum_at


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
    """The gradient of an input: an element-wise part, and products of kept rows, made over all steps at once."""

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

    def __post_init__(self) -> None:
        self.inference.check_order()
        self.forward.check_order()

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
        self.derivative = differentiate(self.lowered)
        self.nodes: list[Node] = list(self.derivative.nodes)
        self.uses = count_uses(self.nodes, [*self.derivative.states.values(), *self.derivative.vectors.values()])
        self.split = self.derivative.forward
        self.results = {node: p for p in graph.states for name, node in self.lowered.results.items() if name == p.name}

    def run(self) -> Recurrence:
        inputs = tuple(self._input_gradient(p.name) for p in self.graph.inputs)
        rows = [o.d for o in self.derivative.outers] + [n for _, n, _ in inputs if n is not None]
        rows += [d for *_, products in inputs for _, d in products]  # those of constants have no outer product
        kept = {n: Array(f"d{n}", Role.KEPT, self._size(n)) for n in dict.fromkeys(rows)}
        vectors = self.derivative.vectors
        summed = {
            n: Array(f"d{n}", Role.SUMMED, self._size(n)) for n in dict.fromkeys(vectors.values()) if n not in kept
        }
        roots = [*kept, *summed, *self.derivative.states.values()]
        sources = [o.source for o in self.derivative.outers]
        saved_nodes = choose_saved(self.nodes, self.split, set(self.results), roots, sources)
        saved = {n: Array(f"v{n}", Role.SAVED, self._size(n)) for n in saved_nodes}
        step = self.nodes[: self.split]
        stores = [(node, Array(name, *self._role(name, node))) for name, node in self.lowered.results.items()]
        leaves = self._leaves(Role.CARRY)
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

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        self.uses.append(0)
        for arg in node.args:
            self.uses[arg] += 1
        return len(self.nodes) - 1

    def _role(self, name: str, node: int) -> tuple[Role, str]:
        is_state = any(p.name == name for p in self.graph.states)
        return (Role.NEXT if is_state else Role.OUTPUT), self._size(node)

    def _leaves(self, state_role: Role) -> dict[int, Array]:
        roles = {"input": Role.INPUT, "state": state_role, "vector": Role.VECTOR}
        step = self.nodes[: self.split]
        return {i: Array(str(n.value), roles[n.op], n.size) for i, n in enumerate(step) if n.op in roles}

    def _backward(self, saved: dict[int, Array], gradients: dict[int, Array]) -> Program:
        leaves = self._leaves(Role.BEFORE)
        for node, port in self.results.items():
            leaves.setdefault(node, Array(port.name, Role.AFTER, port.size))
        leaves |= saved
        for i, leaf in enumerate(self.nodes):
            if leaf.op == "adjoint":
                leaves[i] = Array(str(leaf.value), Role.CARRY, leaf.size)
            elif leaf.op == "d_output":
                leaves[i] = Array("output", Role.OUTPUT, leaf.size)
        stores = list(gradients.items())
        for port in self.graph.states:
            gradient = self.derivative.states.get(port.name)
            if gradient is None:
                gradient = self._add(Node("constant", value=0.0))
            stores.append((gradient, Array(port.name, Role.NEXT, port.size)))
        return compile_program(self.nodes, leaves, stores)

    def _source(self, node: int, saved: dict[int, Array]) -> Array:
        """Where the source of a product lies when all steps are over."""
        if node in saved:
            return saved[node]
        if node in self.results:
            return Array(self.results[node].name, Role.AFTER, self._size(node))
        op = self.nodes[node].op
        return Array(str(self.nodes[node].value), Role.INPUT if op == "input" else Role.BEFORE, self._size(node))

    def _input_gradient(self, name: str) -> tuple[str, int | None, list[tuple[Matrix, int]]]:
        """Split ∂loss/∂input into products, which wait until all steps are known, and the rest."""
        root = self.derivative.inputs.get(name)
        if root is None:
            return name, None, []
        self.uses[root] += 1
        terms = sum_at(self.nodes, self.uses, root).terms
        late = {n: None for sign, n in terms if sign > 0 and self.nodes[n].op in PRODUCTS and self.uses[n] == 1}
        self.uses[root] -= 1
        products = []
        for n in late:
            node = self.nodes[n]
            matrix = Matrix(str(node.value), node.op == "product_t", node.size, self._size(node.args[0]))
            products.append((matrix, node.args[0]))
        rest = [(sign, n) for sign, n in terms if n not in late]
        return name, self._sum(self._size(root), rest) if rest else None, products

    def _sum(self, size: str, terms: Sequence[Term]) -> int:
        sign, total = terms[0]
        if sign < 0:
            total = self._add(Node("neg", (total,), size=self._size(total)))
        for sign, node in terms[1:]:
            total = self._add(Node("add" if sign > 0 else "sub", (total, node), size=size))
        return total
