"""The truth about gradients: torch's autograd through the evaluator, in float64, over a few steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from elman.equations import Graph
from elman.equations.evaluate import run

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """A cell with float64 arrays: inputs [T, B, size], first states [B, size], parameters, and a loss's derivatives.

    Those are by every output [T, B, size] and by the last states [B, size].
    """

    graph: Graph
    inputs: Arrays
    states: Arrays
    parameters: Arrays
    d_output: Any
    d_states: Arrays


def problem(graph: Graph, sizes: Mapping[str, int], steps: int = 1, batch: int = 2, seed: int = 0) -> Problem:
    """A problem with numbers from a normal distribution."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int | str) -> Any:
        return generator.normal(size=[n if isinstance(n, int) else 1 if n == "1" else sizes[n] for n in shape])

    return Problem(
        graph,
        inputs={p.name: draw(steps, batch, p.size) for p in graph.inputs},
        states={p.name: draw(batch, p.size) for p in graph.states},
        parameters={p.name: draw(*p.shape) for p in graph.parameters},
        d_output=draw(steps, batch, graph.output_size),
        d_states={p.name: draw(batch, p.size) for p in graph.states},
    )


@dataclass(frozen=True)
class Truth:
    """What autograd says: values and gradients, numpy arrays by name."""

    outputs: Any
    states: Arrays  # after the last step
    d_inputs: Arrays
    d_states: Arrays
    d_parameters: Arrays


def truth(given: Problem) -> Truth:
    """Run all steps, and backpropagate the loss."""
    leaves = [
        {name: torch.tensor(value, requires_grad=True) for name, value in part.items()}
        for part in (given.inputs, given.states, given.parameters)
    ]
    inputs, states, parameters = leaves
    outputs = []
    for step in range(len(given.d_output)):
        row = {name: value[step] for name, value in inputs.items()}
        output, states = run(given.graph, torch, row, states, parameters)
        outputs.append(output)
    loss = sum((torch.tensor(d) * y).sum() for d, y in zip(given.d_output, outputs, strict=True))
    loss = loss + sum((torch.tensor(given.d_states[name]) * value).sum() for name, value in states.items())
    wanted = [tensor for part in leaves for tensor in part.values()]
    found = torch.autograd.grad(loss, wanted, allow_unused=True) if loss.requires_grad else [None] * len(wanted)
    numbers = iter(np.zeros(t.shape) if d is None else d.numpy() for t, d in zip(wanted, found, strict=True))
    d_inputs, d_states, d_parameters = ({name: next(numbers) for name in part} for part in leaves)
    return Truth(
        torch.stack(outputs).detach().numpy(),
        {name: value.detach().numpy() for name, value in states.items()},
        d_inputs, d_states, d_parameters,
    )  # fmt: skip


def chain_derived(given: Problem, derived: Any, d_derived: Arrays) -> Arrays:
    """Gradients of the cell's own parameters from those of its derived ones.

    `derived(torch, parameters)` makes these as tensors, by name.
    """
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in given.parameters.items()}
    made = {name: value for name, value in derived(torch, parameters).items() if name in d_derived}
    loss = sum((value * torch.tensor(d_derived[name])).sum() for name, value in made.items())
    if not getattr(loss, "requires_grad", False):  # none, or comparisons alone
        return {name: np.zeros(value.shape) for name, value in given.parameters.items()}
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        n: np.zeros(p.shape) if d is None else d.numpy() for (n, p), d in zip(parameters.items(), found, strict=True)
    }


def assert_near(found: Any, expected: Any, what: str, limit: float = 1e-10) -> None:
    """Assert that two arrays of equal shape differ by no more than `limit`, in units of the largest number or of 1."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: {found.shape}, expected {expected.shape}"
    off = np.max(np.abs(found - expected), initial=0.0) / max(1.0, np.max(np.abs(expected), initial=0.0))
    assert off <= limit, f"{what}: off by {off:.1e}"
