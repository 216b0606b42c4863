"""The room of equations: one short file a cell, and the registry by name."""

from __future__ import annotations

from elman.cells.antisymmetric import antisymmetric
from elman.cells.coupled_lstm import coupled_lstm
from elman.cells.elman import elman, elman_relu
from elman.cells.gru import gru
from elman.cells.gru_reset_before import gru_reset_before
from elman.cells.indrnn import indrnn
from elman.cells.janet import janet
from elman.cells.layer_norm_gru import layer_norm_gru
from elman.cells.layer_norm_lstm import layer_norm_lstm
from elman.cells.leaky_elman import leaky_elman
from elman.cells.lstm import lstm
from elman.cells.min_gru import min_gru
from elman.cells.min_lstm import min_lstm
from elman.cells.multiplicative_lstm import multiplicative_lstm
from elman.cells.peephole_lstm import peephole_lstm
from elman.cells.projected_lstm import projected_lstm
from elman.cells.slstm import slstm
from elman.cells.sru import sru
from elman.equations import Cell
from elman.errors import ConfigError

REGISTRY: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        elman, elman_relu, lstm, gru, gru_reset_before, peephole_lstm, projected_lstm, coupled_lstm, janet,
        layer_norm_lstm, indrnn, min_gru, min_lstm, leaky_elman, antisymmetric, slstm, layer_norm_gru, sru,
        multiplicative_lstm,
    )
}  # fmt: skip


def names() -> tuple[str, ...]:
    """The names of the built-in cells."""
    return tuple(REGISTRY)


def get(name: str) -> Cell:
    """The built-in cell of this name. Raises ConfigError for an unknown one."""
    if name not in REGISTRY:
        raise ConfigError(f"unknown cell {name!r}; built in: {', '.join(REGISTRY)}")
    return REGISTRY[name]
