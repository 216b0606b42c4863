"""Resets in mid-sequence: what cutting by hand gives, in every form of input, both ways, on both paths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman.nn
from elman.errors import ConfigError
from elman.nn import Path, Recurrent
from elman.nn.plans import BATCH_FIRST, DENSE, PlanSpec
from elman.sequences import Ragged
from tests.nn.layers import LAYERS, D, H, assert_same, tensors_of

T, B = 7, 5
CUTS: Sequence[Sequence[int]] = ([], [3], [0, 4], [1, 6], list(range(T)))  # by sequence


def mask(cuts: Sequence[Sequence[int]] = CUTS) -> Tensor:
    resets = torch.zeros(T, len(cuts), dtype=torch.bool)
    for b, steps in enumerate(cuts):
        resets[list(steps), b] = True
    return resets


def states(layer: Any, batch: int = B) -> dict[str, Tensor]:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    names = "hc" if isinstance(layer, (torch.nn.LSTM, Recurrent)) else "h"
    dtype = next(layer.parameters()).dtype
    return {name: torch.randn(count, batch, H, dtype=dtype, requires_grad=True) for name in names}


def run(layer: Any, x: Any, state: dict[str, Tensor] | None, resets: Any = None) -> tuple[Any, list[Tensor]]:
    """Output and final states."""
    options = {} if resets is None else {"resets": resets}
    if isinstance(layer, Recurrent):
        output, after = layer(x, state, **options)
        return output, list(after.values())
    hx = None if state is None else tuple(state.values()) if isinstance(layer, torch.nn.LSTM) else state["h"]
    output, final = layer(x, hx, **options)
    return output, tensors_of(final)


def by_hand(layer: Any, x: Tensor, state: dict[str, Tensor], cuts: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """One sequence [T, 1, D], cut into pieces: only the first knows the state before, going back only the last."""
    edges = sorted({0, *cuts, len(x)})
    pieces = list(itertools.pairwise(edges))
    ways = 2 if layer.bidirectional else 1
    outputs, finals = [], []
    for first, last in pieces:
        begin = {name: torch.zeros_like(value) for name, value in state.items()}
        for name, value in state.items():
            if first == 0 and 0 not in cuts:
                begin[name][::ways] = value[::ways]
            if ways == 2 and last == len(x):
                begin[name][1::2] = value[1::2]
        output, after = run(layer, x[first:last], begin)
        outputs.append(output)
        finals.append(after)
    ends = [final.clone() for final in finals[-1]]
    for end, final in zip(ends, finals[0], strict=True):
        if ways == 2:
            end[1::2] = final[1::2]
    return torch.cat(outputs), ends


def expected(layer: Any, x: Tensor, state: dict[str, Tensor], cuts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Of a batch [T, B, D]: the outputs and final states of all sequences cut by hand."""
    found = [by_hand(layer, x[:, [b]], {n: v[:, [b]] for n, v in state.items()}, some) for b, some in enumerate(cuts)]
    outputs, finals = zip(*found, strict=True)
    return [torch.cat(outputs, 1), *(torch.cat(parts, 1) for parts in zip(*finals, strict=True))]


