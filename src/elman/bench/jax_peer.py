"""Torch's layers as a `jax.lax.scan`, jitted, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from elman.bench.ceilings import cores
from elman.bench.contest import NoContest, Results, Side
from elman.bench.rows import Case

Step = Callable[[Any, Any, Any], tuple[Any, Any]]  # weights, states, W x + b → states, output


def side(module: torch.nn.RNNBase, x: torch.Tensor, gradient: torch.Tensor, case: Case) -> Side:
    """The scan over dense input [T, B, D]; in training its gradients by all weights.

    Raises:
        NoContest: fewer threads than cores; XLA's pool has a thread a core and cannot be held to fewer while it runs.
    """
    if case.threads != cores():
        raise NoContest(f"XLA computes on all {cores()} cores, not on {case.threads}")
    weights = {name: jnp.asarray(value.detach().numpy()) for name, value in module.named_parameters()}
    start, step = _start(module, case.batch), _STEPS[case.cell]

    def forward(weights: Any, inputs: Any) -> Any:
        from_x = inputs @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        return jax.lax.scan(lambda states, row: step(weights, states, row), start, from_x)[1]

    def loss(weights: Any, inputs: Any, d_output: Any) -> tuple[Any, Any]:
        output = forward(weights, inputs)
        return (output * d_output).sum(), output

    if case.mode == "train":
        compiled = jax.jit(jax.grad(loss, has_aux=True))
    else:
        compiled = jax.jit(lambda weights, inputs, d_output: ({}, forward(weights, inputs)))
    arguments = weights, jnp.asarray(x.numpy()), jnp.asarray(gradient.numpy())

    def run() -> Any:
        return jax.block_until_ready(compiled(*arguments))

    def results() -> Results:
        gradients, output = run()
        return {"output": np.asarray(output)} | {name: np.asarray(value) for name, value in gradients.items()}

    return Side(run, case.steps * case.batch, results, own_threads=case.threads > 1)


def _start(module: torch.nn.RNNBase, batch: int) -> Any:
    zeros = jnp.zeros((batch, module.hidden_size))
    return (zeros, zeros) if module.mode == "LSTM" else zeros


def _from_h(weights: Any, h: Any) -> Any:
    return h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]


def _lstm(weights: Any, states: Any, row: Any) -> tuple[Any, Any]:
    h, c = states
    i, f, g, o = jnp.split(row + _from_h(weights, h), 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(weights: Any, h: Any, row: Any) -> tuple[Any, Any]:
    (r_x, z_x, n_x), (r_h, z_h, n_h) = jnp.split(row, 3, -1), jnp.split(_from_h(weights, h), 3, -1)
    r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
    h = (1 - z) * jnp.tanh(n_x + r * n_h) + z * h
    return h, h


def _elman(weights: Any, h: Any, row: Any) -> tuple[Any, Any]:
    h = jnp.tanh(row + _from_h(weights, h))
    return h, h


_STEPS: dict[str, Step] = {"lstm": _lstm, "gru": _gru, "elman": _elman}
