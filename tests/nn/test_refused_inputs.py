"""What Recurrent says to input that does not fit it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman.errors import DtypeError, ShapeError
from elman.nn import Recurrent
from elman.sequences import Ragged
from tests.nn.layers import D, H, paced

T, B = 5, 2


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
            (
                torch.randn(T, B, D).to_sparse(),
                DtypeError,
                "gru: a dense tensor expected, got torch.sparse_coo; .to_dense() makes one that is taken",
            ),
            (
                torch.nested.nested_tensor([torch.randn(2, D), torch.randn(1, D)]),
                DtypeError,
                "gru: a dense tensor expected, got a nested tensor; elman.sequences.Ragged makes one that is taken",
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
