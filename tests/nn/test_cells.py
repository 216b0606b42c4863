"""LSTMCell, GRUCell and RNNCell are torch's cells, and a step of theirs is a step of the layer."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.utils import parametrizations

import elman
import elman.nn
from tests.nn.layers import D, H, assert_same, gradients, tensors_of

B = 3
FEW = "; with fewer than some 32 sequences a step torch's own is faster"
CELLS: dict[str, tuple[Any, Any, Callable[..., Any]]] = {
    "LSTMCell": (torch.nn.LSTMCell, elman.nn.LSTMCell, elman.nn.LSTM),
    "GRUCell": (torch.nn.GRUCell, elman.nn.GRUCell, elman.nn.GRU),
    "RNNCell": (torch.nn.RNNCell, elman.nn.RNNCell, elman.nn.RNN),
}


@pytest.fixture(params=CELLS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pair(kind: str, *sizes: int, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """Torch's cell and ours with the same weights."""
    theirs, ours, _ = CELLS[kind]
    one, other = theirs(*sizes or (D, H), **options).to(dtype), ours(*sizes or (D, H), **options).to(dtype)
    other.load_state_dict(one.state_dict())
    return one, other


def begin(kind: str, *shape: int, dtype: torch.dtype = torch.float32) -> Any:
    states = [torch.randn(*shape, dtype=dtype) for _ in range(2)]
    return tuple(states) if kind == "LSTMCell" else states[0]


def steps(cell: Any, x: Tensor, hx: Any) -> tuple[Tensor, Any]:
    """A sequence [T, B, D] step by step: every output, and the last state."""
    outputs = []
    for step in x:
        hx = cell(step, hx)
        outputs.append(hx[0] if isinstance(hx, tuple) else hx)
    return torch.stack(outputs), hx


