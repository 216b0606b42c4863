"""A cell of the user's own is fast without a compiler: the benchmark's figures, with a bound."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

# The goal is 6. On two cores of 117 GFLOP/s each, 3.1 to 3.8 was measured; below this bound something is broken.
REQUIRED = 1.8


@pytest.mark.slow
def test_layer_norm_lstm_trains_faster_than_eager_torch(root, tmp_path):
    """H 128, B 32, T 100. Other work on the machine only lowers the ratio, so the best of a few runs counts."""
    environment = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false", "PATH": str(tmp_path)}
    best = {"my_layer_norm_lstm": 0.0, "layer_norm_lstm": 0.0}
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "elman", "bench", "--suites", "cells", "--hidden", "128", "--peers", "torch"]
    command += ["--threads", str(torch.get_num_threads()), "--json", str(figures)]
    for _ in range(3):
        subprocess.run(command, env=environment, cwd=root, check=True, timeout=120, stdout=subprocess.DEVNULL)
        eager = {row["cell"]: row["ratio"] for row in json.loads(figures.read_text())["rows"] if row["peer"] == "torch"}
        best = {name: max(value, eager[name]) for name, value in best.items()}
        if min(best.values()) >= REQUIRED:
            return
    raise AssertionError(f"times faster than eager torch: {best}, required {REQUIRED}")
