"""How large a graph may be, in one place: what lies beyond is refused before anything is made from it.

The largest cells of papers have about a hundred nodes. A program that writes equations may need many more, and a
damaged file may ask for any number: within these bounds a graph is read, compiled and bound in a few seconds, because
all that is nearly linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from elman.equations.graph.graph import PRODUCTS, Graph, Node
from elman.equations.graph.operations import OPERATIONS


class Limit(NamedTuple):
    """The most that there may be of something."""

    most: int
    what: str

    def refusal(self, count: int) -> str:
        """What to say of more."""
        return f"{count:,} {self.what}, {self.most:,} at most; several cells, one upon the other, may do"


LARGEST = (2 - 2**-23) * 2.0**127
"""The largest number that equations may say: float32's, where a larger one would be infinite without a word."""

NODES = Limit(4_096, "nodes")
OPERANDS = Limit(16_384, "operands")  # of all nodes: a layer norm may join any number, and is a node for each
STAGES = Limit(256, "products, layer norms and sums that wait for one another")  # each is a pass over the units
NORMS = Limit(512, "layer norms")  # each becomes a dozen operations, and two dozen in the derivative
PORTS = Limit(256, "inputs and states")  # each is memory that every call brings
PARAMETERS = Limit(4_096, "parameters")  # each is used by a node
NUMBERS = Limit(1 << 20, "numbers of constant arrays")  # they stand in the model file as text


def excess(graph: Graph) -> str | None:
    """What a graph has too many of, in words, or None. Its nodes may be in any order; `stages` come later."""
    counts = (
        (NODES, len(graph.nodes)),
        (OPERANDS, sum(len(node.args) for node in graph.nodes)),
        (NORMS, sum(node.op == "layer_norm" for node in graph.nodes)),
        (PORTS, len(graph.inputs) + len(graph.states)),
        (PARAMETERS, len(graph.parameters) + len(graph.constants)),
        (NUMBERS, sum(len(row) if isinstance(row, tuple) else 1 for c in graph.constants for row in c.values)),
    )
    for limit, count in counts:
        if count > limit.most:
            return limit.refusal(count)
    return None


def stages(nodes: Sequence[Node]) -> int:
    """How many products, layer norms and sums stand on the longest way through nodes that are in order."""
    found: list[int] = []
    for node in nodes:
        waits = node.op in PRODUCTS or node.op == "layer_norm"
        waits = waits or (node.op in OPERATIONS and OPERATIONS[node.op].mixes)
        found.append(max((found[arg] for arg in node.args), default=0) + waits)
    return max(found, default=0)
