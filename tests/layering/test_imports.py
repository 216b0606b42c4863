"""Who may know whom, and what an import may cost."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "sklearn", "matplotlib", "msgspec", "tyro", "rich", "safetensors", "onnx", "onnxruntime")
TORCH_FREE = (
    "errors", "equations", "cells", "emit", "kernels", "sequences", "data", "formats", "state", "runtime", "decode",
    "codec",
)  # fmt: skip
STANDARD_LIBRARY_ONLY = {"errors", "equations", "cells", "emit"}


def python(code: str) -> str:
    """What a fresh interpreter prints for this code."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["elman", *(f"elman.{name}" for name in TORCH_FREE)])
def test_a_light_module_loads_nothing_heavy(module):
    loaded = python(f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))")
    assert loaded == ""


def test_the_package_alone_loads_no_dependency_at_all():
    assert python("import sys, elman; print('numpy' in sys.modules)") == "False"


def test_importing_loads_one_module_of_ours():
    """What an import costs is what it loads: `elman/__init__.py`, and of the standard library what stands there."""
    loaded = python("import sys; before = set(sys.modules); import elman; print(*set(sys.modules) - before)").split()
    assert [name for name in loaded if name.partition(".")[0] == "elman"] == ["elman"]
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"elman"}
    direct = {name.partition(".")[0] for name in imports(Path(python("import elman; print(elman.__file__)")))}
    assert direct <= {"__future__", "importlib", "typing", "elman"}


def test_every_public_name_is_there():
    assert python("import elman; print([n for n in elman.__all__ if getattr(elman, n, None) is None])") == "[]"


def test_public_names_are_listed_and_unknown_ones_refused():
    assert python("import elman; print(set(elman.__all__) <= set(dir(elman)))") == "True"
    assert python("import elman; print(hasattr(elman, 'no_such_name'))") == "False"


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; the layering is read from full names"
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "elman" else {node.module}
            )
    return found


@pytest.mark.parametrize("layer", ["equations", "cells", "emit"])
def test_the_equations_need_the_standard_library_alone(root, layer):
    files = sorted((root / "src" / "elman" / layer).rglob("*.py"))
    assert files, f"src/elman/{layer} holds no Python"
    strangers = {f"{path.relative_to(root)}: {name}" for path in files for name in imports(path) if not allowed(name)}
    assert not strangers


def test_only_the_command_line_writes_dashes(root):
    """Messages of the library name settings (`learning_rate`); the one place that makes options of them is in cli."""
    source = root / "src" / "elman"
    found = []
    for path in sorted(source.rglob("*.py")):
        if path.relative_to(source).parts[0] != "cli":
            constants = (n.value for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant))
            found += [
                (path.name, text) for text in constants if isinstance(text, str) and re.search(r"\B--[a-z]", text)
            ]
    assert found == []


@pytest.mark.parametrize("room", ["models", "train", "nn"])
def test_rooms_below_the_tasks_know_none_by_name(root, room):
    from elman.tasks import REGISTRY

    for path in sorted((root / "src" / "elman" / room).rglob("*.py")):
        assert not any(name.startswith("elman.tasks.") and name != "elman.tasks.task" for name in imports(path)), path
        constants = {n.value for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant)}
        assert not constants & set(REGISTRY), path


def allowed(name: str) -> bool:
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] in STANDARD_LIBRARY_ONLY if top == "elman" else top in sys.stdlib_module_names


def test_import_contracts_hold(root):
    """The contracts of pyproject.toml, read by import-linter."""
    command = shutil.which("lint-imports", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if command is None:
        pytest.skip("import-linter is not installed (extra dev)")
    done = subprocess.run([command, "--no-cache", "--no-logo"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