class TestTheyAreTorchs:
    def test_by_class_and_initial_weights(self, kind: str) -> None:
        theirs, ours, _ = CELLS[kind]
        torch.manual_seed(3)
        one = theirs(D, H, bias=False)
        torch.manual_seed(3)
        other = ours(D, H, bias=False)
        assert isinstance(other, theirs)
        assert repr(other) == repr(one)
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("with_state", [True, False])
    @pytest.mark.parametrize("shape", [(B,), ()])
    def test_by_results_and_gradients(
        self, kind: str, dtype: torch.dtype, bias: bool, with_state: bool, shape: tuple[int, ...]
    ) -> None:
        theirs, ours = pair(kind, dtype=dtype, bias=bias)
        x = torch.randn(*shape, D, dtype=dtype, requires_grad=True)
        hx = begin(kind, *shape, H, dtype=dtype) if with_state else None
        sources = [x, *(state.requires_grad_() for state in (tensors_of(hx) if with_state else []))]
        assert ours.path(x, hx).name == "fused"
        found, expected = ours(x, hx), theirs(x, hx)
        assert type(found) is type(expected)
        assert [t.shape for t in tensors_of(found)] == [t.shape for t in tensors_of(expected)]
        assert_same(found, expected)
        assert_same(
            gradients(found, [*sources, *ours.parameters()]), gradients(expected, [*sources, *theirs.parameters()])
        )
        with torch.no_grad():
            assert_same(ours(x, hx), expected)

    def test_by_relu(self) -> None:
        theirs, ours = pair("RNNCell", nonlinearity="relu")
        x = torch.randn(B, D)
        assert ours.path(x).name == "fused"
        assert_same(ours(x), theirs(x))

    def test_by_second_gradients(self, kind: str) -> None:
        theirs, ours = pair(kind, dtype=torch.float64)
        x, hx = torch.randn(B, D, dtype=torch.float64, requires_grad=True), begin(kind, B, H, dtype=torch.float64)
        seconds = []
        for cell in (theirs, ours):
            (first,) = torch.autograd.grad(tensors_of(cell(x, hx))[0].square().sum(), [x], create_graph=True)
            seconds.append(torch.autograd.grad(first.square().sum(), [x, *cell.parameters()]))
        assert_same(seconds[1], seconds[0])

    def test_by_batched_gradients_and_forward_mode(self, kind: str) -> None:
        theirs, ours = pair(kind, dtype=torch.float64)
        xs = torch.randn(2, B, D, dtype=torch.float64)

        def output(cell: Any, x: Tensor) -> Tensor:
            return tensors_of(cell(x))[0]

        # Torch's own LSTMCell takes no vmap, and the others no state that is not mapped over.
        assert_same(vmap(lambda x: output(ours, x))(xs), torch.stack([output(theirs, x) for x in xs]))
        weights = dict(ours.named_parameters())
        found = vmap(grad(lambda w, x: tensors_of(functional_call(ours, w, (x,)))[0].square().sum()), in_dims=(None, 0))
        for k, x in enumerate(xs):
            expected = torch.autograd.grad(output(theirs, x).square().sum(), list(theirs.parameters()))
            assert_same([value[k] for value in found(weights, xs).values()], expected)
        tangents = [jvp(lambda x, cell=cell: output(cell, x), (xs[0],), (xs[1],))[1] for cell in (ours, theirs)]
        assert_same(*tangents)

    @pytest.mark.parametrize("way", ["autocast", "bfloat16", "float16"])
    def test_by_other_element_types(self, kind: str, way: str) -> None:
        theirs, ours = pair(kind)
        x, hx = torch.randn(B, D), begin(kind, B, H)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way == "autocast"):
            if way != "autocast":
                dtype = getattr(torch, way)
                theirs, ours, x = theirs.to(dtype), ours.to(dtype), x.to(dtype)
                hx = tuple(s.to(dtype) for s in hx) if isinstance(hx, tuple) else hx.to(dtype)
            found, expected = tensors_of(ours(x, hx)), tensors_of(theirs(x, hx))
            assert ours.path(x, hx).name == "reference"
        assert all(torch.equal(a, r) and a.dtype == r.dtype for a, r in zip(found, expected, strict=True))

    def test_by_copies_and_files(self, kind: str) -> None:
        _, ours = pair(kind)
        x, file = torch.randn(B, D), io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), loaded):
            assert type(other) is type(ours)
            assert all(torch.equal(a, r) for a, r in zip(tensors_of(other(x)), tensors_of(ours(x)), strict=True))

    def test_by_compiled_graphs(self, kind: str) -> None:
        _, ours = pair(kind)
        compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
        for batch in (B, B + 1):
            x, hx = torch.randn(batch, D), begin(kind, batch, H)
            found, expected = compiled(x, hx), ours(x, hx)
            assert_same(found, expected)
            assert_same(gradients(found, list(ours.parameters())), gradients(expected, list(ours.parameters())))

    def test_by_traces_exports_and_graphs(self, kind: str) -> None:
        theirs, ours = pair(kind)
        x, other = torch.randn(B, D), torch.randn(B + 2, D)
        assert_same(torch.jit.trace(ours, x)(other), theirs(other))
        shapes = {"input": {0: torch.export.Dim("batch")}}
        assert_same(torch.export.export(ours, (x,), dynamic_shapes=shapes).module()(other), theirs(other))
        assert_same(torch.fx.symbolic_trace(torch.nn.Sequential(ours))(x), theirs(x))

    def test_by_parametrisations(self, kind: str) -> None:
        theirs, ours = pair(kind)
        x = torch.randn(B, D)
        for cell in (theirs, ours):
            parametrizations.weight_norm(cell, "weight_hh")
        assert_same(ours(x), theirs(x))

    def test_by_weights_that_change_unseen_and_odd_memory(self, kind: str) -> None:
        theirs, ours = pair(kind)
        x, hx = torch.randn(D, B).T, begin(kind, B, H)
        with torch.no_grad():
            for _ in range(2):
                assert_same(ours(x, hx), theirs(x, hx))
                for cell in (theirs, ours):
                    cell.weight_hh.data.mul_(2.0)
                    cell.bias_ih.numpy()[:] += 1.0
            for cell in (theirs, ours):
                cell.weight_ih = torch.nn.Parameter(cell.weight_ih.T.contiguous().T)
            assert_same(ours(x, hx), theirs(x, hx))

    def test_in_place_changes_of_a_result(self, kind: str) -> None:
        """Ours takes them all; torch's RNNCell does not."""
        theirs, ours = pair(kind)
        x, hx = torch.randn(B, D), begin(kind, B, H)
        expected = sum((result + 1).square().sum() for result in tensors_of(theirs(x, hx)))
        found = sum(result.add_(1).square().sum() for result in tensors_of(ours(x, hx)))
        weights = [list(cell.parameters()) for cell in (ours, theirs)]
        assert_same(torch.autograd.grad(found, weights[0]), torch.autograd.grad(expected, weights[1]))


