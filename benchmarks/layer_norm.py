"""A layer-normalised LSTM from a user's own file, and the built-in one, against the same equations in eager torch.

    python -m benchmarks.layer_norm [--json] [--pairs 7]

One training step (forward, sum, backward) at D = H = 128, B = 32, T = 100 in float32: medians of alternating runs in one
process. Eager torch is written as one would write it who knows torch: the gates in one product, the products of the inputs
for all steps before the loop, torch's own layer_norm. Nothing is compiled, neither here nor there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from elman.equations import Cell
from elman.nn import Recurrent
from elman.nn.path import Path as Way

D = H = 128
B, T = 32, 100

USER_FILE = '''
from elman import cell, layer_norm, sigmoid, tanh


@cell(states="h c")
def my_layer_norm_lstm(x, h, c, W, U, g, b):
    """Long short-term memory, each gate layer-normalised by itself."""
    i = sigmoid(g.i * layer_norm(W.i @ x + U.i @ h) + b.i)
    f = sigmoid(g.f * layer_norm(W.f @ x + U.f @ h) + b.f)
    n = tanh(g.n * layer_norm(W.n @ x + U.n @ h) + b.n)
    o = sigmoid(g.o * layer_norm(W.o @ x + U.o @ h) + b.o)
    c = f * c + i * n
    h = o * tanh(g.c * layer_norm(c) + b.c)
    return h, c
'''


def load_user_cell(folder: Path) -> Cell:
    """Write the user's file into `folder` and import it."""
    path = folder / "my_cells.py"
    path.write_text(USER_FILE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("my_cells", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cell: Cell = module.my_layer_norm_lstm
    return cell


def eager_built_in(layer: Recurrent, x: Tensor) -> Tensor:
    """Eager torch: four products normalised jointly, those of x and those of h."""
    h = c = x.new_zeros(x.shape[1], H)
    b, shown = layer.b_l0[: 4 * H], layer.b_l0[4 * H :]
    gain, last = layer.g_l0, None
    before = layer.v_l0 * layer_norm(x @ layer.W_l0.T, (4 * H,)) + b
    outputs = []
    for from_x in before.unbind(0):
        i, f, n, o = (from_x + layer.u_l0 * layer_norm(h @ layer.U_l0.T, (4 * H,))).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
        last = torch.sigmoid(o) * torch.tanh(gain * layer_norm(c, (H,)) + shown)
        h = last
        outputs.append(h)
    return torch.stack(outputs)


def eager_user(layer: Recurrent, x: Tensor) -> Tensor:
    """Eager torch: each gate normalised by itself, all four in one call."""
    h = c = x.new_zeros(x.shape[1], H)
    gain, gain_c = layer.g_l0[: 4 * H].view(4, H), layer.g_l0[4 * H :]
    bias, bias_c = layer.b_l0[: 4 * H].view(4, H), layer.b_l0[4 * H :]
    outputs = []
    for from_x in (x @ layer.W_l0.T).unbind(0):
        a = layer_norm((from_x + h @ layer.U_l0.T).unflatten(-1, (4, H)), (H,)) * gain + bias
        i, f, n, o = a.unbind(-2)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
        h = torch.sigmoid(o) * torch.tanh(gain_c * layer_norm(c, (H,)) + bias_c)
        outputs.append(h)
    return torch.stack(outputs)


def train(forward: Callable[[Tensor], Tensor], layer: Recurrent, x: Tensor) -> float:
    """Seconds of one forward and backward."""
    layer.zero_grad()
    start = time.perf_counter()
    forward(x).sum().backward()
    return time.perf_counter() - start


def compare(cell: Cell | str, eager: Callable[[Recurrent, Tensor], Tensor], pairs: int) -> dict[str, float]:
    """Median milliseconds of both, and their ratio. Both are checked to compute the same first."""
    torch.manual_seed(0)
    layer = Recurrent(cell, D, H)
    x = torch.randn(T, B, D)
    ways: list[Callable[[Tensor], Tensor]] = [lambda x: layer(x)[0], lambda x: eager(layer, x)]
    way: Way = layer.path(x)
    assert way.name == "fused", way
    with torch.no_grad():
        torch.testing.assert_close(ways[0](x), ways[1](x), rtol=1e-3, atol=1e-3)
    times = [[train(forward, layer, x) for forward in ways] for _ in range(pairs + 1)][1:]
    fused, slow = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    return {"elman_ms": round(fused, 3), "eager_ms": round(slow, 3), "ratio": round(ratio, 2)}


def main() -> None:
    """Print one line each, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=7, help="runs of each, alternating")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "user": compare(load_user_cell(Path(folder)), eager_user, options.pairs),
            "built-in": compare("layer_norm_lstm", eager_built_in, options.pairs),
        }
    if options.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(
            f"{name:10} elman {row['elman_ms']:8.2f} ms   eager torch {row['eager_ms']:8.2f} ms   {row['ratio']:5.1f} times"
        )


if __name__ == "__main__":
    main()
