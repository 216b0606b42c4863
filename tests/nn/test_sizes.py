"""The sizes of a layer: of low ranks and scalars, those that must be given, and those that do not go together."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from elman import cells
from elman.equations import Cell, cell, tanh
from elman.errors import ConfigError, ElmanError
from elman.nn import Recurrent
from tests.equations.sources import make
from tests.nn.layers import D, H

T, B = 5, 2


@cell(states="h", parameters="W.down:R U.down:R zeta:1")
def low_rank(x, h, W, U, b, zeta):  # type: ignore[no-untyped-def]
    """Matrices of rank R, and a scalar."""
    return zeta * tanh(W.up @ (W.down @ x) + U.up @ (U.down @ h) + b) + (1 - zeta) * h


def plain(decorator: str) -> Cell:
    """A cell whose sizes are what its decorator says."""
    return make(f"@cell({decorator})\ndef step(x, h, W):\n    return h + W @ x")


def test_low_ranks_and_scalars_have_sizes_of_their_own() -> None:
    layer = Recurrent(low_rank, D, H, 2, sizes={"R": 2})
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    expected = {"W_up": (H, 2), "U_down": (2, H), "U_up": (H, 2), "b": (H,), "zeta": (1,)}
    assert shapes == {f"{name}_l{k}": shape for k in (0, 1) for name, shape in expected.items()} | {
        "W_down_l0": (2, D), "W_down_l1": (2, H),
    }  # fmt: skip
    assert layer(torch.randn(T, B, D))[0].shape == (T, B, H)


WRONG = {
    "missing": (low_rank, (3, 4), None, 'the size R of W.down is not given; say sizes={"R": 16}'),
    "a share": (low_rank, (3, 4), {"R": 2.5}, "sizes['R'] must be a whole number, got 2.5"),
    "too many": (low_rank, (3, 4), {"R": 1 << 40}, "size R must be below 536,870,912, got 1,099,511,627,776"),
    "nothing": (low_rank, (3, 4), {"R": 0}, "size R must be at least 1, got 0"),
    "unknown": (low_rank, (3, 4), {"K": 2}, "sizes names 'K'; its own letters are R"),
    "a list": (low_rank, (3, 4), [2], 'sizes must be a mapping of letters to numbers ({"P": 64}), got list'),
    "text": (low_rank, ("3", 4), {"R": 2}, "input_size must be a whole number, got '3'"),
    "float": (low_rank, (3, 4.0), {"R": 2}, "hidden_size must be a whole number, got 4.0"),
    "bool": (low_rank, (3, True), {"R": 2}, "hidden_size must be a whole number, got True"),
    "none": (low_rank, (None, 4), {"R": 2}, "input_size must be a whole number, got None"),
    "input H": ('inputs="x:H", states="h"', (3, 4), None, "input_size is 3 and hidden_size is 4; they are one size, H"),
    "input 1": ('inputs="x:1", states="h"', (3, 4), None, "a scalar is 1 and input_size is 3; they are one size, 1"),
    "input K": (
        'inputs="x:K", states="h"', (3, 4), {"K": 2}, "input_size is 3 and sizes['K'] is 2; they are one size, K",
    ),
    "state P": ('states="h:P"', (3, 4), {"P": 2}, "hidden_size is 4 and sizes['P'] is 2; they are one size, P"),
    "state D": ('states="h:D"', (3, 4), None, "input_size is 3 and hidden_size is 4; they are one size, D"),
}  # fmt: skip


@pytest.mark.parametrize(("of", "arguments", "sizes", "message"), WRONG.values(), ids=WRONG)
def test_sizes_that_are_missing_or_do_not_fit(of: Any, arguments: Any, sizes: Any, message: str) -> None:
    chosen = plain(of) if isinstance(of, str) else of
    with pytest.raises(ConfigError) as error:
        Recurrent(chosen, *arguments, sizes=sizes)
    assert str(error.value) == f"{chosen.name}: {message}"


def test_a_projection_asks_for_its_size() -> None:
    with pytest.raises(ConfigError, match=r'projected_lstm: the size P of h is not given; say sizes={"P": 16}'):
        Recurrent("projected_lstm", D, H)


def test_whole_numbers_of_numpy() -> None:
    assert Recurrent("lstm", np.int64(3), np.int32(4)).sizes == {"D": 3, "H": 4}  # type: ignore[arg-type]


def test_letters_other_than_d_and_h_take_the_input_and_hidden_sizes() -> None:
    layer = Recurrent(plain('inputs="x:K", states="h:P"'), 3, 4)
    assert layer.W_l0.shape == (4, 3)
    assert layer(torch.randn(T, B, 3))[0].shape == (T, B, 4)


def test_a_scalar_output_carries_a_stack() -> None:
    of = make('@cell(states="h", output="y:1")\ndef step(x, h, W, V):\n    h = h + W @ x\n    return h, V @ h')
    assert Recurrent(of, 3, 4, 2)(torch.randn(T, B, 3))[0].shape == (T, B, 1)


def test_errors_name_the_cell_of_the_caller() -> None:
    """Equal equations share programs and engines; the messages are each cell's own."""
    text = """
        @cell(states="h")
        def {name}(x, h, W, U, b):
            {local} = tanh(W @ x + U @ h + b)
            return {local}
    """
    first, second = (make(text.format(name=name, local=name[1])) for name in ("alpha", "beta"))
    assert first == second == cells.get("elman")
    for of in (cells.get("elman"), first, second):
        layer = Recurrent(of, D, H)
        calls = {
            "tokens": lambda layer=layer: layer(torch.full((T, B), D)),
            "width": lambda layer=layer: layer(torch.randn(T, B, D + 1)),
            "state": lambda layer=layer: layer(torch.randn(T, B, D), {"c": torch.zeros(1, B, H)}),
            "double": lambda layer=layer: layer(torch.randn(T, B, D, dtype=torch.float64)),
            "sizes": lambda of=of: Recurrent(of, D, H, sizes={"P": 2}),
        }
        for what, call in calls.items():
            with pytest.raises(ElmanError) as error:
                call()
            named = [name for name in ("elman", "alpha", "beta") if re.search(rf"\b{name}\b", str(error.value))]
            assert named == [of.name], f"{what}: {error.value}"