BAD: dict[str, Callable[[str], tuple[Any, ...]]] = {
    "axes": lambda kind: (torch.randn(1, B, D),),
    "features": lambda kind: (torch.randn(B, D + 1),),
    "element type": lambda kind: (torch.randn(B, D).double(),),
    "integers": lambda kind: (torch.zeros(B, D, dtype=torch.int64),),
    "no tensor": lambda kind: ("abc",),
    "the state's batch": lambda kind: (torch.randn(B, D), begin(kind, B + 1, H)),
    "the state's units": lambda kind: (torch.randn(B, D), begin(kind, B, H + 1)),
    "the state's axes": lambda kind: (torch.randn(B, D), begin(kind, 1, B, H)),
    "the state's element type": lambda kind: (torch.randn(B, D), begin(kind, B, H, dtype=torch.float64)),
    "another device": lambda kind: (torch.randn(B, D, device="meta"),),
}


class TestMessages:
    @pytest.mark.parametrize("what", BAD)
    def test_errors_are_torchs(self, kind: str, what: str) -> None:
        theirs, ours = pair(kind)
        arguments = BAD[what](kind)
        with pytest.raises(Exception) as expected:  # noqa: PT011 torch decides which
            theirs(*arguments)
        with pytest.raises(type(expected.value)) as found:
            ours(*arguments)
        assert str(found.value) == str(expected.value)

    def test_no_sequences_give_empty_results(self, kind: str) -> None:
        theirs, ours = pair(kind)
        assert_same(ours(torch.randn(0, D)), theirs(torch.randn(0, D)))

    def test_an_unknown_nonlinearity(self) -> None:
        cell = elman.nn.RNNCell(D, H, nonlinearity="swish")
        with pytest.raises(RuntimeError, match="Unknown nonlinearity: swish"):
            cell(torch.randn(B, D))


@given(st.sampled_from(sorted(CELLS)), *[st.integers(1, 20)] * 3, st.integers(1, 5), st.booleans())
def test_step_by_step_is_the_layer(kind: str, d: int, h: int, batch: int, count: int, bias: bool) -> None:
    """Bit for bit."""
    _, cell, layer = CELLS[kind]
    one, whole = cell(d, h, bias=bias), layer(d, h, bias=bias)
    whole.load_state_dict({f"{name}_l0": value for name, value in one.state_dict().items()})
    x, hx = torch.randn(count, batch, d), begin(kind, batch, h)
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            output, after = whole(x, tuple(s[None] for s in hx) if isinstance(hx, tuple) else hx[None])
            found, final = steps(one, x, hx)
        assert torch.equal(found, output)
        assert all(torch.equal(a, b[0]) for a, b in zip(tensors_of(final), tensors_of(after), strict=True))


def test_gradients_through_steps_are_the_layers(kind: str) -> None:
    _, cell, layer = CELLS[kind]
    one, whole = cell(D, H).double(), layer(D, H).double()
    whole.load_state_dict({f"{name}_l0": value for name, value in one.state_dict().items()})
    x = torch.randn(6, B, D, dtype=torch.float64)
    found = gradients(steps(one, x, None)[0], list(one.parameters()))
    assert_same(found, gradients(whole(x)[0], list(whole.parameters())))


class TestAccelerated:
    def test_cells_of_a_model(self, kind: str) -> None:
        theirs, _ = pair(kind)
        model = torch.nn.ModuleDict({"cell": copy.deepcopy(theirs)})
        report = elman.accelerate(model)
        assert str(report) == f"cell: torch.nn.{kind} is elman.nn.{kind} now{FEW}"
        assert type(model["cell"]) is CELLS[kind][1]
        x = torch.randn(B, D)
        assert_same(model["cell"](x), theirs(x))
        assert str(elman.restore(model)) == f"cell: torch.nn.{kind} again"
        assert type(model["cell"]) is CELLS[kind][0]

    def test_cells_made_in_a_block(self, kind: str) -> None:
        data = pickle.dumps(CELLS[kind][0](D, H))
        with elman.accelerated() as said:
            cell, loaded = CELLS[kind][0](D, H), pickle.loads(data)
        assert type(cell) is type(loaded) is CELLS[kind][1]
        assert said == [f"torch.nn.{kind} is elman.nn.{kind} now{FEW}"] * 2

    def test_derived_cells(self, kind: str) -> None:
        class Doubled(CELLS[kind][0]):  # type: ignore[misc]
            def forward(self, input: Tensor, hx: Any = None) -> Any:
                return super().forward(2 * input, hx)

        cell, x = Doubled(D, H), torch.randn(B, D)
        expected = cell(x)
        assert len(elman.accelerate(cell).changed) == 1
        assert isinstance(cell, CELLS[kind][1])
        assert_same(cell(x), expected)
