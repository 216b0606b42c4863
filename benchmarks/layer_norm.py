"""A layer-normalised LSTM from a user's own file, and the built-in one, against the same equations in eager torch.

    python -m benchmarks.layer_norm [--threads N] [--json FILE] [--seconds 1]

Training (forward, sum, backward) at D = H = 128, B = 32, T = 100 in float32. Eager torch comes in two forms: a step as
one writes it (the products of the gates stacked, torch's own layer_norm), and tuned besides (the products of the inputs
for all steps before the loop). Nothing is compiled on either side.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from benchmarks.pairs import time_pair
from elman.equations import Cell
from elman.nn import Recurrent

D = H = 128
B, T = 32, 100
TOLERANCE = 1e-4  # float32 against float32: both sides round

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

Forward = Callable[[Tensor], Tensor]


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


def eager_user(layer: Recurrent, x: Tensor, tuned: bool) -> Tensor:
    """The user's equations: each gate normalised by itself, all four in one call."""
    gain, gain_c = layer.g_l0[: 4 * H].view(4, H), layer.g_l0[4 * H :]
    bias, bias_c = layer.b_l0[: 4 * H].view(4, H), layer.b_l0[4 * H :]

    def step(from_x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a = layer_norm((from_x + h @ layer.U_l0.T).unflatten(-1, (4, H)), (H,)) * gain + bias
        i, f, n, o = a.unbind(-2)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
        return torch.sigmoid(o) * torch.tanh(gain_c * layer_norm(c, (H,)) + bias_c), c

    return _loop(step, lambda x: x @ layer.W_l0.T, x, tuned)


def eager_built_in(layer: Recurrent, x: Tensor, tuned: bool) -> Tensor:
    """The built-in equations: the four products of x normalised jointly, and those of h."""
    bias, bias_c = layer.b_l0[: 4 * H], layer.b_l0[4 * H :]

    def step(from_x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a = from_x + layer.u_l0 * layer_norm(h @ layer.U_l0.T, (4 * H,))
        i, f, n, o = a.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
        return torch.sigmoid(o) * torch.tanh(layer.g_l0 * layer_norm(c, (H,)) + bias_c), c

    return _loop(step, lambda x: layer.v_l0 * layer_norm(x @ layer.W_l0.T, (4 * H,)) + bias, x, tuned)


def _loop(step: Callable[..., tuple[Tensor, Tensor]], from_inputs: Forward, x: Tensor, tuned: bool) -> Tensor:
    h = c = x.new_zeros(x.shape[1], H)
    rows: Iterable[Tensor] = from_inputs(x).unbind(0) if tuned else map(from_inputs, x.unbind(0))
    outputs = []
    for row in rows:
        h, c = step(row, h, c)
        outputs.append(h)
    return torch.stack(outputs)


def compare(cell: Cell | str, eager: Callable[..., Tensor], seconds: float) -> dict[str, float]:
    """Median milliseconds of ours, and how many times longer each form of eager torch takes."""
    torch.manual_seed(0)
    layer = Recurrent(cell, D, H)
    x = torch.randn(T, B, D)
    assert layer.path(x).name == "fused"
    found: dict[str, float] = {}
    for name, tuned in (("eager", False), ("tuned", True)):
        with torch.no_grad():
            difference = float((eager(layer, x, tuned) - layer(x)[0]).abs().max())
        if difference > TOLERANCE:
            raise SystemExit(f"{layer}: differs from eager torch by {difference:.1e}; no time is given")
        theirs, ours = (
            _training(layer, lambda x, t=tuned: eager(layer, x, t), x),
            _training(layer, lambda x: layer(x)[0], x),
        )
        pair = time_pair(theirs, ours, seconds)
        found |= {"ours_ms": pair.ours * 1e3, f"{name}_ms": pair.theirs * 1e3, name: pair.ratio}
    return found


def _training(layer: Recurrent, forward: Forward, x: Tensor) -> Callable[[], None]:
    def train() -> None:
        layer.zero_grad()
        forward(x).sum().backward()

    return train


def main() -> None:
    """Print a line each, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of both sides")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each comparison")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "user": compare(load_user_cell(Path(folder)), eager_user, options.seconds),
            "built-in": compare("layer_norm_lstm", eager_built_in, options.seconds),
        }
    for name, row in found.items():
        print(
            f"{name:8}  ours {row['ours_ms']:7.2f} ms   eager {row['eager_ms']:7.2f} ms, {row['eager']:.2f} times"
            f"   tuned {row['tuned_ms']:7.2f} ms, {row['tuned']:.2f} times"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
