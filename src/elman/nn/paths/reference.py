"""A layer step by step through the evaluator: slow, differentiable any number of times, and the truth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from elman.equations import evaluate
from elman.errors import ConfigError
from elman.nn._tokens import check_tokens
from elman.nn.call import Call
from elman.nn.sized import SizedCell

_OPEN = "an export for any number of steps needs the kernels: float32 or float64 on the CPU; see what path(input) says"


def reference(call: Call) -> tuple[Tensor, list[Tensor]]:
    """Output [N, size] and final states [B, size] of one direction of a layer.

    All sequences that are still running take a step together.

    Raises:
        ConfigError: the call is exported for any number of steps, and here they would be written down one by one.
    """
    if any(isinstance(number, torch.SymInt) for number in call.plan):
        raise ConfigError(f"{call.sized().graph.name}: {_OPEN}")
    sized, lanes = call.sized(), call.plan_spec().bind().plan
    inputs, initial, weights = call.split(call.tensors)
    graph, parameters, like = sized.graph, sized.parameters(weights), weights[0]
    if call.tokens is not None:
        inputs = [one_hot(call.tokens, sized, like.dtype), *inputs]
    segments = lanes.segments[np.argsort(-lanes.segments[:, 1], kind="stable")]
    states = {
        port.name: _entry(rows, segments[:, 2], sized.size(port.size), port.start, like)
        for port, rows in zip(graph.states, initial, strict=True)
    }
    outputs: list[Tensor] = []
    visited: list[np.ndarray] = []
    for step in range(int(segments[0, 1]) if len(segments) else 0):
        active = int(np.count_nonzero(segments[:, 1] > step))
        rows = lanes.rows[segments[:active, 0] + step].astype(np.int64)
        index = torch.from_numpy(rows).to(like.device)
        xs = {port.name: values.index_select(0, index) for port, values in zip(graph.inputs, inputs, strict=True)}
        running = {name: state[:active] for name, state in states.items()}
        output, after = evaluate.run(graph, torch, xs, running, parameters)
        states = {name: torch.cat([after[name], state[active:]]) for name, state in states.items()}
        outputs.append(output)
        visited.append(rows)
    return _in_rows(outputs, visited, like, sized.size(graph.output_size)), _finals(
        states, segments[:, 3], call.batch()
    )


def one_hot(tokens: Tensor, sized: SizedCell, dtype: torch.dtype) -> Tensor:
    """The rows [N, D] that tokens [N] stand for.

    Raises:
        ShapeError: a token is not 0 … D - 1. Where a trace or a transform hides the values, such a row is zero.
    """
    size = sized.size(sized.graph.inputs[0].size)
    if not (tokens.is_meta or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()):
        check_tokens(sized.graph.name, tokens, size)
    return (tokens[:, None] == torch.arange(size, device=tokens.device)).to(dtype)


def _entry(rows: Tensor | None, initial: np.ndarray, size: int, start: float, like: Tensor) -> Tensor:
    """The states that segments begin with, [S, size]."""
    begin = torch.full((len(initial), size), start, dtype=like.dtype, device=like.device)
    if rows is None or len(initial) == 0:
        return begin
    index = torch.from_numpy(initial.astype(np.int64)).to(like.device)
    return torch.where((index >= 0)[:, None], rows.index_select(0, index.clamp(min=0)), begin)


def _in_rows(outputs: list[Tensor], visited: list[np.ndarray], like: Tensor, size: int) -> Tensor:
    if not outputs:
        return like.new_zeros(0, size)
    order = torch.from_numpy(np.argsort(np.concatenate(visited))).to(like.device)
    return torch.cat(outputs).index_select(0, order)


def _finals(states: dict[str, Tensor], final: np.ndarray, batch: int) -> list[Tensor]:
    """The last state of each sequence, [B, size]."""
    segment_of = np.zeros(batch, np.int64)
    segment_of[final[final >= 0]] = np.flatnonzero(final >= 0)
    index = torch.from_numpy(segment_of).to(next(iter(states.values())).device)
    # An index in brackets would add its gradient up in place, which vmap inside forward mode refuses.
    return [state.index_select(0, index) for state in states.values()]
