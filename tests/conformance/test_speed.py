"""A cell of the user's own is fast without a compiler: the benchmark's figures, with a bound."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# The goal is 4. On two quiet cores of 127 GFLOP/s each, 2.4 to 2.6 was measured; below this bound something is broken.
REQUIRED = 1.8


@pytest.mark.slow
def test_layer_norm_lstm_trains_faster_than_eager_torch(root, tmp_path):
    """H 128, B 32, T 100. Other work on the machine only lowers the ratio, so the best of a few runs counts."""
    environment = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false", "PATH": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    best = {"user": 0.0, "built-in": 0.0}
    for _ in range(3):
        figures = tmp_path / "figures.json"
        command = [sys.executable, "-m", "benchmarks.layer_norm", "--seconds", "0.5", "--json", str(figures)]
        subprocess.run(command, env=environment, cwd=root, check=True, timeout=120)
        found = json.loads(figures.read_text())
        best = {name: max(value, found[name]["eager"]) for name, value in best.items()}
        if min(best.values()) >= REQUIRED:
            return
    raise AssertionError(f"times faster than eager torch: {best}, required {REQUIRED}")
