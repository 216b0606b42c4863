"""`_kernels.pyi` says what the compiled extension is: the same names, each with as many parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from elman import kernels
from elman.kernels import _kernels

STUB = ast.parse(Path(kernels.__file__).with_name("_kernels.pyi").read_text("utf-8"))


def stated() -> dict[str, int]:
    """Parameters of each function and method in the stub, `self` apart."""
    found = {node.name: _count(node) for node in STUB.body if isinstance(node, ast.FunctionDef)}
    for node in STUB.body:
        if isinstance(node, ast.ClassDef):
            methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and not m.decorator_list]
            found |= {f"{node.name}.{m.name}": _count(m) - 1 for m in methods}
    return found


def compiled() -> dict[str, int]:
    """The same of the extension, from the signatures that nanobind keeps."""
    found = {}
    for owner, names in [("", _kernels), *((f"{c.name}.", getattr(_kernels, c.name)) for c in _classes())]:
        for name, value in vars(names).items():
            if hasattr(value, "__nb_signature__") and (name == "__init__" or not name.startswith("__")):
                (signature, *_), *others = value.__nb_signature__
                assert not others, f"{owner}{name} is overloaded"
                found[owner + name] = len(re.findall(r"\b\w+: ", signature))
    return found


def _classes() -> list[ast.ClassDef]:
    return [node for node in STUB.body if isinstance(node, ast.ClassDef)]


def _count(node: ast.FunctionDef) -> int:
    return len(node.args.posonlyargs) + len(node.args.args)


def test_names_and_parameters() -> None:
    assert stated() == compiled()


def test_classes_and_values() -> None:
    classes = {name for name, value in vars(_kernels).items() if isinstance(value, type)}
    assert classes == {node.name for node in _classes()}
    for node in _classes():
        properties = {m.name for m in node.body if isinstance(m, ast.FunctionDef) and m.decorator_list}
        there = {n for n, value in vars(getattr(_kernels, node.name)).items() if isinstance(value, property)}
        assert properties == there
