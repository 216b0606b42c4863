"""torch.compile, export and fx over the layers: the values of eager mode, the fused operation as one node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
import torch._dynamo.testing
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import elman.nn
from elman.errors import KernelError, ShapeError
from elman.nn import Recurrent
from elman.nn.call import Call
from elman.nn.plans import DENSE, PlanSpec
from elman.nn.sized import sized_cell
from tests.nn.layers import LAYERS, D, H, assert_same, gradients

T, B = 5, 2


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture
def allow_rnn() -> Iterator[None]:
    """Let Dynamo trace subclasses of torch.nn.RNNBase, which it refuses by default."""
    with torch._dynamo.config.patch(allow_rnn=True):
        yield


class Model(torch.nn.Module):
    """A layer between others."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.below, self.layer, self.above = torch.nn.Linear(D, D), layer, torch.nn.Linear(H, 2)

    def forward(self, x: Any) -> Tensor:
        if isinstance(x, Tensor) and x.is_floating_point():
            x = self.below(x).relu()
        output, _ = self.layer(x)
        return self.above(output.data if isinstance(output, PackedSequence) else output).sigmoid()  # type: ignore[no-any-return]


def assert_as_eager(model: torch.nn.Module, compiled: Any, x: Any) -> None:
    """Assert that results and gradients are those of eager mode, bit for bit where the same operations run."""
    found, expected = compiled(x), model(x)
    assert_same(found, expected)
    parameters = [p for p in model.parameters() if p.requires_grad]
    used = [
        p
        for p in parameters
        if torch.autograd.grad(expected.sum(), p, retain_graph=True, allow_unused=True)[0] is not None
    ]
    assert_same(gradients(found, used), gradients(expected, used))
    with torch.no_grad():
        assert_same(compiled(x), model(x))


class TestRecurrent:
    @pytest.mark.parametrize("of", ["lstm", "layer_norm_lstm", "antisymmetric", "gru_reset_before", "min_gru"])
    def test_whole(self, of: str) -> None:
        model = Model(Recurrent(of, D, H, 2))
        assert_as_eager(model, torch.compile(model, backend="aot_eager", fullgraph=True), torch.randn(T, B, D))

    @pytest.mark.parametrize("x", [torch.randint(0, D, (T, B)), torch.randn(T, D)], ids=["tokens", "unbatched"])
    def test_forms(self, x: Tensor) -> None:
        model = Model(Recurrent("gru", D, H))
        assert_as_eager(model, torch.compile(model, backend="aot_eager", fullgraph=True), x)

    def test_bidirectional_batch_first_with_states(self) -> None:
        layer = Recurrent("lstm", D, H, 2, batch_first=True, bidirectional=True)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        x, state = torch.randn(B, T, D), {name: torch.randn(4, B, H) for name in "hc"}
        found, expected = compiled(x, state), layer(x, state)
        assert_same(found[0], expected[0])
        assert_same(found[1], expected[1])
        assert_same(compiled(x, found[1].detach())[0], layer(x, expected[1].detach())[0])

    @pytest.mark.parametrize("checkpoint", [None, 2])
    def test_outputs_may_be_written_into(self, checkpoint: int | None) -> None:
        layer = Recurrent("elman", D, H, checkpoint=checkpoint, dtype=torch.float64)
        x = torch.randn(T, B, D, dtype=torch.float64)

        def within(x: Tensor) -> Tensor:
            output = layer(x)[0]
            output += 1
            return output

        found = torch.compile(within, backend="aot_eager", fullgraph=True)(x).square()
        behind = torch.compile(layer, backend="aot_eager", fullgraph=True)(x)[0]
        behind += 1
        expected = gradients((layer(x)[0].clone() + 1).square(), list(layer.parameters()))
        assert_same(gradients(found, list(layer.parameters())), expected)
        assert_same(gradients(behind.square(), list(layer.parameters())), expected)

    def test_each_direction_is_one_node_forward_and_backward(self) -> None:
        graphs: list[list[str]] = []

        def note(graph: torch.fx.GraphModule, _: Any) -> Any:
            graphs.append([str(node.target) for node in graph.graph.nodes if "elman" in str(node.target)])
            return make_boxed_func(graph.forward)

        layer = Recurrent("lstm", D, H, 2, bidirectional=True)
        compiled = torch.compile(layer, fullgraph=True, backend=aot_autograd(fw_compiler=note, bw_compiler=note))
        compiled(torch.randn(T, B, D))[0].sum().backward()
        assert graphs == [["elman.forward.default"] * 4, ["elman.backward.default"] * 4]

    def test_varying_lengths_compile_twice_at_most(self) -> None:
        layer, counter = Recurrent("gru", D, H), torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
        compiled = torch.compile(layer, backend=counter, fullgraph=True)
        for steps in (5, 6, 7, 30):
            x = torch.randn(steps, B, D)
            assert_same(compiled(x)[0], layer(x)[0])
        assert counter.frame_count <= 2

    def test_other_layers_do_not_compile_it_again(self) -> None:
        counter, x = torch._dynamo.testing.CompileCounterWithBackend("aot_eager"), torch.randn(T, B, D)
        compiled = torch.compile(Recurrent("gru", D, H), backend=counter, fullgraph=True)
        compiled(x)
        Recurrent("lstm", 7, 8)(torch.randn(1, 1, 7))
        compiled(x)
        assert counter.frame_count == 1

    def test_tokens_out_of_range_are_refused(self) -> None:
        compiled = torch.compile(Recurrent("gru", D, H), backend="aot_eager", fullgraph=True)
        compiled(torch.zeros(T, B, dtype=torch.int64))
        with pytest.raises(ShapeError, match="gru: tokens must be 0 … 2, got 0 … 99"):
            compiled(torch.tensor([[0, 99]]).expand(T, B))

    def test_weights_that_change_are_seen(self) -> None:
        layer, x = Recurrent("gru", D, H), torch.randn(T, B, D)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        compiled(x)
        with torch.no_grad():
            layer.W_l0.mul_(2.0)
        assert_same(compiled(x)[0], layer(x)[0])

    def test_packed_sequences(self) -> None:
        model = Model(Recurrent("lstm", D, H))
        packed = pack_sequence([torch.randn(2, D), torch.randn(4, D)], enforce_sorted=False)
        assert_as_eager(model, torch.compile(model, backend="aot_eager"), packed)


