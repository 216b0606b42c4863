"""Over what the battery goes: cells, instruction sets and element types; and the settings that a test may change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch

from elman.equations import Cell
from elman.kernels import available_isas, forced_isa
from tests.conformance.cases import CELLS

ISAS = available_isas()
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}

# `make test-fast` checks what most people run, and cells that have between them all that a cell can have; `make test`
# checks everything.
USUAL = (ISAS[-1], "float32")
PAIRS = [
    pytest.param(pair, id="-".join(pair), marks=() if pair == USUAL else pytest.mark.slow)
    for pair in itertools.product(ISAS, DTYPES)
    if pair[1] != "bfloat16" or pair[0] in (ISAS[0], ISAS[-1])  # without the processor's instructions, and with them
]
TYPICAL = ("elman", "lstm", "layer_norm_lstm", "slstm", "stages", "readout", "scalars", "every_operation")


@pytest.fixture(
    params=[pytest.param(c, id=n, marks=() if n in TYPICAL else pytest.mark.slow) for n, c in CELLS.items()]
)
def cell(request: pytest.FixtureRequest) -> Cell:
    """Every registered cell, and those of `cases`."""
    return request.param


@pytest.fixture(params=PAIRS)
def dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """Each element type on each instruction set, which is in use while the test runs.

    bfloat16 stands for float32 with the factors of products in bfloat16: `cases.layer` makes such a layer.
    """
    isa, name = request.param
    with forced_isa(isa):
        yield DTYPES[name]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Two threads, whatever the machine has and whatever a test sets."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
