"""The tree of a beam search, as data, as text and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

Status = Literal["kept", "finished", "pruned"]
_ROW, _COLUMN, _MARGIN = 22, 84, 14
_COLOURS = {"kept": "#1f6feb", "finished": "#1a7f37", "pruned": "#9a9a9a"}


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A hypothesis: its parent's tokens and one more.

    Attributes:
        parent: index of a node, -1 for the prompt.
        token: what it adds.
        score: of the whole hypothesis.
        step: how many tokens it has.
        status: whether it went on, ended, or was left out.
    """

    parent: int
    token: int
    score: float
    step: int
    status: Status


@dataclass(eq=False)
class Tree:
    """Every hypothesis that was kept or finished, and those that were pruned last.

    Attributes:
        nodes: parents before children.
        spell: token → text, to show it.
    """

    spell: Callable[[int], str] = str
    nodes: list[TreeNode] = field(default_factory=list)

    def add(self, parent: int, token: int, score: float, status: Status) -> int:
        """A hypothesis more; gives its index."""
        step = 1 if parent < 0 else self.nodes[parent].step + 1
        self.nodes.append(TreeNode(parent, token, score, step, status))
        return len(self.nodes) - 1

    def path(self, node: int) -> list[int]:
        """The tokens that lead to a node."""
        tokens = []
        while node >= 0:
            tokens.append(self.nodes[node].token)
            node = self.nodes[node].parent
        return tokens[::-1]

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON values, a node each."""
        return [
            {"parent": n.parent, "token": n.token, "text": self.spell(n.token), "score": n.score, "status": n.status}
            for n in self.nodes
        ]

    def to_text(self) -> str:
        """An indented list: `=` finished, `x` pruned, others went on. A line goes on while there is no choice."""
        marks = {"kept": " ", "finished": "=", "pruned": "x"}
        children = self._children()
        lines, waiting = [], [(index, 0) for index in reversed(children.get(-1, []))]
        while waiting:
            index, depth = waiting.pop()
            text = self.spell(self.nodes[index].token)
            while len(below := children.get(index, [])) == 1:
                index = below[0]
                text += self.spell(self.nodes[index].token)
            node = self.nodes[index]
            lines.append(f"{marks[node.status]} {'  ' * depth}{_visible(text)}  {node.score:.3f}")
            waiting += [(child, depth + 1) for child in reversed(below)]
        return "\n".join(lines)

    def to_svg(self) -> str:
        """A picture of its own: columns are steps, a line leads from a hypothesis to each of its continuations."""
        place = {index: row for row, index in enumerate(self._walk())}
        steps = max((node.step for node in self.nodes), default=0)
        width, height = 2 * _MARGIN + _COLUMN * (steps + 1), 2 * _MARGIN + _ROW * max(1, len(place))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'font-family="monospace" font-size="12">'
        ]
        for index, row in place.items():
            parts += self._drawn(self.nodes[index], row, place)
        return "\n".join([*parts, "</svg>"])

    def _drawn(self, node: TreeNode, row: int, place: dict[int, int]) -> Iterator[str]:
        x, y = _MARGIN + _COLUMN * (node.step - 1), _MARGIN + _ROW * row + _ROW // 2
        colour = _COLOURS[node.status]
        if node.parent >= 0:
            px, py = x - _COLUMN + 6, _MARGIN + _ROW * place[node.parent] + _ROW // 2 + 4
            yield f'<path d="M{px} {py} V{y} H{x - 4}" fill="none" stroke="{colour}" stroke-opacity="0.5"/>'
        shape = f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>'
        label = f'<text x="{x + 8}" y="{y + 4}" fill="{colour}">{escape(self._label(node))} {node.score:.2f}</text>'
        yield f"<g>{shape}{label}<title>{node.status}: {escape(self._label(node))} {node.score:.6f}</title></g>"

    def _label(self, node: TreeNode) -> str:
        return _visible(self.spell(node.token))

    def _children(self) -> dict[int, list[int]]:
        """By parent, the best first."""
        children: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            children.setdefault(node.parent, []).append(index)
        for each in children.values():
            each.sort(key=lambda index: (-self.nodes[index].score, index))
        return children

    def _walk(self) -> Iterator[int]:
        """Nodes, children under their parents."""
        children = self._children()
        waiting = children.get(-1, [])[::-1]
        while waiting:
            index = waiting.pop()
            yield index
            waiting += children.get(index, [])[::-1]


def _visible(text: str) -> str:
    return text if text.isprintable() and text.strip() else repr(text)
