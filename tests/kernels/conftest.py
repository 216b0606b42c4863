"""Building the stand-alone C++ checks with the system's compiler, with the flags of CMakeLists.txt."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

COMMON = [
    "-std=c++20",
    "-O2",
    "-Wall",
    "-Wextra",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-pthread",
]
HERE = Path(__file__).resolve().parent

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(root, tmp_path_factory) -> Build:
    """`build(source, *kernel_sources, flags=())`: the program made of tests/kernels/source and files of the kernels."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler (c++) on PATH")
    kernels = root / "src" / "elman" / "kernels" / "native"
    built: dict[tuple[str, ...], Path] = {}

    def make(source: str, *kernel_sources: str, flags: tuple[str, ...] = ()) -> Path:
        key = (source, *kernel_sources, *flags)
        if key not in built:
            program = tmp_path_factory.mktemp("checks") / Path(source).stem
            sources = [HERE / source, *(kernels / name for name in kernel_sources)]
            # -iquote, not -I: to the rest of the program <math.h> and <threads.h> are the C library's.
            command = [compiler, *COMMON, *flags, "-iquote", kernels, *sources, "-o", program, "-ldl"]
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert "warning:" not in done.stderr, done.stderr
            built[key] = program
        return built[key]

    return make


@pytest.fixture(scope="session")
def isa_flags(root) -> dict[str, tuple[str, ...]]:
    """Instruction set -> compiler flags, as CMakeLists.txt has them."""
    text = (root / "CMakeLists.txt").read_text("utf-8")
    found = re.findall(r"^ *add_isa\((\w+)\s+(\d+)([^)]*)\)", text, flags=re.MULTILINE)
    assert {"generic", "avx2", "avx512", "avx512_bf16"} <= {name for name, _, _ in found}
    return {name: (f"-DELMAN_VECTOR_BYTES={width}", *flags.split()) for name, width, flags in found}


@pytest.fixture(scope="session")
def available(build) -> list[str]:
    """The instruction sets that this machine runs, narrowest first."""
    program = build("dispatch_check.cc", "host/dispatch.cc")
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True, env={})
    return json.loads(done.stdout)["available"]
