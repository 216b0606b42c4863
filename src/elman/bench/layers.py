"""LSTM, GRU and Elman over dense batches: elman.nn, torch.nn, and the same weights in other runtimes.

torch.compile is no peer here: it leaves torch's recurrent layers as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import torch

import elman.nn
from elman.bench.contest import Contest, NoContest, Results, Side
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import autocast, drawn, side

Fused = elman.nn.LSTM | elman.nn.GRU | elman.nn.RNN
Peers = dict[str, Callable[[], Side]]

GATES = {"lstm": 4, "gru": 3, "elman": 1}
TORCH: dict[str, Callable[..., torch.nn.RNNBase]] = {
    "lstm": torch.nn.LSTM,
    "gru": torch.nn.GRU,
    "elman": torch.nn.RNN,
}
OURS: dict[str, Callable[..., Fused]] = {"lstm": elman.nn.LSTM, "gru": elman.nn.GRU, "elman": elman.nn.RNN}

_STEPS, _QUICK_STEPS, _FEWEST_STEPS = 100, 50, 20
_HALF = 2e-2  # of ours in bfloat16 from ours in float32: whose states do not round; 9e-3 was measured at H 256 … 1024
_LONGEST = 8e9  # operations of a forward pass; larger cases get fewer steps


def cases(options: Sweep) -> list[Case]:
    """The grid."""
    single = options.cases(
        "layers",
        cells=tuple(GATES),
        modes=("infer", "train"),
        hidden=(128, 512) if options.quick else (32, 64, 128, 256, 512, 1024),
        batch=(1, 32) if options.quick else (1, 8, 32, 128),
        steps=0,
    )
    half = options.cases(
        "layers",
        cells=tuple(GATES),
        modes=("infer", "train"),
        hidden=(512,) if options.quick else (256, 512, 1024),
        batch=(32,) if options.quick else (32, 128),
        steps=0,
        dtypes=("bfloat16",),
    )
    return [case if case.steps else replace(case, steps=steps_for(case, options.quick)) for case in chain(single, half)]


def steps_for(case: Case, quick: bool) -> int:
    """A hundred steps, and fewer where these would take long."""
    each = operations(case, "infer", case.hidden_size, case.batch)
    return max(_FEWEST_STEPS, min(_QUICK_STEPS if quick else _STEPS, int(_LONGEST / each)))


def operations(case: Case, mode: str, input_size: int, rows: int) -> float:
    """Floating-point operations of the matrix products over `rows` steps of sequences, an FMA counted as two.

    Forward: W x and U h. In training also the gradients of W, U and h; the input needs none. Tokens: input_size 0.
    """
    products = input_size + case.hidden_size
    if mode == "train":
        products += input_size + 2 * case.hidden_size
    return 2.0 * rows * GATES[case.cell] * case.hidden_size * products


def pair_of_layers(case: Case, input_size: int) -> tuple[torch.nn.RNNBase, Fused]:
    """Torch's layer and ours with the same weights."""
    torch.manual_seed(0)
    theirs, ours = TORCH[case.cell](input_size, case.hidden_size), OURS[case.cell](input_size, case.hidden_size)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """Both sides with the same weights on the same input."""
    theirs, ours = pair_of_layers(case, case.hidden_size)
    x = torch.randn(case.steps, case.batch, case.hidden_size)
    with autocast(case):
        path = ours.path(x)
    if path.name != "fused":
        raise NoContest(f"takes the {path}")
    return Contest(
        case,
        side(ours, lambda: ours(x)[0], case),
        _peers(case, peers, theirs, ours, x),
        operations(case, case.mode, case.hidden_size, case.steps * case.batch),
    )


def _peers(case: Case, names: Sequence[str], theirs: torch.nn.RNNBase, ours: Fused, x: torch.Tensor) -> Peers:
    sides: Peers = {}
    if "torch" in names:
        sides["torch"] = lambda: side(theirs, lambda: theirs(x)[0], case)
    if case.dtype == "bfloat16":
        return sides | {"elman float32": lambda: _in_float32(ours, x, case)}
    if "onnxruntime" in names and case.mode == "infer":
        sides["onnxruntime"] = lambda: onnx_side(theirs, x, case)
    if "jax" in names:
        sides["jax"] = lambda: _jax_side(theirs, x, case)
    return sides


def _in_float32(module: Fused, x: torch.Tensor, case: Case) -> Side:
    made = side(module, lambda: module(x)[0], replace(case, dtype="float32"))
    return replace(made, tolerance=_HALF)


def onnx_side(module: torch.nn.RNNBase, x: torch.Tensor, case: Case) -> Side:
    """ONNX Runtime over a whole sequence."""
    from elman.bench.onnx_peer import OnnxLayer

    layer, array = OnnxLayer(module, case.threads), x.numpy()

    def results() -> Results:
        return {"output": layer(array)[0]}

    return Side(lambda: layer(array), case.steps * case.batch, results, own_threads=case.threads > 1)


def _jax_side(module: torch.nn.RNNBase, x: torch.Tensor, case: Case) -> Side:
    from elman.bench import jax_peer

    return jax_peer.side(module, x, drawn(lambda: module(x)[0]), case)
