"""Cells of papers that are not built in, each written once in equations and once, independently, in torch."""

from __future__ import annotations

from tests.cells.written import gates, states
from tests.cells.written.paper import Paper

PAPERS = {
    paper.cell.name: paper
    for paper in (
        Paper(gates.fast_grnn, gates.fast_grnn_in_torch, {"R": 2}),
        Paper(states.lmu, states.lmu_in_torch),
        Paper(states.co_rnn, states.co_rnn_in_torch),
        Paper(gates.cfc, gates.cfc_in_torch, {"K": 7}),
        Paper(states.rwkv, states.rwkv_in_torch, {"Y": 3}),
        Paper(gates.mi_lstm, gates.mi_lstm_in_torch),
        Paper(gates.multi_head_lstm, gates.multi_head_lstm_in_torch, {"S": 2}),
        Paper(states.lif, states.lif_in_torch),
        Paper(states.clockwork, states.clockwork_in_torch),
        Paper(states.unitary, states.unitary_in_torch),
        Paper(states.skip_rnn, states.skip_rnn_in_torch),
        Paper(gates.qrnn, gates.qrnn_in_torch),
        Paper(states.turing_head, lambda weights, x, w: states.turing_head_in_torch(weights, x, previous=w)),
        Paper(gates.rg_lru, gates.rg_lru_in_torch),
        Paper(gates.on_lstm, gates.on_lstm_in_torch),
        Paper(gates.mogrifier, gates.mogrifier_in_torch, {"K": 2}),
        Paper(states.echo_state, states.echo_state_in_torch, {"Y": 3}),
        Paper(states.phased_lstm, states.phased_lstm_in_torch),
        Paper(gates.rms_elu, gates.rms_elu_in_torch),
    )
}
