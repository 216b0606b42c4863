"""LSTM, GRU and RNN are torch's layers: state, copies, hooks, options; and take what torch's do not."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import elman.nn
from elman.sequences import Ragged
from tests.nn.layers import KINDS, OURS, D, H, assert_same, gradients, pair, tensors_of
from tests.tolerances import assert_close

T, B = 5, 2
OPTIONS: list[dict[str, Any]] = [{}, {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True}]


@pytest.mark.parametrize("kind", KINDS)
class TestTheyAreTorchs:
    def test_by_class(self, kind: type[torch.nn.Module]) -> None:
        layer = OURS[kind](D, H)
        assert isinstance(layer, kind)
        assert isinstance(layer, torch.nn.RNNBase)
        assert repr(layer) == repr(kind(D, H))

    @pytest.mark.parametrize("options", OPTIONS)
    def test_by_initial_weights(self, kind: type[torch.nn.Module], options: dict[str, Any]) -> None:
        torch.manual_seed(3)
        theirs = kind(D, H, **options).state_dict()
        torch.manual_seed(3)
        ours = OURS[kind](D, H, **options).state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    @pytest.mark.parametrize("options", OPTIONS)
    def test_by_state_dicts_both_ways(self, kind: type[torch.nn.Module], options: dict[str, Any]) -> None:
        theirs, ours, x = kind(D, H, **options), OURS[kind](D, H, **options), torch.randn(T, B, D)
        ours.load_state_dict(theirs.state_dict())
        assert_same(ours(x), theirs(x))
        other = OURS[kind](D, H, **options)
        theirs.load_state_dict(other.state_dict())
        assert_same(theirs(x), other(x))

    def test_by_wrong_state_dicts(self, kind: type[torch.nn.Module]) -> None:
        weights = {**kind(D, H).state_dict(), "weight_ih_l1": torch.zeros(1)}
        weights["weight_hh_l0"] = weights["weight_hh_l0"].T.contiguous()
        del weights["bias_hh_l0"]
        with pytest.raises(RuntimeError) as expected:
            kind(D, H).load_state_dict(weights)
        with pytest.raises(RuntimeError) as found:
            OURS[kind](D, H).load_state_dict(weights)
        assert str(found.value) == str(expected.value)

    def test_by_assigned_state_dicts(self, kind: type[torch.nn.Module]) -> None:
        theirs, x = kind(D, H), torch.randn(T, B, D)
        with torch.device("meta"):
            ours = OURS[kind](D, H)
        assert ours(x.to("meta"))[0].shape == (T, B, H)
        assert ours.path(x.to("meta")).reason == "a tensor is on meta; the kernels run on the CPU"
        ours.load_state_dict(theirs.state_dict(), assign=True)
        assert ours.path(x).name == "fused"
        assert_same(ours(x), theirs(x))

    def test_by_copies_and_pickles(self, kind: type[torch.nn.Module]) -> None:
        layer, x, file = OURS[kind](D, H, 2), torch.randn(T, B, D), io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        saved = torch.load(file, weights_only=False)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), saved):
            assert type(other) is OURS[kind]
            expected = [tensor.clone() for tensor in tensors_of(layer(x))]
            assert all(torch.equal(a, r) for a, r in zip(tensors_of(other(x)), expected, strict=True))
            with torch.no_grad():
                for parameter in other.parameters():
                    parameter.add_(1.0)
            assert all(torch.equal(a, r) for a, r in zip(tensors_of(layer(x)), expected, strict=True))
            assert not torch.equal(other(x)[0], expected[0])

    def test_by_weights_only_files(self, kind: type[torch.nn.Module]) -> None:
        layer, file = OURS[kind](D, H), io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        theirs, x = kind(D, H), torch.randn(T, B, D)
        theirs.load_state_dict(torch.load(file, weights_only=True))
        assert_same(layer(x), theirs(x))

    def test_by_hooks(self, kind: type[torch.nn.Module]) -> None:
        layer, x, seen = OURS[kind](D, H), torch.randn(T, B, D, requires_grad=True), []
        layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        layer.register_forward_hook(lambda module, args, result: seen.append(result[0]) or (result[0] + 1, result[1]))
        layer.register_full_backward_hook(lambda module, d_in, d_out: seen.append(d_out[0]))
        output, _ = layer(x)
        assert torch.equal(output, seen[0] + 1)
        output.sum().backward()
        assert torch.equal(seen[1], torch.ones_like(output))

    def test_by_casts(self, kind: type[torch.nn.Module]) -> None:
        theirs, ours = pair(kind, D, H)
        x = torch.randn(T, B, D, dtype=torch.float64)
        assert_same(ours.double()(x), theirs.double()(x))
        assert ours.path(x).reason == "CPU, torch.float64"
        assert_same(ours.to(torch.float32)(x.float()), theirs.float()(x.float()))

    def test_by_half_precision(self, kind: type[torch.nn.Module]) -> None:
        theirs, ours = pair(kind, D, H, dtype=torch.float16)
        x = torch.randn(T, B, D, dtype=torch.float16)
        assert ours.path(x).name == "reference"
        assert all(torch.equal(a, r) for a, r in zip(tensors_of(ours(x)), tensors_of(theirs(x)), strict=True))

    def test_by_bfloat16(self, kind: type[torch.nn.Module]) -> None:
        """Parameters of that type, and autocast: the same element types as torch's."""
        theirs, ours = pair(kind, D, H)
        x = torch.randn(T, B, D)
        truth = tensors_of(theirs(x))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert ours.path(x).name == "fused"
            cast = tensors_of(ours(x))
            assert [t.dtype for t in cast] == [t.dtype for t in tensors_of(theirs(x))]
        half = tensors_of(ours.bfloat16()(x.bfloat16()))
        assert ours.path(x.bfloat16()).name == "fused"
        assert all(t.dtype == torch.bfloat16 for t in half)
        for found in (cast, half):
            for a, r in zip(found, truth, strict=True):
                assert_close(a.detach().float(), r.detach(), "layer", "bfloat16")

    @pytest.mark.parametrize("bidirectional", [False, True])
    def test_by_dropout_down_to_the_random_numbers(self, kind: type[torch.nn.Module], bidirectional: bool) -> None:
        theirs, ours = pair(kind, D, H, 3, dropout=0.5, bidirectional=bidirectional)
        x = torch.randn(T, B, D)
        torch.manual_seed(5)
        expected = theirs(x)
        torch.manual_seed(5)
        assert_same(ours(x), expected)
        assert not torch.equal(ours(x)[0], ours(x)[0])
        assert_same(ours.eval()(x), theirs.eval()(x))

    def test_by_tied_weights(self, kind: type[torch.nn.Module]) -> None:
        theirs, ours = pair(kind, H, H)
        for layer in (theirs, ours):
            layer.weight_hh_l0 = layer.weight_ih_l0
        x = torch.randn(T, B, H)
        found, expected = ours(x), theirs(x)
        assert_same(found, expected)
        assert_same(gradients(found, list(ours.parameters())), gradients(expected, list(theirs.parameters())))

    def test_by_weights_that_optimisers_change(self, kind: type[torch.nn.Module]) -> None:
        theirs, ours = pair(kind, D, H)
        x = torch.randn(T, B, D)
        for layer in (theirs, ours):
            optimiser = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
            for _ in range(3):
                optimiser.zero_grad()
                layer(x)[0].square().sum().backward()
                optimiser.step()
        with torch.inference_mode():
            assert_same(ours(x), theirs(x))
        for layer in (theirs, ours):
            layer.weight_ih_l0.data.mul_(2.0)
        with torch.no_grad():
            assert_same(ours(x), theirs(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["fused", "reference"])
@pytest.mark.parametrize("with_state", [False, True])
class TestWhatTorchsDoNotTake:
    """Integer tokens and ragged batches, on both paths."""

    def layers(self, kind: type[torch.nn.Module], path: str) -> tuple[Any, Any]:
        # float16 weights take the reference path; casting them back to float32 loses nothing.
        theirs, ours = pair(kind, D, H, 2, bidirectional=True)
        if path == "reference":
            ours = ours.half()
            theirs.load_state_dict(ours.state_dict())
        return theirs, ours

    def state(self, kind: type[torch.nn.Module], batch: int, wanted: bool) -> Any:
        made = [torch.randn(4, batch, H).half().float() for _ in range(2)]
        return None if not wanted else tuple(made) if kind is torch.nn.LSTM else made[0]

    def check(self, found: Any, expected: Any, path: str) -> None:
        if path == "fused":
            assert_same(found, expected)
        else:
            for a, r in zip(tensors_of(found), tensors_of(expected), strict=True):
                torch.testing.assert_close(a.float(), r, atol=0.01, rtol=0.0)  # eleven bits, a few steps

    def cast(self, state: Any, path: str) -> Any:
        if state is None or path == "fused":
            return state
        return tuple(s.half() for s in state) if isinstance(state, tuple) else state.half()

    @pytest.mark.parametrize("form", ["dense", "batch_first", "unbatched", "packed", "int32"])
    def test_tokens(self, kind: type[torch.nn.Module], path: str, with_state: bool, form: str) -> None:
        theirs, ours = self.layers(kind, path)
        theirs.batch_first = ours.batch_first = form == "batch_first"
        state = self.state(kind, 1 if form == "unbatched" else B, with_state)
        tokens: Any = torch.randint(0, D, (B, T) if form == "batch_first" else (T,) if form == "unbatched" else (T, B))
        one_hot: Any = torch.nn.functional.one_hot(tokens, D).float()
        if form == "packed":
            tokens = pack_sequence([tokens[:2, 0], tokens[:, 1]], enforce_sorted=False)
            one_hot = pack_sequence([one_hot[:2, 0], one_hot[:, 1]], enforce_sorted=False)
        if form == "int32":
            tokens = tokens.int()
        if form == "unbatched" and state is not None:
            state = tuple(s.squeeze(1) for s in state) if isinstance(state, tuple) else state.squeeze(1)
        assert ours.path(tokens, self.cast(state, path)).name == path
        found = ours(tokens, self.cast(state, path))
        assert isinstance(found[0], PackedSequence) == (form == "packed")
        self.check(found, theirs(one_hot, state), path)

    def test_ragged(self, kind: type[torch.nn.Module], path: str, with_state: bool) -> None:
        theirs, ours = self.layers(kind, path)
        state, lengths = self.state(kind, 4, with_state), [3, 0, 1, 5]
        values = torch.randn(9, D).half().float()
        ragged = Ragged.from_lengths(values if path == "fused" else values.half(), lengths)
        output, finals = ours(ragged, self.cast(state, path))
        for s in (0, 2, 3):
            start = int(ragged.offsets[s])
            entry = (
                None if state is None else tuple(x[:, s] for x in state) if isinstance(state, tuple) else state[:, s]
            )
            expected = theirs(values[start : start + lengths[s]], entry)
            self.check((output[s], [final[:, s] for final in tensors_of(finals)]), expected, path)
        for k, final in enumerate(tensors_of(finals)):
            begin = torch.zeros(4, H) if state is None else tensors_of(state)[k][:, 1]
            assert torch.equal(final[:, 1].float(), begin)


def test_ragged_tokens_and_numpy_values() -> None:
    layer = elman.nn.GRU(D, H)
    tokens = torch.tensor([0, 1, 2, 1])
    expected, _ = layer(Ragged.from_lengths(torch.nn.functional.one_hot(tokens, D).float(), [1, 3]))
    for values in (tokens, tokens.numpy(), tokens.int()):
        found, _ = layer(Ragged.from_lengths(values, [1, 3]))
        assert_same(found, expected)


@pytest.mark.parametrize("form", ["time first", "batch first", "packed", "unbatched"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_drops_what_torchs_layer_drops(kind: Any, bidirectional: bool, form: str) -> None:
    options = {"dropout": 0.5, "bidirectional": bidirectional, "batch_first": form == "batch first"}
    theirs, ours = pair(kind, D, H, 3, dtype=torch.float64, **options)
    x: Any = torch.randn(5, 3, D, dtype=torch.float64, requires_grad=True)
    results = []
    for layer in (theirs, ours):
        given = pack_sequence([x[0], x[1, :2]]) if form == "packed" else x[:, 0] if form == "unbatched" else x
        torch.manual_seed(1)
        results.append(layer(given))
    assert_same(results[1], results[0])
    sources = [x, *theirs.parameters()], [x, *ours.parameters()]
    assert_same(gradients(results[1], sources[1]), gradients(results[0], sources[0]))