class TestTorchsLayers:
    @pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
    @pytest.mark.parametrize("packed", [False, True])
    def test_by_default_dynamo_breaks_off_and_runs_them_as_they_are(self, name: str, packed: bool) -> None:
        model = Model(LAYERS[name]())
        x: Any = pack_sequence([torch.randn(4, D), torch.randn(2, D)]) if packed else torch.randn(T, B, D)
        assert_as_eager(model, torch.compile(model, backend="aot_eager"), x)
        # The functions below the layer are not compiled one by one.
        assert torch._dynamo.utils.counters["frames"]["ok"] <= 8

    @pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
    def test_whole_where_dynamo_may_trace_them(self, name: str, allow_rnn: None) -> None:
        model = Model(torch.nn.Sequential())
        model.layer = LAYERS[name](num_layers=2)
        assert_as_eager(model, torch.compile(model, backend="aot_eager", fullgraph=True), torch.randn(T, B, D))

    def test_two_of_them_in_one_graph(self, allow_rnn: None) -> None:
        class Two(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.second = elman.nn.LSTM(D, 11, proj_size=6), elman.nn.GRU(6, 13)

            def forward(self, x: Tensor) -> Tensor:
                return self.second(self.first(x)[0])[0]  # type: ignore[no-any-return]

        model = Two()
        assert_as_eager(model, torch.compile(model, backend="aot_eager", fullgraph=True), torch.randn(T, B, D))


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a compiler")
def test_inductor(allow_rnn: None) -> None:
    layers = torch.nn.ModuleList([Recurrent("layer_norm_lstm", D, D, 2), LAYERS["GRU"](bidirectional=True)])

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Tensor) -> Tensor:
            return self.layers[1](self.layers[0](x.sin())[0] * 2)[0].cos()  # type: ignore[no-any-return]

    model = Both()
    assert_as_eager(model, torch.compile(model, fullgraph=True), torch.randn(T, B, D))


class TestOtherTraces:
    def test_make_fx_records_the_operation(self) -> None:
        layer, x = Recurrent("gru", D, H), torch.randn(T, B, D)
        with torch.no_grad():
            traced = make_fx(lambda x: layer(x)[0])(x)
        assert "elman.forward" in traced.code
        other = torch.randn(T, B, D)
        assert_same(traced(other), layer(other)[0])

    @pytest.mark.filterwarnings("ignore:The tensor attributes self.layer._flat_weights")
    @pytest.mark.parametrize("name", LAYERS)
    def test_export_takes_the_reference(self, name: str) -> None:
        class First(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = LAYERS[name]()

            def forward(self, x: Tensor) -> Tensor:
                return self.layer(x)[0]  # type: ignore[no-any-return]

        model, x = First(), torch.randn(T, B, D)
        program = torch.export.export(model, (torch.randn(T, B, D),), strict=False)
        assert "elman" not in str([node.target for node in program.graph.nodes])
        assert_same(program.module()(x), model(x))

    def test_a_graph_of_another_process_is_refused_until_its_layer_is_made(self) -> None:
        key = "somebodys 0123456789abcdef D3 H4"
        with pytest.raises(KernelError, match="cell somebodys is unknown here"):
            sized_cell(key)
        x = torch.zeros(1, D)
        with pytest.raises(KernelError, match="make its layer first"):
            torch.ops.elman.forward(key, [0, 1, 1, 0, -1], None, None, [1, 1], [x, None, torch.zeros(H, D)], False)

    @pytest.mark.parametrize("reverse", [0, 1])
    def test_the_operations_by_torchs_own_checks(self, reverse: int) -> None:
        layer = Recurrent("lstm", D, H)
        sized, weights = layer._layers()[0][0]
        weights = [w.detach() for w in weights]
        x, h = torch.randn(T * B, D), torch.randn(B, H)
        call = Call.of(sized, PlanSpec(DENSE, T, B, bool(reverse)), None, [x], [h, None], weights)
        torch.library.opcheck(
            torch.ops.elman.forward.default, (*call, True), test_utils=["test_schema", "test_faketensor"]
        )
        results = torch.ops.elman.forward(*call, True)
        kept, d_results = [results[0], *results[3:]], [torch.randn(T * B, H), None, torch.randn(B, H)]
        wanted = [True, True, False, True, False, True]
        torch.library.opcheck(
            torch.ops.elman.backward.default,
            (*call, kept, d_results, wanted),
            test_utils=["test_schema", "test_faketensor"],
        )
