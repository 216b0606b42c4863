"""What a forward step keeps for its derivative: the least memory from which the rest can be computed again.

Memory is what a backward pass waits for: a row that comes from far costs more than a function of rows that are near. So
the saved values are a least cut, by their sizes, between what no pointwise operation makes (products, sums) and what
the derivative reads; of all least cuts the one next to the derivative, which computes least again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from elman.equations.graph import LEAVES, SCALAR, Node
from elman.equations.graph.operations import read_args, reduces
from elman.equations.passes.sums import sums_of_products

_ROW = 64  # a row counts as so many scalars
_NEVER = 1 << 40


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
    there = {n for n in range(forward) if nodes[n].op in LEAVES or n in kept}
    saved = {n for n in sources if n not in there}
    read = _read(nodes, forward, roots) - there - saved
    return sorted(saved | _least_cut(nodes, read, there | saved))


def _least_cut(nodes: Sequence[Node], read: Collection[int], there: Collection[int]) -> set[int]:
    """The lightest set of nodes that, with what is `there`, leads to all that is read."""
    network = _Network()
    made = sums_of_products(nodes)
    stack, seen = list(read), set(read)
    for n in read:
        network.join((n, "out"), "end", _NEVER)
    while stack:
        n = stack.pop()
        network.join((n, "in"), (n, "out"), 1 if nodes[n].size == SCALAR else _ROW)
        if reduces(nodes[n].op) or made[n]:
            network.join("begin", (n, "in"), _NEVER)
            continue
        for arg in set(nodes[n].args) - set(there):
            network.join((arg, "out"), (n, "in"), _NEVER)
            if arg not in seen:
                seen.add(arg)
                stack.append(arg)
    behind = network.behind_cut("begin", "end")
    return {n for n in seen if (n, "out") in behind and (n, "in") not in behind}


def _read(nodes: Sequence[Node], forward: int, roots: Iterable[int]) -> set[int]:
    """The nodes of the step that its derivative reads."""
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
                stack += read_args(nodes[n])
    return found


Place = tuple[int, str] | str


class _Network:
    """Pipes with capacities; the largest flow fills the least cut.

    Reference: Dinic 1970, by layers of equal distance: as many rounds as there are lengths of paths, which are few.
    """

    def __init__(self) -> None:
        self.room: dict[Place, dict[Place, int]] = {}

    def join(self, a: Place, b: Place, capacity: int) -> None:
        self.room.setdefault(a, {})[b] = capacity
        self.room.setdefault(b, {}).setdefault(a, 0)

    def behind_cut(self, begin: Place, end: Place) -> set[Place]:
        """The places behind the last of the least cuts: from which the end can still be reached."""
        if end not in self.room or begin not in self.room:
            return set()
        while begin in (layers := self._layers(end)):
            self._fill(begin, end, layers)
        return set(layers)

    def _layers(self, end: Place) -> dict[Place, int]:
        """How far from the end each place is, over pipes with room left."""
        distance = {end: 0}
        queue = deque([end])
        while queue:
            b = queue.popleft()
            for a in self.room[b]:
                if a not in distance and self.room[a][b] > 0:
                    distance[a] = distance[b] + 1
                    queue.append(a)
        return distance

    def _fill(self, begin: Place, end: Place, distance: Mapping[Place, int]) -> None:
        """Send what fits along shortest paths; a pipe that leads no further is not tried again."""
        ways = {place: [b for b in self.room[place] if distance.get(b) == d - 1] for place, d in distance.items()}
        path = [begin]
        while path:
            here = path[-1]
            while ways[here] and self.room[here][ways[here][-1]] == 0:
                ways[here].pop()
            if here == end:
                path = path[: self._send(path)]
            elif ways[here]:
                path.append(ways[here][-1])
            else:
                path.pop()
                if path:
                    ways[path[-1]].pop()

    def _send(self, path: Sequence[Place]) -> int:
        """Send the most that a path takes; how many of its places stand before the first pipe that is full then."""
        pipes = list(pairwise(path))
        flow = min(self.room[a][b] for a, b in pipes)
        for a, b in pipes:
            self.room[a][b] -= flow
            self.room[b][a] += flow
        return next(k for k, (a, b) in enumerate(pipes, 1) if self.room[a][b] == 0)
