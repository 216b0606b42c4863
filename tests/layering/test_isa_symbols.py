"""What the objects of one instruction set show to the linker.

The same source is compiled for several instruction sets and linked into one module. A weak symbol (an inline function,
a template) that two objects share is kept once, and the linker may keep the AVX-512 copy: code meant for every machine
would then stop on most. So an object exports the function that gives its table, and nothing else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

# Letters of nm: defined and local (t d b r s), undefined (U); the rest is seen by other objects.
NOT_EXPORTED = set("tdbrsUa")


@pytest.fixture(scope="module")
def objects(root) -> dict[str, list[Path]]:
    """The object files of each instruction set, from the newest build."""
    lists = sorted(root.glob("build/*/isa_objects.txt"), key=lambda path: path.stat().st_mtime)
    if not lists:
        pytest.skip("no build folder here: the extension was not built from this checkout")
    if shutil.which("nm") is None:
        pytest.skip("nm is not on PATH")
    found: dict[str, list[Path]] = {}
    for line in lists[-1].read_text("utf-8").splitlines():
        name, _, path = line.partition(" ")
        found.setdefault(name, []).append(Path(path))
    assert found, f"{lists[-1]} is empty"
    return found


def exported(path: Path) -> dict[str, str]:
    """Symbol -> letter of nm, for what other objects can see."""
    done = subprocess.run(["nm", "-C", str(path)], capture_output=True, text=True, check=True)
    symbols = (re.fullmatch(r"[0-9a-f ]*([A-Za-z]) (.+)", line) for line in done.stdout.splitlines())
    return {match[2]: match[1] for match in symbols if match and match[1] not in NOT_EXPORTED}


def test_each_instruction_set_exports_one_symbol_and_it_is_strong(objects):
    for name, paths in objects.items():
        symbols = {symbol: letter for path in paths for symbol, letter in exported(path).items()}
        assert symbols == {f"elman_isa_{name}": "T"}


def test_the_reader_of_symbols_sees_weak_ones(tmp_path):
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("needs a C++ compiler and nm")
    source = tmp_path / "weak.cc"
    source.write_text("inline int twice(int x) { return 2 * x; }\nint (*elman_isa_x)(int) = twice;\n")
    subprocess.run([compiler, "-c", str(source), "-o", str(tmp_path / "weak.o")], check=True)
    assert set(exported(tmp_path / "weak.o")) == {"twice(int)", "elman_isa_x"}
