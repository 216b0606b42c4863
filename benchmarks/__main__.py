"""elman.nn against torch.nn: training and inference, LSTM, GRU and Elman.

    python -m benchmarks [--threads N] [--json FILE]

A case whose results differ from torch's by more than rounding is not timed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

import elman.nn
from benchmarks.pairs import time_pair

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SHAPES = ((32, 1, 100), (128, 1, 100), (128, 32, 100), (256, 64, 50), (512, 1, 50), (512, 32, 100), (1024, 32, 20))
TOLERANCE = 1e-4  # float32 against float32: both sides round


def main() -> None:
    """Run all cases, print a table, write the rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of both sides")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each case")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{'cell':5} {'mode':9} {'H':>5} {'B':>4} {'T':>4}  {'torch ms':>9} {'ours ms':>9} {'ratio':>6} {'GFLOP/s':>8}"
    )
    rows = [row for shape in SHAPES for cell in GATES for row in _case(cell, *shape, options.threads, options.seconds)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def _case(cell: str, hidden_size: int, batch: int, steps: int, threads: int, seconds: float) -> list[dict[str, object]]:
    torch.manual_seed(0)
    peer = getattr(torch.nn, cell)(hidden_size, hidden_size)
    ours = getattr(elman.nn, cell)(hidden_size, hidden_size)
    ours.load_state_dict(peer.state_dict())
    x = torch.randn(steps, batch, hidden_size)
    with torch.no_grad():
        difference = float((peer(x)[0] - ours(x)[0]).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f"{cell} H {hidden_size} B {batch}: differs from torch by {difference:.1e}; no time is given")
    operations = 2 * steps * batch * 2 * hidden_size * GATES[cell] * hidden_size
    rows = []
    for mode, passes, make in (("inference", 1.0, _inference), ("training", 2.5, _training)):
        pair = time_pair(make(peer, x), make(ours, x), seconds)
        rate = passes * operations / pair.ours / 1e9
        print(
            f"{cell:5} {mode:9} {hidden_size:5} {batch:4} {steps:4}  {pair.theirs * 1e3:9.3f} {pair.ours * 1e3:9.3f} "
            f"{pair.ratio:6.2f} {rate:8.1f}",
            flush=True,
        )
        rows.append(
            {
                "cell": cell,
                "mode": mode,
                "hidden_size": hidden_size,
                "batch": batch,
                "steps": steps,
                "dtype": "float32",
                "threads": threads,
                "peer": "torch",
                "ratio": pair.ratio,
                "gflops": rate,
            }
        )
    return rows


def _inference(module: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def run() -> None:
        with torch.no_grad():
            module(x)

    return run


def _training(module: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """Forward and backward; the input needs no gradient."""

    def run() -> None:
        module.zero_grad()
        module(x)[0].sum().backward()

    return run


if __name__ == "__main__":
    main()
