"""`accelerate(model)`: what it changes, what it leaves alone, and what it says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.utils.parametrizations import weight_norm

import elman
import elman.nn
from elman.errors import ConfigError, DtypeError
from tests.nn.layers import KINDS, OURS, assert_same

T, B, D, H = 5, 2, 3, 4


class Model(torch.nn.Module):
    """Recurrent layers at several depths, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.LSTM(D, H)
        self.blocks = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Linear(H, H)), torch.nn.GRU(H, H)])
        self.shared = self.blocks[1]
        self.head = torch.nn.ModuleDict({"rnn": torch.nn.RNN(H, H)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, _ = self.encoder(x)
        x, _ = self.blocks[1](self.blocks[0](x))
        x, _ = self.shared(x)
        x, _ = self.head["rnn"](x)
        return x


def test_a_model_of_many_layers() -> None:
    model, x = Model(), torch.randn(T, B, D)
    before, weights = model(x), {id(p) for p in model.parameters()}
    names = list(model.state_dict())
    report = elman.accelerate(model)
    assert str(report) == (
        "encoder: torch.nn.LSTM is elman.nn.LSTM now\n"
        "blocks.1: torch.nn.GRU is elman.nn.GRU now\n"
        "head.rnn: torch.nn.RNN is elman.nn.RNN now"
    )
    assert report.left == ()
    assert type(model.encoder) is elman.nn.LSTM
    assert type(model.shared) is elman.nn.GRU
    assert model.shared is model.blocks[1]
    assert {id(p) for p in model.parameters()} == weights
    assert list(model.state_dict()) == names
    assert_same(model(x), before)
    assert all(layer.path(torch.randn(T, B, H)).name == "fused" for layer in (model.shared, model.head["rnn"]))


def test_a_second_call_finds_nothing_to_do() -> None:
    model = Model()
    elman.accelerate(model)
    report = elman.accelerate(model)
    assert report.changed == report.left == ()
    assert str(report) == "no recurrent layers found"


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_itself(kind: type[torch.nn.Module]) -> None:
    layer = kind(D, H)
    assert str(elman.accelerate(layer)) == f"the model itself: torch.nn.{kind.__name__} is elman.nn.{kind.__name__} now"
    assert type(layer) is OURS[kind]


def test_hooks_training_and_gradients_stay() -> None:
    model, seen = torch.nn.Sequential(torch.nn.GRU(D, H)), []
    model[0].register_forward_hook(lambda *_: seen.append(1))
    model[0].weight_ih_l0.requires_grad_(False)
    model.eval()
    elman.accelerate(model)
    model(torch.randn(T, B, D))
    assert seen == [1]
    assert not model[0].training
    assert not model[0].weight_ih_l0.requires_grad


def test_an_accelerated_model_can_be_copied_and_saved() -> None:
    model, x = Model(), torch.randn(T, B, D)
    elman.accelerate(model)
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    fresh = Model()
    fresh.load_state_dict(model.state_dict())
    assert_same(model(x), fresh(x))


class TestLeftAlone:
    def check(self, layer: torch.nn.Module, reason: str, input: Any = None) -> None:
        model, kind = torch.nn.ModuleDict({"layer": layer}), type(layer)
        report = elman.accelerate(model)
        assert report.changed == ()
        assert report.left == (("layer", reason),)
        assert str(report) == f"layer: {reason}"
        assert type(model["layer"]) is kind
        if input is not None:
            model["layer"](input)

    def test_parametrised(self) -> None:
        layer = torch.nn.LSTM(D, H)
        weight_norm(layer, "weight_hh_l0")
        name = "torch.nn.utils.parametrize.ParametrizedLSTM"
        self.check(layer, f"{name} left alone, its parameters are parametrised", torch.randn(T, B, D))

    @pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning")
    @pytest.mark.filterwarnings("ignore:torch.quantize_per:UserWarning")
    def test_dynamically_quantised(self) -> None:
        if torch.backends.quantized.engine == "none":
            pytest.skip("torch has no engine for quantised layers here")
        model = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.LSTM(D, H)), {torch.nn.LSTM})
        name = "torch.ao.nn.quantized.dynamic.modules.rnn.LSTM"
        self.check(model[0], f"{name} left alone, it is quantised", torch.randn(T, B, D))

    def test_half_precision(self) -> None:
        self.check(torch.nn.LSTM(D, H).half(), "torch.nn.LSTM left alone, its element type is torch.float16")

    def test_other_devices(self) -> None:
        self.check(torch.nn.LSTM(D, H, device="meta"), "torch.nn.LSTM left alone, it is on meta")

    def test_a_replaced_forward(self) -> None:
        layer = torch.nn.LSTM(D, H)
        layer.forward = lambda x: x  # type: ignore[method-assign, assignment]
        self.check(layer, "torch.nn.LSTM left alone, its forward has been replaced")

    def test_an_attribute_that_ours_means_otherwise(self) -> None:
        layer = torch.nn.LSTM(D, H)
        layer.checkpoint = "weights.pt"
        self.check(layer, "torch.nn.LSTM left alone, it has 'checkpoint' of its own", torch.randn(T, B, D))

    @pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
    def test_scripted(self) -> None:
        name = "torch.jit._script.RecursiveScriptModule"
        self.check(torch.jit.script(torch.nn.GRU(D, H)), f"{name} left alone, it is scripted")


@pytest.mark.parametrize(("verb", "change"), [("accelerate", elman.accelerate), ("restore", elman.restore)])
class TestRefused:
    @pytest.mark.parametrize(("model", "got"), [(None, "None"), ([torch.nn.LSTM], r"\[<class"), ("lstm", "'lstm'")])
    def test_what_is_no_module(self, verb: str, change: Any, model: Any, got: str) -> None:
        with pytest.raises(DtypeError, match=rf"elman.{verb}: a torch.nn.Module expected, got {got}"):
            change(model)

    def test_a_compiled_model(self, verb: str, change: Any) -> None:
        model = torch.nn.ModuleDict({"inner": torch.compile(torch.nn.GRU(D, H))})
        with pytest.raises(ConfigError, match=rf"elman.{verb}: the model is compiled; {verb} it before torch.compile"):
            change(model)
        in_place = torch.nn.GRU(D, H)
        in_place.compile()
        with pytest.raises(ConfigError, match=r"the model is compiled"):
            change(in_place)
        assert type(model["inner"]._orig_mod) is type(in_place) is torch.nn.GRU

    @pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
    def test_a_scripted_model(self, verb: str, change: Any) -> None:
        with pytest.raises(ConfigError, match=rf"elman.{verb}: the model is scripted, and .*; {verb} the one it"):
            change(torch.jit.script(torch.nn.GRU(D, H)))


def test_other_layers_are_not_mentioned() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(D, H), elman.nn.Recurrent("gru", H, H))
    assert str(elman.accelerate(model)) == "no recurrent layers found"