def assert_bits(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    for a, r in zip(found, wanted, strict=True):
        assert torch.equal(a.detach(), r.detach())


def weighted(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([(part * torch.linspace(-1, 2, part.numel()).view(part.shape)).sum() for part in parts]).sum()


STACKS = [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}]
IDS = ["one way", "both ways", "stack"]


@pytest.fixture(params=[False, True], ids=["fused", "reference"])
def by_reference(request: pytest.FixtureRequest) -> Any:
    """The path."""
    if not request.param:
        yield False
        return
    way = Path("reference", "a test wants it")
    with (
        patch("elman.nn.recurrent.choose_path", return_value=way),
        patch("elman.nn.torch_layers.choose_path", return_value=way),
        patch("elman.nn.paths._buffers.forward", side_effect=AssertionError("the kernels ran")),
    ):
        yield True


@pytest.mark.parametrize("options", STACKS, ids=IDS)
@pytest.mark.parametrize("name", LAYERS)
class TestDense:
    def test_is_cut_by_hand(self, name: str, options: dict[str, Any], by_reference: bool) -> None:
        layer = LAYERS[name](**options)
        x, state = torch.randn(T, B, D), states(layer)
        output, finals = run(layer, x, state, mask())
        compare = assert_same if by_reference else assert_bits
        compare([output, *finals], expected(layer, x, state, CUTS))
        with torch.no_grad():
            assert_bits([run(layer, x, state, mask())[0]], [output])

    def test_gradients(self, name: str, options: dict[str, Any], by_reference: bool) -> None:
        layer = LAYERS[name](**options).double()
        x, state = torch.randn(T, B, D, dtype=torch.float64, requires_grad=True), states(layer)
        sources = [x, *state.values(), *layer.parameters()]
        output, finals = run(layer, x, state, mask())
        found = torch.autograd.grad(weighted([output, *finals]), sources)
        wanted = torch.autograd.grad(weighted(expected(layer, x, state, CUTS)), sources)
        assert_same(found, wanted)

    def test_batch_first_and_one_sequence(self, name: str, options: dict[str, Any], by_reference: bool) -> None:
        layer = LAYERS[name](batch_first=True, **options)
        x = torch.randn(T, B, D)
        output, finals = run(layer, x.transpose(0, 1), None, mask().T)
        layer.batch_first = False
        wanted, wanted_finals = run(layer, x, None, mask())
        assert_bits([output.transpose(0, 1), *finals], [wanted, *wanted_finals])
        alone, _ = run(layer, x[:, 3], None, mask()[:, 3])
        assert_same(alone, wanted[:, 3])


@pytest.mark.parametrize("options", STACKS, ids=IDS)
@pytest.mark.parametrize("name", LAYERS)
def test_packed_and_ragged(name: str, options: dict[str, Any]) -> None:
    layer, lengths = LAYERS[name](**options), [4, 7, 2, 7, 5]
    x, state, resets = torch.randn(T, B, D), states(layer), mask()
    wanted = [
        by_hand(layer, x[:n, [b]], {k: v[:, [b]] for k, v in state.items()}, [t for t in CUTS[b] if t < n])
        for b, n in enumerate(lengths)
    ]
    rows = torch.cat([output.squeeze(1) for output, _ in wanted])
    finals = [torch.cat(parts, 1) for parts in zip(*(final for _, final in wanted), strict=True)]

    packed, marks = (pack_padded_sequence(v, torch.tensor(lengths), enforce_sorted=False) for v in (x, resets))
    for form in (marks, marks.data):
        output, after = run(layer, packed, state, form)
        padded, _ = pad_packed_sequence(output)
        assert_bits([torch.cat([padded[:n, b] for b, n in enumerate(lengths)]), *after], [rows, *finals])

    ragged = Ragged.from_lengths(torch.cat([x[:n, b] for b, n in enumerate(lengths)]), lengths)
    flags = torch.cat([resets[:n, b] for b, n in enumerate(lengths)])
    for form in (
        flags,
        flags.numpy(),
        Ragged.from_lengths(flags, lengths),
        Ragged.from_lengths(flags.numpy(), lengths),
    ):
        output, after = run(layer, ragged, state, form)
        assert_bits([output.values, *after], [rows, *finals])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("segment", [1, 3, "sqrt"])
@pytest.mark.parametrize("cell", ["lstm", "elman"])
def test_by_segments(cell: str, segment: int | str, bidirectional: bool) -> None:
    plain = Recurrent(cell, D, H, bidirectional=bidirectional, dtype=torch.float64)
    ours = Recurrent(cell, D, H, bidirectional=bidirectional, dtype=torch.float64, checkpoint=segment)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(T, B, D, dtype=torch.float64, requires_grad=True)
    state = {name: value for name, value in states(plain).items() if name == "h" or cell == "lstm"}
    for begin in (state, None):
        results = [run(layer, x, begin, mask()) for layer in (plain, ours)]
        wanted, found = ([output, *finals] for output, finals in results)
        assert_bits(found, wanted)
        d = [
            torch.autograd.grad(weighted(parts), [x, *(begin or {}).values(), *layer.parameters()])
            for parts, layer in ((wanted, plain), (found, ours))
        ]
        assert_same(d[1], d[0])


def test_states_that_do_not_begin_at_zero_and_tokens() -> None:
    layer = Recurrent("slstm", D, H)
    tokens, resets = torch.randint(0, D, (T, B)), mask()
    output, after = layer(tokens, resets=resets)
    for b, cuts in enumerate(CUTS):
        edges = sorted({0, *cuts, T})
        pieces = [layer(tokens[first:last, [b]]) for first, last in itertools.pairwise(edges)]
        assert_bits([output[:, [b]]], [torch.cat([piece for piece, _ in pieces])])
        assert_bits([after[name][:, [b]] for name in after], list(pieces[-1][1].values()))


def test_a_learned_state_learns_only_from_what_it_begins() -> None:
    layer, resets = elman.nn.GRU(D, H).double(), mask()
    learned = torch.nn.Parameter(torch.randn(1, 1, H, dtype=torch.float64))
    x = torch.randn(T, B, D, dtype=torch.float64)
    (found,) = torch.autograd.grad(layer(x, learned.expand(1, B, H), resets=resets)[0].sum(), learned)
    total = torch.zeros(())
    for b, cuts in enumerate(CUTS):
        if 0 not in cuts:
            total = total + layer(x[: min([*cuts, T]), [b]], learned)[0].sum()
    (wanted,) = torch.autograd.grad(total, learned)
    assert_same(found, wanted)


def test_no_gradient_crosses_a_reset() -> None:
    layer, x = LAYERS["LSTM"](bidirectional=True), torch.randn(T, 1, D, requires_grad=True)
    resets = torch.zeros(T, 1, dtype=torch.bool)
    resets[3] = True
    output, _ = layer(x, resets=resets)
    (d,) = torch.autograd.grad(output[3:].sum(), x, retain_graph=True)
    assert not d[:3].any()
    assert d[3:].all()
    (d,) = torch.autograd.grad(output[:3].sum(), x)
    assert not d[3:].any()


def test_second_gradients_and_compiled() -> None:
    layer, x = Recurrent("gru", D, H, 2, dtype=torch.float64), torch.randn(T, B, D, dtype=torch.float64)
    resets = mask()
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for marks in (resets, resets.flip(0), torch.zeros_like(resets)):
        found, wanted = (one(x, resets=marks) for one in (compiled, layer))
        assert_same([found[0], *found[1].values()], [wanted[0], *wanted[1].values()])
        parameters = list(layer.parameters())
        assert_same(torch.autograd.grad(found[0].sum(), parameters), torch.autograd.grad(wanted[0].sum(), parameters))
    some = x[:3, 2:4].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: layer(x, resets=resets[:3, 2:4])[0], [some])


