"""`Linear` against torch's layer: values, gradients, bits, paths, and what it refuses in torch's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import elman.nn
from elman.kernels import available_isas, forced_isa, isa, poisoned
from elman.nn.functional import linear
from tests.tolerances import assert_close, assert_same_bits

SIZES = [(1, 1, 1), (7, 63, 65), (64, 65, 7), (193, 5, 64), (6, 129, 300)]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def leaves(count: int, columns: int, rows: int, dtype: torch.dtype) -> list[Tensor]:
    """x [count, columns], W [rows, columns], b [rows], all with gradients."""
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in ((count, columns), (rows, columns), (rows,))]


def values(outputs: Tensor, sources: list[Tensor]) -> list[Tensor]:
    """The outputs and the gradients of a fixed sum of them."""
    d = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return [outputs.detach(), *torch.autograd.grad(outputs, sources, d)]


@pytest.mark.parametrize("name", available_isas())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_torchs(size: tuple[int, int, int], dtype: str, name: str) -> None:
    sources = leaves(*size, DTYPES[dtype])
    exact = [t.detach().double().requires_grad_() for t in sources]
    with forced_isa(name), poisoned():
        found = values(linear(*sources), sources)
    expected = values(torch.nn.functional.linear(*exact), exact)
    for what, a, r in zip(("y", "x", "W", "b"), found, expected, strict=True):
        assert_close(a, r, "layer", dtype, what)


@pytest.mark.parametrize("shape", [(5,), (0, 5), (2, 3, 5), (2, 0, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_shapes(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = elman.nn.Linear(5, 3, bias), torch.randn(shape, requires_grad=True)
    found, expected = layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias)
    assert found.shape == expected.shape
    sources = [x, *layer.parameters()]
    for a, r in zip(values(found, sources), values(expected, sources), strict=True):
        assert_close(a, r, "layer", "float32")


def test_a_rows_bits_depend_on_nothing_else() -> None:
    x, weight, bias = (t.detach() for t in leaves(50, 70, 130, torch.float32))
    whole = linear(x, weight, bias)
    for n in (0, 17, 49):
        assert_same_bits(linear(x[n], weight, bias), whole[n])
    assert_same_bits(linear(x.T.contiguous().T, weight.T.contiguous().T, bias), whole)


def test_bits_with_any_number_of_threads() -> None:
    before, sources = torch.get_num_threads(), leaves(700, 70, 130, torch.float32)
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(values(linear(*sources), sources))
    torch.set_num_threads(before)
    for other in results[1:]:
        for a, r in zip(other, results[0], strict=True):
            assert_same_bits(a, r)


def test_each_element_is_one_chain_that_begins_with_the_bias() -> None:
    x, weight, bias = (t.detach().double() for t in leaves(3, 9, 4, torch.float32))  # products exact in float64
    chain = bias.float().expand(3, 4)
    for k in range(9):
        product = x[:, k, None] * weight[:, k]
        product = product.float().double() if isa() == "generic" else product  # there is no fused one there
        chain = (chain.double() + product).float()
    assert_same_bits(linear(x.float(), weight.float(), bias.float()), chain)


def test_without_gradients_every_change_of_the_weights_is_seen() -> None:
    layer, x = elman.nn.Linear(70, 130), torch.randn(3, 70)
    with torch.no_grad():
        for change in (lambda: None, lambda: layer.weight[129, 69].add_(1), lambda: layer.weight.data.mul_(2)):
            change()
            for _ in range(2):
                assert_same_bits(layer(x), linear(x, layer.weight.clone(), layer.bias.clone()))
        layer.weight.numpy()[5] = 0
        layer.bias.numpy()[7] = 3
        assert_same_bits(layer(x), linear(x, layer.weight.clone(), layer.bias.clone()))


def test_only_the_gradients_that_are_wanted() -> None:
    sources = leaves(7, 5, 3, torch.float32)
    every = values(linear(*sources), sources)[1:]
    for k in range(3):
        some = [t if i == k else t.detach() for i, t in enumerate(sources)]
        linear(*some).backward(torch.linspace(-1, 1, 21).view(7, 3))
        assert_same_bits(sources[k].grad, every[k])


def test_second_derivatives() -> None:
    sources = leaves(4, 3, 2, torch.float64)
    assert torch.autograd.gradgradcheck(linear, sources)


def test_under_transforms_it_is_torchs() -> None:
    layer, x = elman.nn.Linear(5, 3), torch.randn(4, 2, 5)
    assert_close(vmap(layer)(x).detach(), layer(x).detach(), "layer", "float32")
    parameters = dict(layer.named_parameters())
    found = grad(lambda p: functional_call(layer, p, x).sum())(parameters)
    layer(x).sum().backward()
    for name, parameter in parameters.items():
        assert_close(found[name].detach(), parameter.grad, "layer", "float32")


def test_compiled_it_is_one_operation_each_way() -> None:
    layer, x = elman.nn.Linear(5, 3), torch.randn(4, 5, requires_grad=True)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="aot_eager")
    sources = [x, *layer.parameters()]
    for a, r in zip(values(compiled(x), sources), values(layer(x), sources), strict=True):
        assert_same_bits(a, r)


def test_operations_by_torchs_own_checks() -> None:
    x, weight, bias = (t.detach() for t in leaves(4, 5, 3, torch.float32))
    checks = ["test_schema", "test_faketensor"]
    torch.library.opcheck(torch.ops.elman.linear.default, (x, weight, bias, False), test_utils=checks)
    for wanted in ([True, True, True], [False, True, False]):
        d = torch.randn(4, 3)
        torch.library.opcheck(torch.ops.elman.linear_backward.default, (x, weight, d, wanted), test_utils=checks)


def test_it_is_torchs_layer_but_for_forward() -> None:
    theirs = torch.nn.Linear(5, 3)
    ours = elman.nn.Linear(5, 3)
    ours.load_state_dict(theirs.state_dict())
    assert isinstance(ours, torch.nn.Linear)
    assert set(vars(elman.nn.Linear)) - {"path", "__annotations__"} <= {
        "__module__",
        "__doc__",
        "forward",
        *dir(object),
    }
    x = torch.randn(4, 5)
    assert_close(copy.deepcopy(ours)(x).detach(), theirs(x).detach(), "layer", "float32")


def test_paths() -> None:
    layer = elman.nn.Linear(5, 3)
    assert str(layer.path(torch.randn(4, 5))) == "fused: CPU, torch.float32"
    assert "torch.float16" in layer.half().path(torch.randn(4, 5).half()).reason
    with torch.autocast("cpu", torch.bfloat16):
        assert str(layer.float().path(torch.randn(4, 5))) == "reference: torch's own products in bfloat16 are as fast"
        assert layer(torch.randn(4, 5)).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_layers_without_elements_are_torchs() -> None:
    for sizes in ((0, 3), (3, 0)):
        layer = elman.nn.Linear(*sizes)
        assert layer.path(torch.randn(4, sizes[0])).reason == "the layer has a size of 0"
        assert layer(torch.randn(4, sizes[0])).shape == (4, sizes[1])


@pytest.mark.parametrize("x", [torch.randn(4, 6), torch.randn(4, 5).double(), torch.tensor(1.0)], ids=str)
def test_what_does_not_fit_is_refused_in_torchs_words(x: Tensor) -> None:
    layer = elman.nn.Linear(5, 3)
    with pytest.raises(RuntimeError) as expected:
        torch.nn.functional.linear(x, layer.weight, layer.bias)
    with pytest.raises(RuntimeError) as found:
        layer(x)
    assert str(found.value) == str(expected.value)
