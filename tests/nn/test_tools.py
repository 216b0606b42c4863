"""Tools that know torch's layers by their class: an accelerated model is the same to them, or they say what to do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrizations, prune, weight_norm

import elman
import elman.nn
from elman.errors import ConfigError
from tests.nn.layers import KINDS, OURS, D, H, Model, assert_same, xs

T, B = 5, 2
CURE = r"call elman.restore\(model\) before, which gives torch's classes back"
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
]


@pytest.fixture(params=KINDS)
def models(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A model of torch's layers, and its copy, accelerated."""
    theirs = Model(request.param)
    ours = copy.deepcopy(theirs)
    assert len(elman.accelerate(ours).changed) == 1
    return theirs, ours


class TestRestore:
    def test_gives_torchs_classes_back(self, models: tuple[Any, Any]) -> None:
        theirs, ours = models
        x, kind = xs(), type(theirs.rnn)
        ours.rnn.register_forward_hook(lambda *_: None)
        weights, keys = list(ours.parameters()), set(vars(theirs.rnn))
        report = elman.restore(ours)
        assert report.changed == (("rnn", f"torch.nn.{kind.__name__} again"),)
        assert report.left == ()
        assert type(ours.rnn) is kind
        assert set(vars(ours.rnn)) == keys
        assert all(a is b for a, b in zip(weights, ours.parameters(), strict=True))
        assert len(ours.rnn._forward_hooks) == 1
        assert torch.equal(ours(x), theirs(x))
        assert str(elman.restore(ours)) == "no recurrent layers found"
        assert len(elman.accelerate(ours).changed) == 1

    def test_layers_made_as_ours(self) -> None:
        options = {"checkpoint": "sqrt", "precision": "bfloat16"}
        model = torch.nn.ModuleList([elman.nn.LSTM(D, H, **options), elman.nn.Linear(D, H)])
        assert str(elman.restore(model)) == "0: torch.nn.LSTM again\n1: torch.nn.Linear again"
        assert [type(layer) for layer in model] == [torch.nn.LSTM, torch.nn.Linear]
        assert not {"checkpoint", "precision"} & set(vars(model[0]))

    def test_leaves_alone_what_it_cannot_restore(self) -> None:
        class Mine(elman.nn.LSTM):
            pass

        tied = elman.nn.LSTM(D, H)
        parametrizations.weight_norm(tied, "weight_hh_l0")
        report = elman.restore(torch.nn.ModuleDict({"mine": Mine(D, H), "tied": tied}))
        assert report.left == (
            ("mine", f"{__name__}.{Mine.__qualname__} left alone, it is a class of its own"),
            ("tied", "torch.nn.utils.parametrize.ParametrizedLSTM left alone, its parameters are parametrised"),
        )


class TestScript:
    def test_says_what_to_do(self, models: tuple[Any, Any]) -> None:
        theirs, ours = models
        name = type(ours.rnn).__name__
        for model in (ours, ours.rnn):
            with pytest.raises(ConfigError, match=rf"elman.nn.{name}: torch.jit.script compiles .* only; {CURE}"):
                torch.jit.script(model)
        assert type(ours.rnn) is OURS[type(theirs.rnn)]
        elman.restore(ours)
        x = xs()
        assert_same(torch.jit.script(ours)(x), theirs(x))

    def test_linear_too(self) -> None:
        with pytest.raises(ConfigError, match=rf"elman.nn.Linear: torch.jit.script .*{CURE}"):
            torch.jit.script(torch.nn.Sequential(elman.nn.Linear(D, H)))

    def test_recurrent_has_another_way(self) -> None:
        with pytest.raises(ConfigError, match=r"elman.nn.Recurrent: torch.jit.script .*; torch.export.* can"):
            torch.jit.script(torch.nn.Sequential(elman.nn.Recurrent("gru", D, H)))

    def test_traces_hold_for_other_sizes(self, models: tuple[Any, Any]) -> None:
        theirs, ours = models
        traced = torch.jit.trace(ours, xs())
        x = torch.randn(T + 3, B + 1, D)
        assert_same(traced(x), theirs(x))


