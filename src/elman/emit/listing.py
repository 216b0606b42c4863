"""Graphs and programs as text, to be read: what stands between a cell's equations and its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from elman.emit.phase import Array, Instruction, Phase, Role, memory
from elman.emit.program import Program
from elman.equations.graph import PRODUCTS, Graph, Node


def listing(value: Graph | Program | Sequence[Node], first: int = 0) -> str:
    """One line a node, or a phase after the other with one line for each chain, product and instruction.

    Args:
        value: a cell's graph, nodes of it or of its derivative, or a program.
        first: the node that the text begins with.
    """
    if isinstance(value, Program):
        return "\n".join(line for number, phase in enumerate(value.phases) for line in _phase(value, number, phase))
    nodes = value.nodes if isinstance(value, Graph) else value
    return "\n".join(_node(number, node) for number, node in enumerate(nodes) if number >= first)


def _node(number: int, node: Node) -> str:
    """A node's number, its size, what makes it, and the name that the author gave it."""
    operands = ", ".join(map(str, node.args))
    if node.op in PRODUCTS:
        made = f"{node.value}{'.T' if node.op == 'product_t' else ''} @ {operands}"
    elif node.args:
        made = f"{node.op}({operands})"
    else:
        made = f"{node.op} {node.value:g}" if isinstance(node.value, float) else f"{node.op} {node.value}"
    named = f"  # {node.name}, line {node.line}" if node.name else ""
    return f"{number:3} [{node.size}] {made}{named}"


def _phase(program: Program, number: int, phase: Phase) -> list[str]:
    lines = [f"phase {number} over {phase.size}, {phase.registers} registers"]
    for chain, start in enumerate(phase.starts):
        lines.append(f"  r{chain} begins with {'0' if start < 0 else _array(program.arrays[start])}")
    for link in phase.links:
        source = _array(program.arrays[link.source])
        for chain, index in link.products:
            matrix = program.matrices[index]
            lines.append(f"  r{chain} += {matrix.name}{'.T' if matrix.transposed else ''} @ {source}")
    return lines + [_instruction(program, instruction) for instruction in phase.code]


def _instruction(program: Program, instruction: Instruction) -> str:
    operands = ", ".join(_operand(program, arg) for arg in instruction.args)
    return f"  {_operand(program, instruction.target)} = {instruction.op}({operands})"


def _operand(program: Program, operand: int) -> str:
    return f"r{operand}" if operand >= 0 else _array(program.arrays[memory(operand)])


def _array(array: Array) -> str:
    """A name with its role; a constant is its number."""
    if isinstance(array.value, float):
        return f"{array.value:g}"
    return array.name if array.role is Role.VECTOR else f"{array.name}:{array.role.value}"
