"""Sequences of unequal length: ours without padding, torch's padded and packed, and our own rate on a dense batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence

from elman.bench.contest import Contest, Side
from elman.bench.layers import Fused, Peers, operations, pair_of_layers
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import side
from elman.sequences.ragged import Ragged

_SHORTEST = 5


def cases(options: Sweep) -> list[Case]:
    """Lengths are uniform from 5 to T."""
    return list(
        options.cases(
            "ragged",
            cells=("lstm", "gru", "elman") if options.cells else ("lstm",),
            modes=("train",),
            hidden=(256,),
            batch=(16,) if options.quick else (64,),
            steps=200,
        )
    )


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """The same sequences in three forms, and as many steps in sequences of equal length."""
    theirs, ours = pair_of_layers(case, case.hidden_size)
    lengths = np.random.default_rng(0).integers(min(_SHORTEST, case.steps), case.steps, case.batch, endpoint=True)
    values = torch.randn(int(lengths.sum()), case.hidden_size)
    gradient = torch.randn(len(values), case.hidden_size)
    batch = Ragged.from_lengths(values, lengths)

    def forward() -> Tensor:
        output: Tensor = ours(batch)[0].values
        return output

    sides: Peers = {"elman dense": lambda: _dense(ours, case, len(values))}
    if "torch" in peers:
        d_output = batch.with_values(gradient)
        sides["torch padded"] = lambda: _padded(theirs, case, batch, d_output)
        sides["torch packed"] = lambda: _packed(theirs, case, batch, d_output)
    return Contest(
        case,
        side(ours, forward, case, gradient=gradient, steps=len(values)),
        sides,
        operations(case, case.mode, case.hidden_size, len(values)),
    )


def _padded(module: torch.nn.RNNBase, case: Case, batch: Ragged, gradient: Ragged) -> Side:
    x, d_output = pad_sequence(list(batch)), pad_sequence(list(gradient))
    lengths = batch.lengths.tolist()

    def real(output: Tensor) -> Tensor:
        return torch.cat([output[:length, s] for s, length in enumerate(lengths)])

    return side(module, lambda: module(x)[0], case, gradient=d_output, steps=len(batch.values), view=real)


def _packed(module: torch.nn.RNNBase, case: Case, batch: Ragged, gradient: Ragged) -> Side:
    x, d_output = _pack(batch), _pack(gradient)
    lengths = batch.lengths.tolist()

    def in_order(output: Tensor) -> Tensor:
        padded, _ = pad_packed_sequence(PackedSequence(output, *x[1:]))
        return torch.cat([padded[:length, s] for s, length in enumerate(lengths)])

    steps = len(batch.values)
    return side(module, lambda: module(x)[0].data, case, gradient=d_output.data, steps=steps, view=in_order)


def _pack(batch: Ragged) -> PackedSequence:
    return pack_padded_sequence(pad_sequence(list(batch)), torch.from_numpy(batch.lengths), enforce_sorted=False)


def _dense(module: Fused, case: Case, rows: int) -> Side:
    """As many steps, or just fewer, with the same weights: how fast ours is where all lengths are equal."""
    steps = max(1, rows // case.batch)
    x = torch.randn(steps, case.batch, case.hidden_size)
    dense = side(module, lambda: module(x)[0], case, steps=steps * case.batch)
    return replace(dense, results=None)
