"""A cell by what a user calls it: a built-in name, or `file.py:name`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from elman import cells
from elman.equations import Cell
from elman.errors import ConfigError, ElmanError


def settled(choice: str) -> str:
    """The same choice, good from any folder: the path of a file is made absolute."""
    file, found, name = choice.rpartition(":")
    return f"{Path(file).resolve()}:{name}" if found else choice


def find_cell(choice: str) -> Cell:
    """The cell that is meant.

    Args:
        choice: the name of a built-in cell, or `file.py:name`; the file is run as Python.

    Raises:
        ConfigError: no such cell, no such file, a file that fails, a name in it that is no cell.
        EquationError: the file's equations are refused.
    """
    file, found, name = choice.rpartition(":")
    if not found:
        if Path(choice).suffix == ".py":
            raise ConfigError(f"`cell` {choice}: which cell in that file? write {choice}:name")
        return cells.get(choice)
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"`cell` {choice}: there is no file {file}")
    values = _run(path)
    value = values.get(name)
    if not isinstance(value, Cell):
        there = [key for key, other in values.items() if isinstance(other, Cell)]
        what = "is no cell" if name in values else "is not there"
        raise ConfigError(f"`cell` {choice}: {name} {what}; cells in {path.name}: {', '.join(there) or 'none'}")
    return value


def _run(path: Path) -> dict[str, object]:
    spec = importlib.util.spec_from_file_location(f"_elman_cell_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"`cell`: {path} is no Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ElmanError:
        raise
    except Exception as error:  # whatever a user's file may raise
        raise ConfigError(f"`cell`: {path} fails when it is run: {type(error).__name__}: {error}") from error
    return vars(module)
