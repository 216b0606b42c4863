"""The fused linear layer and cross-entropy against torch's in float64: values, gradients, bits, memory, refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

import elman.nn
from elman.kernels import available_isas, forced_isa, poisoned
from elman.nn import _chunks
from elman.nn.cross_entropy import REDUCTIONS
from elman.nn.functional import linear_cross_entropy
from tests.nn.test_memory import misaligned, negated
from tests.tolerances import assert_close, assert_same_bits

SIZES = [(1, 1, 2), (7, 63, 65), (64, 65, 7), (193, 5, 64), (6, 3, 300)]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def leaves(count: int, columns: int, classes: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """x [count, columns], W [classes, columns], b [classes], all with gradients."""
    shapes = ((count, columns), (classes, columns), (classes,))
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def values(loss: Tensor, sources: list[Tensor]) -> list[Tensor]:
    """The loss and the gradients of a fixed sum of it."""
    d = torch.linspace(0.5, 2, loss.numel(), dtype=loss.dtype).view(loss.shape)
    return [loss.detach(), *torch.autograd.grad(loss, sources, d)]


def exact(sources: list[Tensor], targets: Tensor, **options: Any) -> list[Tensor]:
    """`values` of torch's functions in float64."""
    doubles = [t.detach().double().requires_grad_() for t in sources]
    loss = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*doubles), targets, **options)
    return values(loss, doubles)


def assert_values(sources: list[Tensor], targets: Tensor, **options: Any) -> None:
    """Assert that loss and gradients are torch's."""
    found = values(linear_cross_entropy(*sources, targets, **options), sources)
    dtype = str(sources[0].dtype).removeprefix("torch.")
    for what, a, r in zip(("loss", "x", "W", "b"), found, exact(sources, targets, **options), strict=True):
        assert_close(a, r, "layer", dtype, what)


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_torchs(size: tuple[int, int, int], dtype: str, isa: str) -> None:
    sources, targets = leaves(*size, DTYPES[dtype]), torch.randint(0, size[2], size[:1])
    with forced_isa(isa), poisoned():
        for reduction in REDUCTIONS:
            assert_values(sources, targets, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_options(reduction: str, smoothing: float) -> None:
    sources, targets = leaves(20, 5, 33), torch.randint(0, 33, (20,))
    targets[::3] = 7
    assert_values(sources, targets, reduction=reduction, label_smoothing=smoothing, ignore_index=7)
    targets[1::3] = -100
    assert_values(sources, targets, reduction=reduction, label_smoothing=smoothing)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_in_several_chunks(reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_chunks, "LEAST_ROWS", 4)
    monkeypatch.setattr(_chunks, "CHUNK", 4 * 33)
    sources, targets = leaves(22, 5, 33), torch.randint(0, 33, (22,))
    assert _chunks.chunk_rows(33) == 4
    assert_values(sources, targets, reduction=reduction)


def test_chunks_change_no_bit_of_the_losses_and_inputs_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets = leaves(22, 5, 33), torch.randint(0, 33, (22,))
    whole = values(linear_cross_entropy(*sources, targets, reduction="none"), sources)
    monkeypatch.setattr(_chunks, "MOST_ROWS", 4)
    found = values(linear_cross_entropy(*sources, targets, reduction="none"), sources)
    for k in (0, 1):
        assert_same_bits(found[k], whole[k])


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_bits_with_any_number_of_threads(reduction: str) -> None:
    before, sources, targets = torch.get_num_threads(), leaves(600, 9, 130), torch.randint(0, 130, (600,))
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(values(linear_cross_entropy(*sources, targets, reduction=reduction), sources))
    torch.set_num_threads(before)
    for other in results[1:]:
        for a, r in zip(other, results[0], strict=True):
            assert_same_bits(a, r)


def test_without_bias_and_with_other_leading_axes() -> None:
    (x, weight, _), targets = leaves(12, 5, 33), torch.randint(0, 33, (3, 4))
    losses = linear_cross_entropy(x.view(3, 4, 5), weight, None, targets, reduction="none")
    logits = torch.nn.functional.linear(x, weight)
    expected = torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="none").view(3, 4)
    assert losses.shape == (3, 4)
    for a, r in zip(values(losses, [x, weight]), values(expected, [x, weight]), strict=True):
        assert_close(a, r, "layer", "float32")


