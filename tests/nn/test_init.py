"""How weights begin."""

from __future__ import annotations

import pytest
import torch

from elman.nn import Recurrent, init


@pytest.fixture
def lstm() -> Recurrent:
    torch.manual_seed(0)
    return Recurrent("lstm", 100, 16, 2, bidirectional=True)


def both(lstm: Recurrent, name: str) -> list[torch.Tensor]:
    """A group of parameters, of both directions."""
    return [getattr(lstm, f"{name}{direction}").detach() for direction in ("", "_reverse")]


def test_orthogonal(lstm: Recurrent) -> None:
    before = [tensor.clone() for tensor in both(lstm, "W_l0")]
    init.orthogonal(lstm)
    for layer in (0, 1):
        for tensor in both(lstm, f"U_l{layer}"):
            for member in tensor.split(16):
                torch.testing.assert_close(member @ member.T, torch.eye(16), atol=1e-5, rtol=0)
    assert all(torch.equal(a, b) for a, b in zip(before, both(lstm, "W_l0"), strict=True))


def test_forget_bias(lstm: Recurrent) -> None:
    init.forget_bias(lstm, 2.5)
    for layer in (0, 1):
        for tensor in both(lstm, f"b_l{layer}"):
            assert (tensor[16:32] == 2.5).all()
            assert (tensor[:16].abs() <= 0.25).all()


def test_token_input(lstm: Recurrent) -> None:
    init.token_input(lstm, 3.0)
    for tensor in both(lstm, "W_l0"):
        assert tensor.std().item() == pytest.approx(3.0, rel=0.05)
    for tensor in both(lstm, "W_l1"):
        assert (tensor.abs() <= 0.25).all()


def test_a_cell_without_a_forget_gate() -> None:
    gru = Recurrent("gru", 3, 4)
    before = gru.b_l0.detach().clone()
    init.forget_bias(gru)
    assert torch.equal(gru.b_l0, before)
