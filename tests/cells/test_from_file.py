"""A cell by what a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman import cells
from elman.cells.from_file import find_cell, settled
from elman.errors import ConfigError, EquationError

CELLS = """
from elman import cell, tanh

@cell(states="h")
def mine(x, h, W, U, b):
    return tanh(W @ x + U @ h + b)

number = 3
"""


def test_a_cell_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells.py").write_text(CELLS)
    monkeypatch.chdir(tmp_path)
    assert find_cell("cells.py:mine").name == "mine"
    assert settled("cells.py:mine") == f"{tmp_path.resolve()}/cells.py:mine"
    assert settled("lstm") == "lstm"
    assert find_cell("lstm") == cells.get("lstm")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("nosuch", "unknown cell 'nosuch'; built in: elman"),
        ("missing.py:mine", "no file missing.py"),
        ("cells.py", "write cells.py:name"),
        ("cells.py:other", "other is not there; cells in cells.py: mine"),
        ("cells.py:number", "number is no cell"),
        ("broken.py:mine", "fails when it is run: ZeroDivisionError"),
        ("cells.txt:mine", "must end in .py"),
    ],
)
def test_cells_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, message: str) -> None:
    (tmp_path / "cells.py").write_text(CELLS)
    (tmp_path / "cells.txt").write_text(CELLS)
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        find_cell(choice)


def test_refused_equations_keep_their_message(tmp_path: Path) -> None:
    file = tmp_path / "cells.py"
    file.write_text(CELLS.replace("tanh(W", "max(W"))
    with pytest.raises(EquationError):
        find_cell(f"{file}:mine")
