"""What LSTM, GRU and RNN say to what they cannot take: torch's own words wherever torch has some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import elman.nn
from elman.errors import DtypeError, ShapeError
from elman.sequences import Ragged
from tests.nn.layers import KINDS, OURS, D, H, assert_same, pair

T, B = 5, 2


def states(kind: type, *shape: int, dtype: torch.dtype = torch.float32) -> Any:
    made = [torch.zeros(*shape, dtype=dtype) for _ in range(2)]
    return tuple(made) if kind is torch.nn.LSTM else made[0]


BAD: dict[str, Callable[[type], tuple[Any, ...]]] = {
    "one axis": lambda kind: (torch.randn(D),),
    "four axes": lambda kind: (torch.randn(1, T, B, D),),
    "features": lambda kind: (torch.randn(T, B, D + 1),),
    "features, unbatched": lambda kind: (torch.randn(T, D + 1),),
    "no steps": lambda kind: (torch.randn(0, B, D),),
    "no steps, unbatched": lambda kind: (torch.randn(0, D),),
    "float64": lambda kind: (torch.randn(T, B, D).double(),),
    "float16": lambda kind: (torch.randn(T, B, D).half(),),
    "complex": lambda kind: (torch.randn(T, B, D).to(torch.complex64),),
    "bool": lambda kind: (torch.ones(T, B, D, dtype=torch.bool),),
    "state's axes": lambda kind: (torch.randn(T, B, D), states(kind, B, H)),
    "state's axes, unbatched": lambda kind: (torch.randn(T, D), states(kind, 1, 1, H)),
    "state's batch": lambda kind: (torch.randn(T, B, D), states(kind, 1, B + 1, H)),
    "state's layers": lambda kind: (torch.randn(T, B, D), states(kind, 2, B, H)),
    "state's units": lambda kind: (torch.randn(T, B, D), states(kind, 1, B, H + 1)),
    "state's layers, unbatched": lambda kind: (torch.randn(T, D), states(kind, 2, H)),
    "state's element type": lambda kind: (torch.randn(T, B, D), states(kind, 1, B, H, dtype=torch.float64)),
    "another device": lambda kind: (torch.randn(T, B, D, device="meta"),),
    "sparse": lambda kind: (torch.randn(T, B, D).to_sparse(),),
}
BAD_PACKED: dict[str, Callable[[type], tuple[Any, ...]]] = {
    "features": lambda kind: (pack_sequence([torch.randn(T, D + 1)]),),
    "state's batch": lambda kind: (pack_sequence([torch.randn(T, D)]), states(kind, 1, 2, H)),
    "state's layers": lambda kind: (pack_sequence([torch.randn(T, D)]), states(kind, 2, 1, H)),
    "float64": lambda kind: (pack_sequence([torch.randn(T, D).double()]),),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_torchs(kind: type[torch.nn.Module], what: str) -> None:
    theirs, ours = pair(kind, D, H)
    arguments = BAD[what](kind)
    with pytest.raises(Exception) as expected:  # noqa: PT011 torch decides which
        theirs(*arguments)
    with pytest.raises(type(expected.value)) as found:
        ours(*arguments)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("what", BAD_PACKED)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_errors_are_those_of_torchs_gru(kind: type[torch.nn.Module], what: str) -> None:
    # Torch's own LSTM takes these, and reads memory that is not there.
    with pytest.raises(Exception) as expected:  # noqa: PT011
        torch.nn.GRU(D, H)(*BAD_PACKED[what](torch.nn.GRU))
    with pytest.raises(type(expected.value)) as found:
        OURS[kind](D, H)(*BAD_PACKED[what](kind))
    assert str(found.value).replace("hidden[0]", "hidden") == str(expected.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["dense", "batch_first", "unbatched"])
def test_no_sequences_give_empty_results_as_torchs(kind: type[torch.nn.Module], form: str) -> None:
    theirs, ours = pair(kind, D, H, batch_first=form == "batch_first")
    shapes = {"dense": (T, 0, D), "batch_first": (0, T, D), "unbatched": (T, D)}
    x = torch.randn(shapes[form])
    assert_same(ours(x), theirs(x))
    assert ours.path(x).name == "fused"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("input", ["abc", None, [torch.zeros(T, B, D)], np.zeros((T, B, D), np.float32)])
def test_an_input_that_is_no_sequence_is_refused(kind: type[torch.nn.Module], input: Any) -> None:
    with pytest.raises(DtypeError, match=f"{kind.__name__}: a tensor, a PackedSequence or a Ragged expected, got"):
        OURS[kind](D, H)(input)


@pytest.mark.parametrize(
    ("hx", "got"),
    [
        (torch.zeros(1, B, H), "Tensor"),
        ((torch.zeros(1, B, H),), "a tuple of Tensor"),
        ((torch.zeros(1, B, H),) * 3, "a tuple of Tensor, Tensor, Tensor"),
        ((torch.zeros(1, B, H), None), "a tuple of Tensor, NoneType"),
        ({"h": torch.zeros(1, B, H)}, "dict"),
    ],
)
def test_lstm_wants_a_pair_of_states(hx: Any, got: str) -> None:
    with pytest.raises(DtypeError) as error:
        elman.nn.LSTM(D, H)(torch.randn(T, B, D), hx)
    assert str(error.value) == f"LSTM: hx must be a pair of tensors (h_0, c_0), got {got}"


@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.RNN])
def test_gru_and_rnn_want_one_state(kind: type[torch.nn.Module]) -> None:
    with pytest.raises(DtypeError, match=r"hx must be a tensor, got a tuple of Tensor, Tensor"):
        OURS[kind](D, H)(torch.randn(T, B, D), (torch.zeros(1, B, H),) * 2)


def test_lstm_takes_a_list_of_states_as_torchs() -> None:
    theirs, ours = pair(torch.nn.LSTM, D, H)
    x, hx = torch.randn(T, B, D), [torch.randn(1, B, H), torch.randn(1, B, H)]
    assert_same(ours(x, hx), theirs(x, hx))


class TestOurOwnForms:
    """Tokens and ragged batches, which torch has no words for."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("token", [-1, D])
    def test_tokens_out_of_range(self, kind: type[torch.nn.Module], token: int) -> None:
        tokens = torch.tensor([[0, 1], [token, 2]])
        with pytest.raises(ShapeError, match=rf"tokens must be 0 … {D - 1}, got {min(0, token)} … {max(2, token)}"):
            OURS[kind](D, H)(tokens)

    @pytest.mark.parametrize("kind", KINDS)
    def test_tokens_of_too_many_axes(self, kind: type[torch.nn.Module]) -> None:
        with pytest.raises(ShapeError, match=r"input must be \[T, B\] or \[T\] .* got \[5, 2, 3\]"):
            OURS[kind](D, H)(torch.zeros(T, B, D, dtype=torch.int64))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_states_shape(self, kind: type[torch.nn.Module]) -> None:
        with pytest.raises(ShapeError, match=r"a state must be \[1, 2, 4\], got \[1, 3, 4\]"):
            OURS[kind](D, H)(torch.zeros(T, B, dtype=torch.int64), states(kind, 1, 3, H))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_states_element_type(self, kind: type[torch.nn.Module]) -> None:
        message = r"a state is torch.float64 on cpu, the weights are torch.float32 on cpu; convert one with .to\(…\)"
        with pytest.raises(DtypeError, match=message):
            OURS[kind](D, H)(torch.zeros(T, B, dtype=torch.int64), states(kind, 1, B, H, dtype=torch.float64))

    @pytest.mark.parametrize("kind", KINDS)
    def test_ragged_features_and_element_type(self, kind: type[torch.nn.Module]) -> None:
        layer = OURS[kind](D, H)
        with pytest.raises(ShapeError, match=rf"{kind.__name__}: input must end in 3 features, got shape \[5, 4\]"):
            layer(Ragged.from_lengths(torch.randn(T, D + 1), [2, 3]))
        with pytest.raises(DtypeError, match=r"torch.float64 on cpu, the weights are torch.float32"):
            layer(Ragged.from_lengths(np.zeros((T, D)), [2, 3]))
        with pytest.raises(
            DtypeError, match=r"inputs are floats, or integer tokens in the first place; got torch.bool"
        ):
            layer(Ragged.from_lengths(torch.ones(T, D, dtype=torch.bool), [2, 3]))
