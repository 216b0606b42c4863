"""Out of memory in the middle of a team of threads: the caller has a MemoryError, the process goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="the limit is set by the system's own call")

# 64 sequences of 2^18 units: each thread's share of the states that nobody keeps is larger than what is left.
SCRIPT = """
import resource
from pathlib import Path
import numpy as np
from elman import cells
from elman.kernels import Rows, StateMemory, Weight, Plan, engine_for, team, linear_for, Precision
from elman.sequences import lanes

assert team().startswith(TEAM), team()
H, B, T = 1 << 18, 64, 2
engine = engine_for(cells.get("indrnn").graph, {"D": 1, "H": H})
weights = {p.name: np.full((H, 1) if len(p.shape) == 2 else H, 0.5, np.float32) for p in engine.graph.parameters}
places = {name: Weight(array.ctypes.data) for name, array in weights.items()}
x, final = np.ones((T * B, 1), np.float32), np.zeros((B, H), np.float32)
kernel = engine.inference.whole
packed = kernel.pack(places)
plan = (lambda p: Plan(p.rows, p.segments, p.lanes))(lanes.dense(T, B))
rows = {array: Rows(x.ctypes.data, 1) for array in kernel.program.arrays if array.name == "x"}

def step(threads):
    final[:] = 0
    kernel.run(packed, rows, plan, T * B, threads, {"h": StateMemory(final=final.ctypes.data)})
    return final[:, 0].tolist()

# A team has worked before, so that no thread must be started when memory is short.
small = linear_for(64, 64, False, Precision.FLOAT32)
many, out = np.ones((4096, 64), np.float32), np.empty((4096, 64), np.float32)
packed_small = small.pack(Weight(many.ctypes.data, 64), 0, 1)
small.forward(packed_small, Rows(many.ctypes.data, 64), Rows(out.ctypes.data, 64), 4096, 3)

def limit(extra):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft = resource.RLIM_INFINITY if extra is None else pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.getrlimit(resource.RLIMIT_AS)[1]))

refused = []
for threads in (1, 2, 3):
    limit(40 << 20)
    try:
        step(threads)
    except MemoryError:
        refused.append(threads)
    limit(None)
expected = step(1)
assert step(2) == expected and expected[0] != 0
limit(40 << 20)
assert step(2) == expected, "what was taken stays"
print(refused)
"""


@pytest.mark.parametrize("name", ["own", "openmp"])
def test_the_process_goes_on(name: str) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("the memory in use is read from /proc")
    if name == "openmp":
        pytest.importorskip("torch")
    script = f"TEAM = {name!r}\n" + ("import torch\n" if name == "openmp" else "") + SCRIPT
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "[1, 2, 3]\n"
