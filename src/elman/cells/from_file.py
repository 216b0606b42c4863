"""A cell by what a user calls it: a built-in name, or `file.py:name`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
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
    values = _run(path.resolve())
    value = values.get(name)
    if not isinstance(value, Cell):
        there = [key for key, other in values.items() if isinstance(other, Cell)]
        what = "is no cell" if name in values else "is not there"
        raise ConfigError(f"`cell` {choice}: {name} {what}; cells in {path.name}: {', '.join(there) or 'none'}")
    return value


def _run(path: Path) -> dict[str, object]:
    """What a file defines, run as if it were the program: its neighbours can be imported; its prints are talk."""
    folder, name = _place(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"`cell`: {path} is no Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    try:
        with _neighbours(folder), redirect_stdout(sys.stderr):
            sys.modules[name] = module  # until it is run: dataclasses look their module up
            spec.loader.exec_module(module)
    except (ElmanError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a user's file may raise, its own way to exit included
        raise ConfigError(f"`cell`: {path} fails when it is run: {_told(error)}") from error
    return vars(module)


def _told(error: BaseException) -> str:
    """The kind of an error and what it says, where it can say anything."""
    with suppress(Exception):
        if said := str(error):
            return f"{type(error).__name__}: {said}"
    return type(error).__name__


def _place(path: Path) -> tuple[Path, str]:
    """The folder that its imports are looked for in, and the name of the module: in a package, with the package's."""
    folder, names = path.parent, [path.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(names) if len(names) > 1 else f"_elman_cell_{path.stem}"


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Let modules be imported from a folder while the block runs, and forget them after it: another has its own."""
    before = dict(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(str(folder))
        new = [name for name, module in sys.modules.items() if before.get(name) is not module]
        for name in [name for name in new if _is_neighbour(name, folder)]:
            del sys.modules[name]


def _is_neighbour(name: str, folder: Path) -> bool:
    """Whether a module, or the package that it is in, was found in this folder and not in one below, as a library."""
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(Path(place).parent == folder for place in places if isinstance(place, str))
