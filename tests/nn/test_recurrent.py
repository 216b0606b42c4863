"""Recurrent: options, forms of input and state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman.errors import ConfigError
from elman.nn import Recurrent
from elman.sequences import Ragged
from elman.state import State
from tests.nn.layers import D, H, assert_same, elaborate, gradients, paced

T, B = 5, 2


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
