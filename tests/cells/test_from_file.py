"""A cell by what a user calls it."""

from __future__ import annotations

import sys
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


def test_what_other_files_of_python_may_do_a_cell_s_file_may_do(tmp_path: Path) -> None:
    """Postponed annotations on a dataclass look their module up; a neighbour is imported by its name."""
    (tmp_path / "gates.py").write_text("from elman import tanh\nSCALE = 2.0\n")
    file = tmp_path / "cells.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass, field\n"
        "from typing import ClassVar\n"
        "import gates\n"
        "@dataclass\nclass Options:\n    scale: ClassVar[float] = 1.0\n"
        "    names: list[str] = field(default_factory=list)\n" + CELLS.replace("U @ h", "gates.SCALE * (U @ h)")
    )
    first = find_cell(f"{file}:mine").graph.hash
    assert not [name for name in sys.modules if name in ("gates", "cells", "_elman_cell_cells")]
    assert str(tmp_path) not in sys.path
    other = tmp_path / "other"
    other.mkdir()
    (other / "gates.py").write_text("SCALE = 3.0\n")
    (other / "cells.py").write_text(file.read_text())
    assert find_cell(f"{other / 'cells.py'}:mine").graph.hash != first


def test_a_library_below_the_folder_stays_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment may lie in the folder of the project; what is compiled cannot be imported twice."""
    library = tmp_path / ".venv" / "site-packages"
    library.mkdir(parents=True)
    (library / "some_library_of_mine.py").touch()
    monkeypatch.syspath_prepend(library)
    file = tmp_path / "cells.py"
    file.write_text("import some_library_of_mine\n" + CELLS)
    find_cell(f"{file}:mine")
    assert sys.modules.pop("some_library_of_mine", None) is not None


def test_a_cell_in_a_package(tmp_path: Path) -> None:
    package = tmp_path / "mine" / "deep"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package.parent / "gates.py").write_text("SCALE = 2.0\n")
    (package / "cells.py").write_text(
        "from ..gates import SCALE\nimport mine.gates\n" + CELLS.replace("U @ h", "SCALE * (U @ h)")
    )
    assert find_cell(f"{package / 'cells.py'}:mine").name == "mine"
    assert not [name for name in sys.modules if name.partition(".")[0] == "mine"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import sys; sys.exit(0)", "fails when it is run: SystemExit: 0"),
        ("raise GeneratorExit", "fails when it is run: GeneratorExit$"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "fails when it is run: E$"),
        ("raise SystemExit", "fails when it is run: SystemExit$"),
        ("exit('enough')", "fails when it is run: SystemExit: enough"),
        ("import no_such_neighbour", "fails when it is run: ModuleNotFoundError: No module named 'no_such_neighbour'"),
        ("def", "fails when it is run: SyntaxError"),
    ],
)
def test_a_file_that_ends_the_program_is_refused(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "cells.py"
    file.write_text(CELLS + line)
    with pytest.raises(ConfigError, match=message):
        find_cell(f"{file}:mine")
    assert str(tmp_path) not in sys.path


def test_what_a_file_prints_is_talk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cells.py"
    file.write_text("print('hello')\n" + CELLS)
    find_cell(f"{file}:mine")
    assert capsys.readouterr() == ("", "hello\n")
