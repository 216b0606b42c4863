"""Tools for gradients by sample (opacus): what they find in our layers."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import elman
import elman.nn
from elman.errors import ConfigError
from tests.nn.layers import OURS, D, H, Model, assert_same, xs

B = 2


class TestGradientsBySample:
    """What opacus does, by its mechanism: a registry by exact type, and a gradient by sample of every other layer."""

    def prepare(self, layer: Any) -> None:
        def loss(weights: Any, x: Tensor, d: Tensor) -> Tensor:
            return (functional_call(layer, weights, (x.unsqueeze(0),)) * d.unsqueeze(0)).sum()

        layer.ft_compute_sample_grad = vmap(grad(loss), in_dims=(None, 0, 0))

    @pytest.mark.parametrize("layer", [*(kind(D, H) for kind in OURS.values()), elman.nn.Recurrent("gru", D, H)])
    def test_is_refused_where_a_layer_is_taken(self, layer: Any) -> None:
        with pytest.raises(ConfigError, match=rf"elman.nn.{type(layer).__name__}: opacus has no gradients by sample"):
            self.prepare(layer)

    def test_linear_layers_have_them(self) -> None:
        layer, x, d = elman.nn.Linear(D, H), torch.randn(B, D), torch.randn(B, H)
        self.prepare(layer)
        found = layer.ft_compute_sample_grad(dict(layer.named_parameters()), x, d)
        assert_same(found["weight"], torch.einsum("bh,bd->bhd", d, x))

    def test_registries_by_exact_type_know_ours_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        validators: dict[type, str] = {torch.nn.LSTM: "replace it"}
        fixers: dict[type, str] = {torch.nn.LSTM: "by this", torch.nn.GRU: "by that"}
        registries = SimpleNamespace(ModuleValidator=SimpleNamespace(VALIDATORS=validators, FIXERS=fixers))
        monkeypatch.setitem(sys.modules, "opacus.validators.module_validator", registries)
        elman.accelerate(torch.nn.ModuleList([torch.nn.LSTM(D, H), torch.nn.GRU(D, H), torch.nn.RNNCell(D, H)]))
        assert validators == {torch.nn.LSTM: "replace it", elman.nn.LSTM: "replace it"}
        assert fixers[elman.nn.GRU] == "by that"
        assert len(fixers) == 4

    def test_opacus(self) -> None:
        opacus = pytest.importorskip("opacus", reason="opacus is not installed")
        validator = opacus.validators.ModuleValidator
        model = Model(torch.nn.LSTM)
        elman.accelerate(model)
        assert "We do not support nn.LSTM" in str(validator.validate(model)[0])
        opacus.GradSampleModule(validator.fix(model))(xs().transpose(0, 1)).sum().backward()
        with pytest.raises(ConfigError, match=r"elman.nn.LSTM: opacus has no gradients by sample of this layer; call"):
            opacus.GradSampleModule(model)
