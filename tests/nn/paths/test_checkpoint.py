"""Backpropagation by segments: the bits of the plain one, in the memory of the square root."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

import elman.nn
from elman.errors import ConfigError
from elman.nn import Recurrent
from elman.nn.call import Call
from elman.nn.paths import checkpoint
from elman.nn.plans import DENSE, PlanSpec
from elman.sequences import Ragged
from tests.nn.layers import LAYERS, D, H, gradients, tensors_of
from tests.tolerances import assert_close, assert_same_bits

T, B = 11, 3
LENGTHS = [4, 0, 11, 1, 7]  # of ragged batches; packed ones have no empty sequence
SEGMENTS = [1, 3, 4, 11, 100, "sqrt"]
CELLS = ["lstm", "gru", "elman", "layer_norm_lstm", "projected_lstm", "indrnn", "min_gru", "slstm"]


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """√T is √T, however few elements that are."""
    monkeypatch.setattr(checkpoint, "LEAST", 1)


def pair(cell: str, segment: int | str, **options: Any) -> tuple[Recurrent, Recurrent]:
    """A plain layer, and one by segments with the same weights."""
    options |= {"sizes": {"P": H}} if cell == "projected_lstm" else {}
    plain, ours = Recurrent(cell, D, H, **options), Recurrent(cell, D, H, checkpoint=segment, **options)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def form(kind: str, values: Tensor) -> Any:
    """Rows [sum of LENGTHS, D] in one of the forms of input."""
    if kind == "ragged":
        return Ragged.from_lengths(values, LENGTHS)
    if kind == "packed":
        return pack_sequence([part for part in values.split(LENGTHS) if len(part)], enforce_sorted=False)
    if kind == "one sequence":
        return values
    dense = values[:21].view(7, 3, D)
    return dense.transpose(0, 1).contiguous() if kind == "batch first" else dense


def batch_of(kind: str) -> int:
    return {"ragged": 5, "packed": 4, "one sequence": 1}.get(kind, 3)


def assert_same_training(
    plain: Any, ours: Any, x: Any, state: Any, sources: Sequence[Tensor], dtype: str = "float32"
) -> None:
    """Assert the same bits of results and of the gradients of `sources`, and weight gradients equal to rounding."""
    found, expected = (layer(x() if callable(x) else x, state) for layer in (ours, plain))
    for a, r in zip(tensors_of(found), tensors_of(expected), strict=True):
        assert_same_bits(a.detach(), r.detach(), "result")
    mine = gradients(found, [*sources, *ours.parameters()])
    theirs = gradients(expected, [*sources, *plain.parameters()])
    for k, (a, r) in enumerate(zip(mine, theirs, strict=True)):
        if k < len(sources):
            assert_same_bits(a, r, f"gradient {k}")
        else:
            assert_close(a, r, "layer", dtype, f"weight gradient {k - len(sources)}")


@pytest.mark.parametrize("kind", ["dense", "batch first", "one sequence", "ragged", "packed"])
@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_form(kind: str, segment: int | str, bidirectional: bool) -> None:
    options = {"num_layers": 2, "bidirectional": bidirectional, "batch_first": kind == "batch first"}
    plain, ours = pair("lstm", segment, **options)
    values = torch.randn(sum(LENGTHS), D, requires_grad=True)
    shape = 4 if bidirectional else 2, batch_of(kind), H
    state = {name: torch.randn(shape, requires_grad=True) for name in "hc"}
    assert_same_training(plain, ours, lambda: form(kind, values), state, [values, *state.values()])
    assert_same_training(plain, ours, lambda: form(kind, values), None, [values])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_cell(cell: str, dtype: str) -> None:
    plain, ours = (layer.to(getattr(torch, dtype)) for layer in pair(cell, 4))
    x = torch.randn(T, B, D, dtype=getattr(torch, dtype), requires_grad=True)
    assert_same_training(plain, ours, x, None, [x], dtype)


def test_a_cell_with_two_inputs() -> None:
    plain, ours = pair("leaky_elman", 4)
    x, dt = torch.randn(T, B, D, requires_grad=True), torch.rand(T, B, requires_grad=True)
    assert_same_training(plain, ours, (x, dt), None, [x, dt])


@pytest.mark.parametrize("segment", SEGMENTS)
def test_tokens(segment: int | str) -> None:
    plain, ours = pair("gru", segment, num_layers=2, bidirectional=True)
    assert_same_training(plain, ours, torch.randint(0, D, (T, B)), None, [])


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_torchs_layers(name: str) -> None:
    plain, ours = LAYERS[name](num_layers=2), LAYERS[name](num_layers=2, checkpoint=4)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(T, B, D, requires_grad=True)
    assert_same_training(plain, ours, x, None, [x])
    assert repr(ours).endswith("checkpoint=4)")
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert copied.checkpoint == 4
    theirs = torch.nn.LSTM(D, H)
    elman.accelerate(theirs)
    assert theirs.checkpoint is None


@pytest.mark.parametrize("x", [torch.randn(0, B, D), torch.randn(1, B, D), torch.randn(T, 0, D)], ids=str)
def test_no_steps_one_step_no_sequences(x: Tensor) -> None:
    plain, ours = pair("lstm", "sqrt")
    state = {name: torch.randn(1, x.shape[1], H, requires_grad=True) for name in "hc"}
    assert_same_training(plain, ours, x.requires_grad_(), state, [x, *state.values()])


def test_only_some_results_and_some_sources() -> None:
    plain, ours = pair("lstm", 4)
    x = torch.randn(T, B, D)
    for layer in (plain, ours):
        layer.W_l0.requires_grad_(False)
    for pick in (lambda result: result[0], lambda result: result[1]["c"], lambda result: result[0][3]):
        found, expected = (torch.autograd.grad(pick(layer(x)).sum(), layer.U_l0)[0] for layer in (ours, plain))
        assert_close(found, expected, "layer", "float32")
    ours(x)[0].sum().backward()
    assert ours.W_l0.grad is None


def test_second_derivatives() -> None:
    _, ours = pair("gru", 2)
    ours.double()
    x = torch.randn(4, 2, D, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: ours(x)[0], [x])
    assert torch.autograd.gradgradcheck(lambda x: ours(x)[0], [x])


@pytest.mark.parametrize(("cell", "times"), [("elman", 0), ("gru", 3)])
def test_nothing_is_made_again_where_the_output_suffices(
    cell: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours = pair(cell, 4)
    output, _ = ours(torch.randn(T, B, D))
    calls, forward = [], checkpoint.buffers.forward
    monkeypatch.setattr(checkpoint.buffers, "forward", lambda *args: calls.append(args) or forward(*args))
    output.sum().backward()
    assert len(calls) == times


def test_weights_that_lie_in_unusual_ways() -> None:
    plain, ours = pair("lstm", 4)
    x = torch.randn(T, B, D)
    ours.W_l0 = torch.nn.Parameter(torch._neg_view(-plain.W_l0.detach()))
    ours.b_l0 = torch.nn.Parameter(plain.b_l0.detach().repeat_interleave(2)[::2])
    assert_same_bits(ours(x)[0].detach(), plain(x)[0].detach())
    for a, r in zip(
        gradients(ours(x), list(ours.parameters())), gradients(plain(x), list(plain.parameters())), strict=True
    ):
        assert_close(a, r, "layer", "float32")


@pytest.mark.parametrize("cell", ["lstm", "elman"])
@pytest.mark.parametrize("x", [torch.randn(T, B, D), torch.randint(0, D, (T, B))], ids=["floats", "tokens"])
def test_compiled_it_is_one_operation_each_way(cell: str, x: Tensor) -> None:
    _, ours = pair(cell, "sqrt")
    compiled: Any = torch.compile(ours, fullgraph=True, backend="aot_eager")
    parameters = list(ours.parameters())
    for a, r in zip(gradients(compiled(x), parameters), gradients(ours(x), parameters), strict=True):
        assert_same_bits(a, r)


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_compiled_with_ragged_input() -> None:
    _, ours = pair("lstm", "sqrt")
    x = Ragged.from_lengths(torch.randn(sum(LENGTHS), D), LENGTHS)
    compiled: Any = torch.compile(ours, backend="aot_eager")
    for a, r in zip(tensors_of(compiled(x)), tensors_of(ours(x)), strict=True):
        assert_same_bits(a.detach(), r.detach())


@pytest.mark.parametrize("segment", [0, 4])
def test_operations_by_torchs_own_checks(segment: int) -> None:
    sized, weights = Recurrent("lstm", D, H)._layers()[0][0]
    weights, checks = [w.detach() for w in weights], ["test_schema", "test_faketensor"]
    call = Call.of(
        sized, PlanSpec(DENSE, T, B, True), None, [torch.randn(T * B, D)], [torch.randn(B, H), None], weights
    )
    torch.library.opcheck(torch.ops.elman.forward_by_segments.default, (*call, segment), test_utils=checks)
    results = torch.ops.elman.forward_by_segments(*call, segment)
    more = results[3:], [torch.randn(T * B, H), None, torch.randn(B, H)], [True, True, False, True, False, True]
    torch.library.opcheck(torch.ops.elman.backward_by_segments.default, (*call, *more, segment), test_utils=checks)


MEASURE = """
import sys, torch
from elman.nn import Recurrent
torch.set_num_threads(1)

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024

T, D, H = 100_000, 1, 16
layer, x, d = Recurrent("lstm", D, H, checkpoint="sqrt"), torch.randn(T, 1, D), torch.ones(()).expand(T, 1, H)
for part in (x[:4000], x):
    before = peak()
    output, _ = layer(part)
    output.backward(d[: len(part)])
print((peak() - before) / (T * H * 4 / 2**20))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_grows_with_the_square_root() -> None:
    """In units of the output, which is there in any case; plain training takes ten more of them."""
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 5  # the output, the gradient that comes for it, and what allocators hold back


@pytest.mark.parametrize("bad", [0, -3, 2.5, "sqroot", True, []], ids=repr)
def test_refusals(bad: Any) -> None:
    message = r'checkpoint must be None, "sqrt" or a number of steps of at least 1, got '
    with pytest.raises(ConfigError, match=message):
        Recurrent("lstm", D, H, checkpoint=bad)
    with pytest.raises(ConfigError, match=message):
        elman.nn.LSTM(D, H, checkpoint=bad)
    layer = Recurrent("lstm", D, H)
    layer.checkpoint = bad
    with pytest.raises(ConfigError, match=message):
        layer(torch.randn(T, B, D))