def test_no_marks_are_no_cuts_and_no_steps_are_added() -> None:
    layer, x, resets = LAYERS["GRU"](), torch.randn(T, B, D), mask()
    assert_bits([layer(x, resets=torch.zeros_like(resets))[0]], [layer(x)[0]])
    for kind, marks in ((DENSE, resets), (BATCH_FIRST, resets.T)):
        for reverse in (False, True):
            plan = PlanSpec(kind, T, B, reverse, resets=marks.flatten()).bind().plan
            assert len(plan.rows) == int(plan.loads.sum()) == T * B
            assert plan.loads.max() <= T
    empty = PlanSpec(DENSE, T, B, resets=torch.zeros(T * B, dtype=torch.bool)).bind()
    assert empty is PlanSpec(DENSE, T, B).bind()
    output, _ = layer(torch.randn(T, 0, D), resets=torch.zeros(T, 0, dtype=torch.bool))
    assert output.shape == (T, 0, H)


@pytest.mark.parametrize("batched", [False, True])
def test_under_vmap(batched: bool) -> None:
    layer, x = LAYERS["GRU"](), torch.randn(3, T, B, D)
    resets = torch.stack([mask()] * 3)
    if batched:
        with pytest.raises(ConfigError, match="GRU: resets cannot be mapped over by vmap; give the same to all"):
            torch.func.vmap(lambda x, r: layer(x, resets=r)[0])(x, resets)
        return
    found = torch.func.vmap(lambda x: layer(x, resets=mask())[0])(x)
    assert_same(found, torch.stack([layer(one, resets=mask())[0] for one in x]))


@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_symbolic_traces_hand_them_on(name: str) -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LAYERS[name]()

        def forward(self, x: Tensor, resets: Tensor) -> Tensor:
            return self.layer(x, resets=resets)[0]  # type: ignore[no-any-return]

    model, x = Model(), torch.randn(T, B, D)
    assert_bits([torch.fx.symbolic_trace(model)(x, mask())], [model(x, mask())])
