"""Writes programs.txt: the programs of every built-in cell as the extension reads them, for the stand-alone driver.

    python -m tests.kernels.write_programs

A line is: name, backward (0 or 1), steps (0 or 1), how many whole numbers, these, how many constants, these.
"""

from __future__ import annotations

from pathlib import Path

from elman import cells
from elman.emit import emit, input_gradient, split_inputs
from elman.equations import Port
from elman.kernels.encode import encode

FILE = Path(__file__).with_name("programs.txt")
SIZES = ({"D": 5, "H": 7, "P": 3}, {"D": 9, "H": 70, "P": 33})


def text() -> str:
    """All programs of all cells at all sizes."""
    return "".join(line + "\n" for name in cells.names() for sizes in SIZES for line in _lines(name, sizes))


def _lines(name: str, sizes: dict[str, int]) -> list[str]:
    graph = cells.get(name).graph
    recurrence = emit(graph)
    adjoints = [Port(p.name, p.size) for p in graph.states]
    label = f"{name}-{sizes['H']}"
    lines = [
        _line(f"{label}-inference", recurrence.inference, sizes, graph.states),
        _line(f"{label}-forward", recurrence.forward, sizes, graph.states),
        _line(f"{label}-backward", recurrence.backward, sizes, adjoints, graph.states, backward=True),
    ]
    split = split_inputs(recurrence.inference)
    if split:
        lines.append(_line(f"{label}-projection", split[0], sizes, (), steps=False))
        lines.append(_line(f"{label}-recurrence", split[1], sizes, graph.states))
    letters = {p.name: p.size for p in graph.inputs}
    for gradient in recurrence.input_gradients:
        if gradient.products or gradient.pointwise:
            program = input_gradient(gradient, letters[gradient.name])
            lines.append(_line(f"{label}-d_{gradient.name}", program, sizes, (), steps=False))
    return lines


def _line(label, program, sizes, recurrents, befores=(), *, backward=False, steps=True) -> str:
    code, values = encode(program, sizes, recurrents, befores)
    numbers = [int(backward), int(steps), len(code), *code, len(values)]
    return " ".join([label, *map(str, numbers), *(repr(value) for value in values)])


if __name__ == "__main__":
    FILE.write_text(text())