class TestFx:
    def test_a_layer_is_one_node_as_torchs(self, models: tuple[Any, Any]) -> None:
        theirs, ours = models
        expected, found = torch.fx.symbolic_trace(theirs), torch.fx.symbolic_trace(ours)
        assert str(found.graph) == str(expected.graph)
        x = xs()
        assert torch.equal(found(x), ours(x))
        assert type(found.rnn) is type(ours.rnn)

    def test_a_state_is_an_argument(self) -> None:
        class WithState(Model):
            def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Any:  # type: ignore[override]
                return self.rnn(x, hx=(h, c))

        model = WithState(torch.nn.LSTM)
        elman.accelerate(model)
        arguments = xs(), torch.randn(1, B, H), torch.randn(1, B, H)
        assert_same(torch.fx.symbolic_trace(model)(*arguments), model(*arguments))

    def test_linear_too(self) -> None:
        model, x = torch.nn.Sequential(elman.nn.Linear(D, H)), xs()
        graph = torch.fx.symbolic_trace(model)
        assert [node.op for node in graph.graph.nodes] == ["placeholder", "call_module", "output"]
        assert torch.equal(graph(x), model(x))

    def test_recurrent_and_its_inputs_too(self) -> None:
        class Paced(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.rnn = elman.nn.Recurrent("leaky_elman", D, H)

            def forward(self, x: Tensor, dt: Tensor) -> Any:
                output, state = self.rnn((x, dt))
                return output, state["h"]

        model, x, dt = Paced(), xs(), torch.rand(T, B)
        assert_same(torch.fx.symbolic_trace(model)(x, dt), model(x, dt))
        model.rnn.register_forward_pre_hook(lambda *_: None)
        with pytest.raises(ConfigError, match=r"Recurrent: torch.fx would run its hooks twice; take them off before"):
            torch.fx.symbolic_trace(model)

    def test_linear_cross_entropy_too(self) -> None:
        class Loss(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.loss = elman.nn.LinearCrossEntropy(D, 7)

            def forward(self, x: Tensor, targets: Tensor) -> Tensor:
                return self.loss(x, targets)  # type: ignore[no-any-return]

        model, x, targets = Loss(), torch.randn(B, D), torch.randint(0, 7, (B,))
        assert torch.equal(torch.fx.symbolic_trace(model)(x, targets), model(x, targets))

    def test_what_would_run_twice_is_refused(self) -> None:
        class Doubled(torch.nn.GRU):
            def forward(self, input: Any, hx: Any = None) -> Any:
                return super().forward(2 * input, hx)

        hooked, doubled = Model(elman.nn.GRU), Model(Doubled)
        hooked.rnn.register_forward_hook(lambda module, args, result: (2 * result[0], result[1]))
        elman.accelerate(doubled)
        with pytest.raises(ConfigError, match=rf"elman.nn.GRU: torch.fx would run its hooks twice; {CURE}"):
            torch.fx.symbolic_trace(hooked)
        with pytest.raises(ConfigError, match=rf"Doubled: torch.fx would run its forward twice; {CURE}"):
            torch.fx.symbolic_trace(doubled)
        with pytest.raises(ConfigError, match=r"elman.nn.GRU: torch.fx traces models that hold this layer"):
            torch.fx.symbolic_trace(elman.nn.GRU(D, H))


class TestQuantisation:
    @pytest.mark.parametrize("what", [None, {torch.nn.LSTM, torch.nn.GRU}, {torch.nn.Linear}])
    def test_is_never_silently_left_out(self, models: tuple[Any, Any], what: Any) -> None:
        _, ours = models
        with pytest.raises(ConfigError, match=rf"elman.nn.\w+: torch.ao.quantization knows .* only; {CURE}"):
            torch.ao.quantization.quantize_dynamic(ours, what)
        assert not hasattr(ours.rnn, "qconfig")

    def test_works_on_what_was_restored(self) -> None:
        if torch.backends.quantized.engine == "none":
            pytest.skip("torch has no engine for quantised layers here")
        theirs = Model(torch.nn.LSTM)
        ours, x = copy.deepcopy(theirs), xs()
        elman.accelerate(ours)
        elman.restore(ours)
        found = torch.ao.quantization.quantize_dynamic(ours)
        assert "quantized" in type(found.rnn).__module__
        assert torch.equal(found(x), torch.ao.quantization.quantize_dynamic(theirs)(x))


class TestChangesOfTheLayer:
    """An accelerated layer is changed as torch's would be."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda layer: weight_norm(layer, "weight_hh_l0"),
            lambda layer: parametrizations.weight_norm(layer, "weight_hh_l0"),
            lambda layer: prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5),
            lambda layer: layer.share_memory(),
            lambda layer: layer.to(torch.float64).to(torch.float32),
            lambda layer: layer.requires_grad_(False),
            lambda layer: layer.flatten_parameters(),
            lambda layer: layer.eval(),
        ],
    )
    def test_gives_the_same_results(self, models: tuple[Any, Any], change: Callable[[Any], Any]) -> None:
        x = xs()
        for model in models:
            change(model.rnn)
        theirs, ours = models
        assert_same(ours(x), theirs(x))
        changed = type(ours.rnn)
        assert issubclass(changed, OURS[torch_kind(theirs.rnn)])

    def test_pruned_and_then_made_permanent(self, models: tuple[Any, Any]) -> None:
        x = xs()
        for model in models:
            prune.random_unstructured(model.rnn, "weight_ih_l0", amount=3)
            torch.manual_seed(1)
            prune.remove(model.rnn, "weight_ih_l0")
        theirs, ours = models
        ours.load_state_dict(theirs.state_dict())
        assert_same(ours(x), theirs(x))

    def test_replicas_of_data_parallel(self, models: tuple[Any, Any]) -> None:
        x, (_, ours) = xs(), models
        replica = ours.rnn._replicate_for_data_parallel()
        assert type(replica) is type(ours.rnn)
        assert torch.equal(torch.nn.DataParallel(ours)(x), ours(x))

    def test_exported(self, models: tuple[Any, Any]) -> None:
        theirs, ours = models
        x = xs()
        assert_same(torch.export.export(ours, (x,)).module()(x), theirs(x))


def torch_kind(layer: torch.nn.Module) -> Any:
    """Which of torch's layers this is, whatever stands around it."""
    return next(kind for kind in KINDS if isinstance(layer, kind))


def test_a_pickle_needs_no_block_and_no_call() -> None:
    model = Model(torch.nn.GRU)
    elman.accelerate(model)
    assert type(pickle.loads(pickle.dumps(model)).rnn) is elman.nn.GRU
