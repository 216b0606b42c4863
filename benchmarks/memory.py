"""What bounded memory costs: training by segments against plain training, and the fused loss against torch's.

    python -m benchmarks.memory [--threads N] [--json FILE] [--seconds 1]

Times are medians of alternating pairs; memory is what one training step adds to the resident set at its peak (Linux).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.pairs import time_pair

from elman.nn import Recurrent
from elman.nn.functional import linear_cross_entropy

SEGMENTS = (
    ("lstm", 32, 1, 100_000), ("lstm", 128, 1, 100_000), ("gru", 64, 1, 100_000), ("elman", 64, 1, 100_000),
    ("lstm", 128, 16, 10_000),
)  # fmt: skip
HEADS = ((1024, 256, 100), (1024, 256, 2_000), (2048, 512, 10_000), (2048, 256, 32_000))
TOLERANCE = 1e-4  # float32 against float32: both sides round


def peak_of(work: Callable[[], object]) -> float:
    """MiB that the resident set grows by at most while `work` runs."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what it is
    before = _resident()
    work()
    return _resident() - before


def _resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def by_segments(cell: str, hidden_size: int, batch: int, steps: int, seconds: float) -> dict[str, object]:
    """Training with checkpoint="sqrt" beside plain training: the ratio of times is the cost."""
    torch.manual_seed(0)
    x, d = torch.randn(steps, batch, 8), torch.randn(steps, batch, hidden_size)
    plain, ours = (Recurrent(cell, 8, hidden_size, checkpoint=option) for option in (None, "sqrt"))
    ours.load_state_dict(plain.state_dict())

    def step(layer: Recurrent) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(layer(x)[0], list(layer.parameters()), d)

    memory = [peak_of(lambda layer=layer: step(layer)) for layer in (ours, plain)]
    _check(step(ours), step(plain))
    pair = time_pair(lambda: step(ours), lambda: step(plain), seconds)
    print(
        f"{cell:5} H {hidden_size:4} B {batch:3} T {steps:6}: cost {pair.ratio:.2f}, {memory[0]:.0f} MiB beside "
        f"{memory[1]:.0f}; the output is {d.nbytes / 2**20:.0f}",
        flush=True,
    )
    return {
        "cell": cell, "hidden_size": hidden_size, "batch": batch, "steps": steps, "cost": pair.ratio,
        "mebibytes": memory[0], "plain_mebibytes": memory[1],
    }  # fmt: skip


def fused_loss(rows: int, hidden_size: int, classes: int, seconds: float) -> dict[str, object]:
    """Loss and gradients of a linear layer with cross-entropy, beside torch's two functions."""
    torch.manual_seed(0)
    x, weight = torch.randn(rows, hidden_size), torch.randn(classes, hidden_size) / hidden_size**0.5
    sources = [t.requires_grad_() for t in (x, weight, torch.zeros(classes))]
    targets = torch.randint(0, classes, (rows,))

    def ours() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(linear_cross_entropy(*sources, targets), sources)

    def theirs() -> tuple[torch.Tensor, ...]:
        logits = torch.nn.functional.linear(*sources)
        return torch.autograd.grad(torch.nn.functional.cross_entropy(logits, targets), sources)

    memory = [peak_of(work) for work in (ours, theirs)]
    _check(ours(), theirs())
    pair = time_pair(theirs, ours, seconds)
    print(
        f"loss  H {hidden_size:4} N {rows:5} V {classes:6}: {pair.ratio:.2f} times torch's speed, {memory[0]:.0f} MiB "
        f"beside {memory[1]:.0f}",
        flush=True,
    )
    return {
        "rows": rows, "hidden_size": hidden_size, "classes": classes, "ratio": pair.ratio, "mebibytes": memory[0],
        "torch_mebibytes": memory[1],
    }  # fmt: skip


def _check(ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...]) -> None:
    for a, r in zip(ours, theirs, strict=True):
        difference = float((a - r).abs().max() / r.abs().max())
        if difference > TOLERANCE:
            raise SystemExit(f"gradients differ by {difference:.1e}; no time is given")


def main() -> None:
    """Print a line for each case, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of both sides")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each case")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {
        "segments": [by_segments(*case, options.seconds) for case in SEGMENTS],
        "loss": [fused_loss(*case, options.seconds) for case in HEADS],
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
