"""Cells written as text: a test can change a line of one, and knows the number of every line."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from typing import Any

import pytest

from elman import equations
from elman.equations import Cell, EquationError

NAMES = {name: getattr(equations, name) for name in equations.__all__ if name[0].islower()}
_files = (f"<cell {number}>" for number in itertools.count())


def run(source: str, file: str | None = None, **names: Any) -> dict[str, Any]:
    """Run a text as a module whose source Python knows; elman's functions and `names` are there."""
    file = file or next(_files)
    source = textwrap.dedent(source).strip() + "\n"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    values = {**NAMES, **names}
    exec(compile(source, file, "exec", dont_inherit=True), values)
    return values


def make(source: str, **names: Any) -> Cell:
    """The last cell that a text defines."""
    return [value for value in run(source, **names).values() if isinstance(value, Cell)][-1]


def refused(source: str, **names: Any) -> str:
    """What a text is refused with: a message that names the function `step` and the line with the comment HERE."""
    lines = textwrap.dedent(source).strip().splitlines()
    (number, line), *more = [(k, line.strip()) for k, line in enumerate(lines, 1) if "# HERE" in line]
    assert not more
    with pytest.raises(EquationError) as caught:
        run(source, **names)
    message = str(caught.value)
    assert message.startswith(f"step: line {number} ({line}): "), message
    problem, _, cure = message.partition("): ")[2].partition("; ")
    assert problem
    assert cure
    return message
