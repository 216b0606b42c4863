"""torch.export and torch.jit.trace: for any number of steps and sequences, or with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.export import Dim, export

import elman.nn
from elman.errors import ConfigError
from elman.sequences import Ragged
from tests.nn.layers import LAYERS, D, H, assert_same

T, B = 5, 2
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*_flat_weights"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


class First(torch.nn.Module):
    """The output of a layer."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]  # type: ignore[no-any-return]


def targets(program: Any) -> str:
    return str([node.target for node in program.graph.nodes])


@pytest.fixture(params=LAYERS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return LAYERS[request.param]


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}])
def test_exports_hold_for_any_number_of_steps_and_sequences(make: Callable[..., Any], options: dict[str, Any]) -> None:
    model = First(make(**options))
    program = export(model, (torch.randn(T, B, D),), dynamic_shapes={"x": {0: Dim("a"), 1: Dim("b")}})
    for shape in ((T, B, D), (T + 3, B + 2, D), (2, 7, D)):
        x = torch.randn(shape)
        assert_same(program.module()(x), model(x))
    assert "elman.forward" in targets(program)


@pytest.mark.parametrize("open_axis", [None, 1])
def test_fixed_steps_are_written_in_torchs_operations(make: Callable[..., Any], open_axis: int | None) -> None:
    """So that other runtimes can read them; torch's layers leave the number of sequences open, too."""
    model = First(make())
    if open_axis is not None and isinstance(model.layer, elman.nn.Recurrent):
        pytest.skip("its steps go by sequences, too")
    shapes = None if open_axis is None else {"x": {open_axis: Dim("b")}}
    program, x = export(model, (torch.randn(T, B, D),), dynamic_shapes=shapes), torch.randn(T, B, D)
    assert "elman" not in targets(program)
    assert_same(program.module()(x), model(x))


@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_tokens(name: str) -> None:
    model = First(LAYERS[name]())
    program = export(model, (torch.zeros(T, B, dtype=torch.int64),), dynamic_shapes={"x": {0: Dim("t"), 1: Dim("b")}})
    tokens = torch.randint(0, D, (T + 4, B + 1))
    assert_same(program.module()(tokens), model(tokens))


def test_states_are_dictionaries() -> None:
    layer = elman.nn.Recurrent("lstm", D, H)
    state = {"h": torch.randn(1, B, H), "c": torch.randn(1, B, H)}
    program = export(layer, (torch.randn(T, B, D), state), dynamic_shapes=({0: Dim("t")}, {"h": None, "c": None}))
    x = torch.randn(T + 2, B, D)
    output, after = program.module()(x, state)
    expected, expected_after = layer(x, state)
    assert type(after) is dict
    assert_same([output, *after.values()], [expected, *expected_after.values()])


def test_strict_exports_of_recurrent() -> None:
    model = First(LAYERS["Recurrent"]())
    shapes = {"x": {0: Dim("t"), 1: Dim("b")}}
    program = export(model, (torch.randn(T, B, D),), dynamic_shapes=shapes, strict=True)
    x = torch.randn(T + 3, B + 1, D)
    assert_same(program.module()(x), model(x))


def test_what_the_kernels_do_not_take_is_told() -> None:
    model = First(LAYERS["Recurrent"]().half())
    with pytest.raises(
        ConfigError, match=r"layer_norm_lstm: an export for any number of steps needs the kernels: float"
    ):
        export(model, (torch.randn(T, B, D).half(),), dynamic_shapes={"x": {0: Dim("t")}})


@pytest.mark.parametrize(
    ("name", "input"),
    [
        ("Recurrent", torch.randn(T, B, D)),
        ("Recurrent", torch.zeros(T, B, dtype=torch.int64)),
        ("LSTM", torch.zeros(T, B, dtype=torch.int64)),
    ],
)
def test_traces_that_would_hold_for_one_length_are_refused(name: str, input: Tensor) -> None:
    message = r"lstm: torch.jit.trace would hold for this number of steps and sequences only; torch.export.export"
    with pytest.raises(ConfigError, match=message):
        torch.jit.trace(First(LAYERS[name]()), (input,))


def test_traces_of_ragged_batches_inside_a_model_are_refused() -> None:
    class Inside(First):
        def forward(self, x: Tensor) -> Tensor:
            return self.layer(Ragged.from_lengths(x, [2, T - 2]))[0].values  # type: ignore[no-any-return]

    with pytest.raises(ConfigError, match=r"gru: torch.jit.trace would hold"):
        torch.jit.trace(Inside(LAYERS["GRU"]()), (torch.randn(T, D),))
