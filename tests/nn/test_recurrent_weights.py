"""The weights of Recurrent in files, copies and averages, and the hash of the equations that they carry."""

from __future__ import annotations

import copy
import io
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from elman import cells
from elman.equations import cell, tanh
from elman.errors import EquationError
from elman.nn import Recurrent
from tests.nn.layers import D, H, elaborate, tensors_of

T, B = 5, 2


class TestExtraState:
    def test_weights_of_other_equations_are_refused(self) -> None:
        lstm, other = Recurrent("lstm", D, H), Recurrent("coupled_lstm", D, H)
        with pytest.raises(
            EquationError, match=r"these weights belong to other equations \(cell 'lstm', hash [0-9a-f]{12},"
        ):
            other.load_state_dict(lstm.state_dict(), strict=False)

    def test_a_changed_cell_is_noticed(self) -> None:
        layer = Recurrent(cells.get("layer_norm_lstm"), D, H)
        changed = Recurrent(cells.get("layer_norm_lstm").with_options(eps=1e-3), D, H)
        with pytest.raises(EquationError, match="layer_norm_lstm: these weights belong to other equations"):
            changed.load_state_dict(layer.state_dict())

    def test_equal_equations_under_another_name_are_taken(self) -> None:
        @cell(states="h")
        def renamed(x, h, W, U, b):  # type: ignore[no-untyped-def]
            """The Elman network again."""
            activation = tanh(W @ x + U @ h + b)
            return activation

        source, target, x = Recurrent("elman", D, H), Recurrent(renamed, D, H), torch.randn(T, B, D)
        target.load_state_dict(source.state_dict())
        assert torch.equal(target(x)[0], source(x)[0])

    @pytest.mark.parametrize("strict", [True, False])
    def test_weights_without_it_are_taken_with_a_warning(self, strict: bool) -> None:
        source, target = torch.nn.ModuleDict({"rnn": Recurrent("gru", D, H)}), Recurrent("gru", D, H)
        weights = {name: p for name, p in source.state_dict().items() if "extra" not in name}
        keys, other = list(weights), torch.nn.ModuleDict({"rnn": target})
        with pytest.warns(
            UserWarning, match=r"gru: nothing says to which equations .* \(rnn._extra_state is missing\)"
        ):
            other.load_state_dict(weights, strict=strict)
        assert list(weights) == keys
        assert all(torch.equal(p, weights[f"rnn.{name}"]) for name, p in target.named_parameters())

    def test_missing_weights_are_missing_keys(self) -> None:
        with pytest.raises(RuntimeError, match=r'Missing key.*"W_l0".*"_extra_state"'):
            Recurrent("gru", D, H).load_state_dict({})

    def test_a_dictionary_of_earlier_versions_is_read(self) -> None:
        layer, other = Recurrent("gru", D, H), Recurrent("lstm", D, H)
        old = {"cell": "gru", "graph": layer.graph.hash}
        Recurrent("gru", D, H).load_state_dict({**layer.state_dict(), "_extra_state": old})
        with pytest.raises(EquationError, match=r"lstm: these weights belong to other equations \(cell 'gru', hash"):
            other.load_state_dict({"_extra_state": old}, strict=False)

    def test_everything_in_a_state_dict_is_a_tensor(self) -> None:
        with torch.device("meta"):  # what is said of a layer is no part of its memory
            layer = Recurrent("gru", D, H)
            weights = layer.state_dict()
        assert weights["_extra_state"].device.type == "cpu"
        layer = Recurrent("gru", D, H)
        weights = layer.state_dict()
        assert sum(value.numel() for value in weights.values()) == 3 * H * (D + H + 1) + H + 1 + 8 * (33 + len("gru"))
        assert not list(layer.buffers())  # opacus refuses layers that have some
        copies = {name: value.cpu() for name, value in weights.items()}
        target = Recurrent("gru", D, H)
        target.load_state_dict(copies, assign=True)
        assert all(torch.equal(value, weights[name]) for name, value in target.state_dict().items())

    def test_it_survives_casts_and_averages_of_weights(self) -> None:
        torch.manual_seed(0)
        one, two = Recurrent("gru", D, H).state_dict(), Recurrent("gru", D, H).state_dict()
        target = Recurrent("gru", D, H)
        for changed in (
            {name: (one[name] + two[name]) / 2 for name in one},
            {name: sum(0.1 * value for value in [one[name]] * 3 + [two[name]] * 7) for name in one},
            {name: value.bfloat16() for name, value in one.items()},
            {name: value.to(torch.float8_e4m3fn) for name, value in one.items()},
            {name: 0.3 * value for name, value in one.items()},
            {name: value + 0.1 * torch.randn_like(value) for name, value in one.items()},
        ):
            target.load_state_dict(changed)
        with pytest.raises(EquationError):
            target.load_state_dict({name: -value for name, value in one.items()})

    def test_safetensors_save_and_load_a_model(self, tmp_path: Path) -> None:
        safetensors = pytest.importorskip("safetensors.torch")
        model, other = (torch.nn.ModuleDict({"rnn": Recurrent("gru", D, H)}) for _ in range(2))
        safetensors.save_model(model, str(tmp_path / "model.safetensors"))
        assert safetensors.load_model(other, str(tmp_path / "model.safetensors")) == (set(), [])
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
        with pytest.raises(EquationError, match=r"lstm: these weights belong to other equations \(cell 'gru'"):
            safetensors.load_model(
                torch.nn.ModuleDict({"rnn": Recurrent("lstm", D, H)}), str(tmp_path / "model.safetensors")
            )

    def test_a_moving_average_may_write_into_it(self) -> None:
        one, two = Recurrent("gru", D, H).state_dict(), Recurrent("gru", D, H).state_dict()
        for name, value in one.items():
            value.mul_(0.9).add_(two[name], alpha=0.1)
            value.lerp_(two[name], 0.3)
        Recurrent("gru", D, H).load_state_dict(one)

    @pytest.mark.parametrize(
        "extra",
        [
            None, "gru", {}, torch.tensor(1), torch.zeros(1), torch.full((300,), 300),
            torch.full((300,), math.nan), torch.full((300,), math.inf), torch.zeros(300, dtype=torch.complex64),
        ],
    )  # fmt: skip
    def test_an_extra_state_of_something_else_is_refused(self, extra: Any) -> None:
        layer = Recurrent("gru", D, H)
        with pytest.raises(EquationError, match="gru: these weights belong to other equations"):
            layer.load_state_dict({**layer.state_dict(), "_extra_state": extra})

    def test_it_survives_torch_save_with_weights_only(self) -> None:
        layer, x, file = Recurrent("lstm", D, H, 2, bidirectional=True), torch.randn(T, B, D), io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        other = Recurrent("lstm", D, H, 2, bidirectional=True)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(other(x)[0], layer(x)[0])


@pytest.mark.parametrize("of", ["lstm", "antisymmetric", elaborate])
def test_copies_and_pickles_compute_the_same_and_share_nothing(of: Any) -> None:
    sizes = {"P": 3} if of is elaborate else None
    layer, x, file = Recurrent(of, D, H, 2, sizes=sizes), torch.randn(T, B, D), io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        expected = [tensor.clone() for tensor in tensors_of(layer(x))]
        assert all(torch.equal(a, r) for a, r in zip(tensors_of(other(x)), expected, strict=True))
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(1.0)
        assert all(torch.equal(a, r) for a, r in zip(tensors_of(layer(x)), expected, strict=True))
