"""Recurrent: options, forms of input, state, weights under changed equations, and what it says to bad input."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman import cells
from elman.equations import cell, sigmoid, tanh
from elman.errors import ConfigError, DtypeError, EquationError, ShapeError
from elman.nn import Recurrent
from elman.sequences import Ragged
from elman.state import State
from tests.nn.layers import D, H, assert_same, gradients, tensors_of

T, B = 5, 2


@cell(states="h", inputs="x dt:1")
def paced(x, dt, h, W, U, b):  # type: ignore[no-untyped-def]
    """A unit that moves by dt of the way."""
    return h + dt * (tanh(W @ x + U @ h + b) - h)


@cell(states="h:P c m", start={"m": 1.0}, output="y")
def elaborate(x, h, c, m, W, U, V, b):  # type: ignore[no-untyped-def]
    """A projection, a start that is not zero and an output that is no state."""
    i = sigmoid(W.i @ x + U.i @ h + b.i)
    c = i * c + tanh(W.c @ x + U.c @ h + b.c) * m
    m = 0.5 * m + 0.5 * i
    h = V.h @ c
    return h, c, m, tanh(c)


class TestOptions:
    def test_parameters_are_named_by_group_layer_and_direction(self) -> None:
        layer = Recurrent("lstm", D, H, 2, bidirectional=True)
        shapes = {name: list(p.shape) for name, p in layer.named_parameters()}
        assert shapes["W_l0"] == [4 * H, D]
        assert shapes["W_l1_reverse"] == [4 * H, 2 * H]
        assert set(shapes) == {f"{group}_l{k}{r}" for group in "WUb" for k in (0, 1) for r in ("", "_reverse")}

    def test_parameters_are_within_one_over_the_root_of_h(self) -> None:
        for parameter in Recurrent("gru", D, 64).parameters():
            assert 0.1 < parameter.abs().max() <= 0.125

    def test_sizes_of_other_letters(self) -> None:
        layer = Recurrent("projected_lstm", D, H, 2, sizes={"P": 2})
        output, state = layer(torch.randn(T, B, D))
        assert output.shape == (T, B, 2)
        assert {name: tuple(array.shape) for name, array in state.items()} == {"h": (2, B, 2), "c": (2, B, H)}

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            ((0, 4), {}, "lstm: size D must be at least 1, got 0"),
            ((3, -1), {}, "lstm: size H must be at least 1, got -1"),
            ((3, 4, 0), {}, "num_layers must be at least 1 and dropout in [0, 1), got 0 and 0.0"),
            ((3, 4, "2"), {}, "num_layers must be at least 1 and dropout in [0, 1), got '2' and 0.0"),
            ((3, 4, 1.5), {}, "num_layers must be at least 1 and dropout in [0, 1), got 1.5 and 0.0"),
            ((3, 4, True), {}, "num_layers must be at least 1 and dropout in [0, 1), got True and 0.0"),
            ((3, 4), {"dropout": None}, "num_layers must be at least 1 and dropout in [0, 1), got 1 and None"),
            ((3, 4), {"dropout": 1.0}, "num_layers must be at least 1 and dropout in [0, 1), got 1 and 1.0"),
            ((3, 4), {"sizes": {"P": 2}}, "lstm: sizes names 'P'; its own letters are none"),
            ((3, 4), {"sizes": {"H": 2}}, "lstm: sizes names 'H'; its own letters are none"),
        ],
    )
    def test_bad_options(self, arguments: Any, options: Any, message: str) -> None:
        with pytest.raises(ConfigError) as error:
            Recurrent("lstm", *arguments, **options)
        assert str(error.value) == message

    def test_an_unknown_cell_or_something_else_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="unknown cell 'lstn'; built in: elman, "):
            Recurrent("lstn", D, H)
        with pytest.raises(ConfigError, match="a Cell or the name of one expected, got function"):
            Recurrent(lambda x, h: h, D, H)  # type: ignore[arg-type]

    def test_its_line(self) -> None:
        assert repr(Recurrent("gru", 3, 4)) == "Recurrent(gru, 3, 4)"
        layer = Recurrent("gru", 3, 4, 2, batch_first=True, dropout=0.5, bidirectional=True)
        assert repr(layer) == "Recurrent(gru, 3, 4, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True)"

    def test_dropout_falls_between_layers_in_training_only(self) -> None:
        layer, x = Recurrent("gru", D, 64, 2, dropout=0.5), torch.randn(T, B, D)
        assert not torch.equal(layer(x)[0], layer(x)[0])
        below, _ = layer(x)
        assert (below != 0).all()  # nothing is dropped behind the last layer
        layer.eval()
        assert torch.equal(layer(x)[0], layer(x)[0])
        single = Recurrent("gru", D, 64, dropout=0.5)
        assert torch.equal(single(x)[0], single(x)[0])


class TestForms:
    """Every form of input gives the same rows to the same bits."""

    @pytest.fixture(params=["lstm", "gru", "layer_norm_lstm", "min_gru", "elaborate"])
    def layer(self, request: pytest.FixtureRequest) -> Recurrent:
        of = elaborate if request.param == "elaborate" else request.param
        return Recurrent(of, D, H, 2, bidirectional=True, sizes={"P": 3} if of is elaborate else None)

    @pytest.mark.parametrize("tokens", [False, True])
    def test_all_forms_agree(self, layer: Recurrent, tokens: bool) -> None:
        lengths = [4, 1, 3]
        sequences = [torch.randint(0, D, (n,)) if tokens else torch.randn(n, D) for n in lengths]
        single = [layer(sequence) for sequence in sequences]
        ragged, ragged_state = layer(Ragged.from_lengths(torch.cat(sequences), lengths))
        packed, packed_state = layer(pack_sequence(sequences, enforce_sorted=False))
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
        for s, (output, state) in enumerate(single):
            assert torch.equal(ragged[s], output)
            assert torch.equal(padded[: lengths[s], s], output)
            for name in state:
                assert state[name].shape == (4, 1, layer.sizes[layer.graph.states[list(state).index(name)].size])
                assert torch.equal(ragged_state[name][:, s], state[name][:, 0])
                assert torch.equal(packed_state[name][:, s], state[name][:, 0])

    @pytest.mark.parametrize("tokens", [False, True])
    def test_batch_first(self, layer: Recurrent, tokens: bool) -> None:
        x = torch.randint(0, D, (T, B)) if tokens else torch.randn(T, B, D)
        expected, state = layer(x)
        layer.batch_first = True
        found, after = layer(x.transpose(0, 1))
        assert torch.equal(found.transpose(0, 1), expected)
        assert all(torch.equal(after[name], state[name]) for name in state)

    @pytest.mark.parametrize("steps", [0, 1])
    def test_no_steps_leave_the_state(self, layer: Recurrent, steps: int) -> None:
        x = torch.randn(steps, B, D)
        begin = {p.name: torch.randn(4, B, layer.sizes[p.size]) for p in layer.graph.states}
        output, state = layer(x, begin)
        assert output.shape == (steps, B, 2 * layer.sizes[layer.graph.output_size])
        assert steps or all(torch.equal(state[name], begin[name]) for name in begin)
        _, started = layer(torch.randn(0, B, D))
        assert all((started[p.name] == p.start).all() for p in layer.graph.states)
        output, state = layer(torch.randn(T, 0, D))
        assert output.shape[:2] == (T, 0)
        assert state.batch == 0

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32])
    def test_tokens_of_any_integer_type_are_one_hot_rows(self, dtype: torch.dtype) -> None:
        layer, tokens = Recurrent("lstm", D, H), torch.randint(0, D, (T, B))
        dense = layer(torch.nn.functional.one_hot(tokens, D).float())
        found = layer(tokens.to(dtype))
        assert_same(found[0], dense[0])
        assert_same(found[1], dense[1])
        for a, r in zip(
            gradients(found, list(layer.parameters())), gradients(dense, list(layer.parameters())), strict=True
        ):
            assert_same(a, r)

    def test_more_tokens_than_steps(self) -> None:
        layer, tokens = Recurrent("gru", 1000, H), torch.tensor([[999, 0], [5, 5]])
        dense = layer(torch.nn.functional.one_hot(tokens, 1000).float())
        found = layer(tokens)
        assert_same(found[0], dense[0])
        for a, r in zip(
            gradients(found, list(layer.parameters())), gradients(dense, list(layer.parameters())), strict=True
        ):
            assert_same(a, r)

    def test_several_inputs(self) -> None:
        layer, x, dt = Recurrent(paced, D, H), torch.randn(T, B, D), torch.rand(T, B)
        output, _ = layer((x, dt))
        assert torch.equal(layer([x, dt.unsqueeze(-1)])[0], output)
        layer.batch_first = True
        assert torch.equal(layer((x.transpose(0, 1), dt.T))[0].transpose(0, 1), output)
        layer.batch_first = False
        ragged, _ = layer((Ragged.from_lengths(x[:, 0], [2, 3]), Ragged.from_lengths(dt[:, 0], [2, 3])))
        assert torch.equal(ragged[0], layer((x[:2, 0], dt[:2, 0]))[0])
        packed, _ = layer((pack_sequence([x[:, 0], x[:2, 1]]), pack_sequence([dt[:, 0], dt[:2, 1]])))
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
        assert torch.equal(padded[:2, 1], output[:2, 1])
        tokens = torch.randint(0, D, (T, B))
        one_hot = torch.nn.functional.one_hot(tokens, D).float()
        assert_same(layer((tokens, dt))[0], layer((one_hot, dt))[0])


class TestBadInput:
    @pytest.mark.parametrize(
        ("input", "error", "message"),
        [
            (
                torch.randn(D),
                ShapeError,
                "gru: input must be [T, B, D] or [T, D] ([B, T, …] with batch_first), got [3]",
            ),
            (torch.randn(T, B, D + 1), ShapeError, "gru: input must end in 3 features, got shape [5, 2, 4]"),
            (torch.randn(T, D + 1), ShapeError, "gru: input must end in 3 features, got shape [5, 4]"),
            (
                torch.zeros(T, B, D, dtype=torch.int64),
                ShapeError,
                "gru: input must be [T, B] or [T] ([B, T, …] with batch_first), got [5, 2, 3]",
            ),
            (
                pack_sequence([torch.zeros(T, D, dtype=torch.int64)]),
                ShapeError,
                "gru: tokens must be [T, B] or [T], got [5, 3]; floats have a last axis of features",
            ),
            (torch.tensor([[0, 3]]), ShapeError, "gru: tokens must be 0 … 2, got 0 … 3"),
            (torch.tensor([-1, 2]), ShapeError, "gru: tokens must be 0 … 2, got -1 … 2"),
            (
                torch.ones(T, B, D, dtype=torch.bool),
                DtypeError,
                "gru: inputs are floats, or integer tokens in the first place; got torch.bool",
            ),
            (
                torch.zeros(T, B, D, dtype=torch.complex64),
                DtypeError,
                "gru: inputs are floats, or integer tokens in the first place; got torch.complex64",
            ),
            (
                torch.randn(T, B, D).double(),
                DtypeError,
                "gru: an input or a state is torch.float64 on cpu, the weights are torch.float32 on cpu; convert one "
                "with .to(…)",
            ),
            (
                torch.randn(T, B, D, device="meta"),
                DtypeError,
                "gru: an input or a state is torch.float32 on meta, the weights are torch.float32 on cpu; convert one "
                "with .to(…)",
            ),
            (np.zeros((T, B, D)), DtypeError, "gru: a tensor, a PackedSequence or a Ragged expected, got ndarray"),
            (None, DtypeError, "gru: a tensor, a PackedSequence or a Ragged expected, got NoneType"),
            ((torch.randn(T, B, D),) * 2, ShapeError, "gru: takes the inputs x, got 2"),
            ((), ShapeError, "gru: takes the inputs x, got 0"),
        ],
    )
    def test_input(self, input: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error) as found:
            Recurrent("gru", D, H)(input)
        assert str(found.value) == message

    def test_several_inputs_that_are_not_alike(self) -> None:
        layer, x = Recurrent(paced, D, H), torch.randn(T, B, D)
        with pytest.raises(ShapeError, match=r"paced: takes the inputs x, dt, got 1"):
            layer(x)
        for dt in (torch.rand(T, B + 1), torch.rand(B, T)):
            with pytest.raises(ShapeError, match="paced: all inputs must have the same steps, got"):
                layer((x, dt))
        ragged = Ragged.from_lengths(x[:, 0], [2, 3])
        for dt in (Ragged.from_lengths(torch.rand(T), [3, 2]), torch.rand(T)):
            with pytest.raises(ShapeError, match="paced: all inputs must have one form, with the same lengths"):
                layer((ragged, dt))
        with pytest.raises(DtypeError, match=r"floats, or integer tokens in the first place; got torch\.int64"):
            layer((x, torch.zeros(T, B, dtype=torch.int64)))

    @pytest.mark.parametrize(
        ("state", "error", "message"),
        [
            ({}, ShapeError, "lstm: state must name h, c, got nothing"),
            ({"h": torch.zeros(1, B, H)}, ShapeError, "lstm: state must name h, c, got h"),
            (
                {"h": torch.zeros(1, B, H), "c": torch.zeros(1, B + 1, H)},
                ShapeError,
                "lstm: state c must be [1, 2, 4], got [1, 3, 4]",
            ),
            (
                {"h": torch.zeros(B, H), "c": torch.zeros(1, B, H)},
                ShapeError,
                "lstm: state h must be [1, 2, 4], got [2, 4]",
            ),
            (
                {"h": torch.zeros(1, B, H), "c": torch.zeros(1, B, H).double()},
                DtypeError,
                "lstm: an input or a state is torch.float64 on cpu, the weights are torch.float32 on cpu; convert one "
                "with .to(…)",
            ),
            (
                {"h": np.zeros((1, B, H), np.float32), "c": np.zeros((1, B, H), np.float32)},
                DtypeError,
                "lstm: state h must be a tensor, got ndarray",
            ),
            (
                (torch.zeros(1, B, H), torch.zeros(1, B, H)),
                DtypeError,
                "lstm: state must be a mapping of tensors by name (h, c), got tuple",
            ),
            (torch.zeros(1, B, H), DtypeError, "lstm: state must be a mapping of tensors by name (h, c), got Tensor"),
        ],
    )
    def test_state(self, state: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error) as found:
            Recurrent("lstm", D, H)(torch.randn(T, B, D), state)
        assert str(found.value) == message


class TestState:
    def test_a_state_is_carried_to_the_same_bits(self) -> None:
        layer, x = Recurrent("slstm", D, H, 2), torch.randn(T, B, D)
        output, state = layer(x)
        first, between = layer(x[:2])
        second, after = layer(x[2:], between)
        assert torch.equal(torch.cat([first, second]), output)
        assert isinstance(after, State)
        assert all(torch.equal(after[name], state[name]) for name in state)

    def test_a_plain_dict_and_select_and_reset_do(self) -> None:
        layer, x = Recurrent("lstm", D, H), torch.randn(T, B, D)
        _, state = layer(x)
        expected = layer(x, state)[0]
        assert torch.equal(layer(x, dict(state))[0], expected)
        assert torch.equal(layer(x[:, :1], state.select([0]))[0], expected[:, :1])
        assert torch.equal(layer(x, state.reset([0, 1]))[0], layer(x)[0])

    def test_gradients_flow_through_the_state_until_detached(self) -> None:
        layer, x = Recurrent("lstm", D, H), torch.randn(T, B, D, requires_grad=True)
        _, state = layer(x)
        (through,) = torch.autograd.grad(layer(x.detach(), state)[0].sum(), [x])
        assert through.abs().max() > 0
        assert not state.detach()["h"].requires_grad


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
        assert sum(value.numel() for value in weights.values()) == 3 * H * (D + H + 1) + H + 33 + len("gru")
        assert not list(layer.buffers())  # opacus refuses layers that have some
        copies = {name: value.cpu() for name, value in weights.items()}
        target = Recurrent("gru", D, H)
        target.load_state_dict(copies, assign=True)
        assert all(torch.equal(value, weights[name]) for name, value in target.state_dict().items())

    def test_it_survives_casts_and_averages_of_weights(self) -> None:
        one, two = Recurrent("gru", D, H).state_dict(), Recurrent("gru", D, H).state_dict()
        target = Recurrent("gru", D, H)
        for changed in (
            {name: (one[name] + two[name]) / 2 for name in one},
            {name: sum(0.1 * value for value in [one[name]] * 3 + [two[name]] * 7) for name in one},
            {name: value.bfloat16() for name, value in one.items()},
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

    @pytest.mark.parametrize("extra", [None, "gru", torch.zeros(1), torch.full((40,), 300), torch.tensor(1), {}])
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