@pytest.mark.parametrize(
    "targets", [torch.empty(0, dtype=torch.int64), torch.full((5,), -100)], ids=["none", "ignored"]
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_no_rows_that_count(reduction: str, targets: Tensor) -> None:
    sources = leaves(len(targets), 5, 33)
    loss = linear_cross_entropy(*sources, targets, reduction=reduction)
    expected = torch.nn.functional.cross_entropy(torch.zeros(len(targets), 33), targets, reduction=reduction)
    assert_close(loss.detach(), expected, "layer", "float32")
    assert all(not gradient.any() for gradient in torch.autograd.grad(loss.sum(), sources))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_tensors_that_lie_in_unusual_ways() -> None:
    plain, targets = leaves(20, 5, 33), torch.randint(0, 33, (20,))
    expected = values(linear_cross_entropy(*plain, targets), plain)
    x, weight, bias = (t.detach() for t in plain)
    forms = (misaligned, negated)
    odd = [[form(t).requires_grad_() for t in (x, weight, bias)] for form in forms]
    odd.append([x.T.contiguous().T, weight.T.contiguous().T, bias.repeat_interleave(2)[::2]])
    ids = [misaligned(targets), targets.repeat_interleave(2)[::2], targets.int()]
    for sources, t in zip(odd, ids, strict=True):
        sources = [source.requires_grad_() for source in sources]
        for a, r in zip(values(linear_cross_entropy(*sources, t), sources), expected, strict=True):
            assert_same_bits(a, r)


def test_large_logits_and_those_that_are_no_numbers() -> None:
    x = torch.tensor([[1e30], [-1e30], [float("nan")], [1.0], [1e38]])
    weight, targets = torch.tensor([[1.0], [2.0], [-1.0]]), torch.tensor([0, 1, 1, 2, 1])
    found = linear_cross_entropy(x, weight, None, targets, reduction="none")
    expected = torch.nn.functional.cross_entropy(x.double() @ weight.double().T, targets, reduction="none")
    assert_close(found, expected, "layer", "float32")


def test_only_the_gradients_that_are_wanted() -> None:
    sources, targets = leaves(20, 5, 33), torch.randint(0, 33, (20,))
    every = torch.autograd.grad(linear_cross_entropy(*sources, targets), sources)
    for k in range(3):
        some = [t if i == k else t.detach() for i, t in enumerate(sources)]
        assert_same_bits(torch.autograd.grad(linear_cross_entropy(*some, targets), sources[k])[0], every[k])


def test_backward_twice_and_times_another_gradient() -> None:
    sources, targets = leaves(20, 5, 33), torch.randint(0, 33, (20,))
    loss = linear_cross_entropy(*sources, targets)
    once = torch.autograd.grad(loss, sources, retain_graph=True)
    again = torch.autograd.grad(loss, sources, retain_graph=True)
    thrice = torch.autograd.grad(3 * loss, sources)
    for a, b, c in zip(once, again, thrice, strict=True):
        assert_same_bits(a, b)
        assert_same_bits(c, 3 * a)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives(reduction: str) -> None:
    sources, targets = leaves(4, 3, 5, torch.float64), torch.tensor([0, 4, -100, 2])

    def loss(*tensors: Tensor) -> Tensor:
        return linear_cross_entropy(*tensors, targets, reduction=reduction, label_smoothing=0.1)

    assert torch.autograd.gradgradcheck(loss, sources)


def test_one_tensor_in_two_places_has_both_gradients() -> None:
    tied, targets = torch.randn(5, 5, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 3, 4])

    def loss(tied: Tensor) -> Tensor:
        return linear_cross_entropy(tied, tied, None, targets)

    assert torch.autograd.gradcheck(loss, [tied])
    assert torch.autograd.gradgradcheck(loss, [tied])


def test_under_transforms_it_is_torchs() -> None:
    (x, weight, bias), targets = leaves(6, 5, 33), torch.randint(0, 33, (6,))
    found = grad(lambda w: linear_cross_entropy(x, w, bias, targets))(weight)
    expected = torch.autograd.grad(linear_cross_entropy(x, weight, bias, targets), weight)[0]
    assert_close(found.detach(), expected, "layer", "float32")
    each = vmap(lambda x, t: linear_cross_entropy(x, weight, bias, t))(x, targets)
    assert_close(
        each.detach(), linear_cross_entropy(x, weight, bias, targets, reduction="none").detach(), "layer", "float32"
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_compiled_it_is_one_operation(reduction: str) -> None:
    sources, targets = leaves(6, 5, 33), torch.randint(0, 33, (6,))

    def loss(*tensors: Tensor) -> Tensor:
        return linear_cross_entropy(*tensors, targets, reduction=reduction)

    compiled: Any = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for a, r in zip(values(compiled(*sources), sources), values(loss(*sources), sources), strict=True):
        assert_same_bits(a, r)


def test_the_operation_by_torchs_own_checks() -> None:
    (x, weight, bias), targets = (t.detach() for t in leaves(6, 5, 33)), torch.randint(0, 33, (6,))
    for reduction in REDUCTIONS:
        torch.library.opcheck(
            torch.ops.elman.linear_cross_entropy.default,
            (*_chunks.Loss(x, weight, bias, targets, reduction, -100, 0.1), None, [True, False, True]),
            test_utils=["test_schema", "test_faketensor"],
        )


def test_the_module() -> None:
    loss = elman.nn.LinearCrossEntropy(5, 33, reduction="sum", label_smoothing=0.1, dtype=torch.float64)
    x, targets = torch.randn(6, 5, dtype=torch.float64), torch.randint(0, 33, (6,))
    expected = torch.nn.functional.cross_entropy(loss.linear(x), targets, reduction="sum", label_smoothing=0.1)
    assert_close(loss(x, targets).detach(), expected.detach(), "layer", "float64")
    assert list(loss.state_dict()) == ["linear.weight", "linear.bias"]
    assert "reduction='sum'" in repr(loss)


MEASURE = """
import torch
from elman.nn.functional import linear_cross_entropy
torch.set_num_threads(1)

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024

N, D, V = 8_000, 1, 10_000
x, weight = torch.randn(N, D, requires_grad=True), torch.randn(V, D, requires_grad=True)
targets = torch.randint(0, V, (N,))
linear_cross_entropy(x[:1], weight, None, targets[:1]).backward()
before = peak()
for reduction in ("mean", "none"):
    linear_cross_entropy(x, weight, None, targets, reduction=reduction).sum().backward()
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_rows_times_classes() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 80  # MiB; the logits alone would be 305
