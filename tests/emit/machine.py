"""Runs the programs of a cell on the interpreter, step by step, as the kernels do over a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from elman.emit import Array, Program, Recurrence, Role, emit, input_gradient, split_inputs
from elman.equations import evaluate
from tests.emit.interpreter import number, step
from tests.equations.autograd import Problem, chain_derived

Arrays = dict[str, Any]


class Machine:
    """One problem, and the programs of its cell."""

    def __init__(self, given: Problem, sizes: Mapping[str, int]) -> None:
        self.given, self.sizes, self.graph = given, sizes, given.graph
        self.recurrence: Recurrence = emit(given.graph)
        self.steps, self.batch = given.d_output.shape[:2]
        derived = evaluate.derive(self.recurrence.lowered, np, given.parameters, sizes)
        self.weights = given.parameters | derived
        self.sequences: Arrays = {}  # [T, B, size] of every state after each step

    def empty(self, arrays: Iterable[Array]) -> dict[Array, Any]:
        """Memory [T, B, size] that nothing has been written to."""
        return {a: np.full((self.steps, self.batch, number(a.size, self.sizes)), np.nan) for a in arrays}

    def _fixed(self, program: Program, rows: int) -> dict[Array, Any]:
        vectors = (a for a in program.arrays if a.role is Role.VECTOR)
        return {a: np.broadcast_to(self.weights[a.name], (rows, number(a.size, self.sizes))) for a in vectors}

    def forward(self, program: Program, more: Mapping[Array, Any] | None = None) -> tuple[Any, Arrays]:
        """Outputs [T, B, size] and last states; `more` is memory [T, B, size] of saved and projected arrays."""
        sequences = dict(more or {})
        sequences |= {Array(p.name, Role.INPUT, p.size): self.given.inputs[p.name] for p in self.graph.inputs}
        nexts = self.empty(Array(p.name, Role.NEXT, p.size) for p in self.graph.states)
        output = Array(self.graph.output, Role.OUTPUT, self.graph.output_size)
        shown = self.empty([output])
        carry = {Array(p.name, Role.CARRY, p.size): self.given.states[p.name] for p in self.graph.states}
        for t in range(self.steps):
            memory = {a: rows[t] for a, rows in (sequences | nexts | shown).items()} | carry
            step(program, memory | self._fixed(program, self.batch), self.weights, self.sizes, self.batch)
            carry = {Array(a.name, Role.CARRY, a.size): rows[t] for a, rows in nexts.items()}
        self.sequences = {a.name: rows for a, rows in nexts.items()}
        outputs = self.sequences.get(self.graph.output, shown[output])
        return outputs, {name: rows[-1] for name, rows in self.sequences.items()}

    def over_rows(self, program: Program, memory: Mapping[Array, Any]) -> None:
        """Run a program without steps over all rows at once; memory is [T, B, size]."""
        flat = {a: rows.reshape(self.steps * self.batch, -1) for a, rows in memory.items()}  # views
        step(
            program,
            flat | self._fixed(program, self.steps * self.batch),
            self.weights,
            self.sizes,
            self.steps * self.batch,
        )

    def split(self, program: Program) -> tuple[Any, Arrays] | None:
        """As `forward` of the program in two parts: the inputs' products before the steps."""
        parts = split_inputs(program)
        if parts is None:
            return None
        early, late = parts
        projected = self.empty(a for a in early.arrays if a.role is Role.PROJECTED)
        inputs = {a: self.given.inputs[a.name] for a in early.arrays if a.role is Role.INPUT}
        self.over_rows(early, projected | inputs)
        return self.forward(late, projected)

    def backward(self) -> tuple[Arrays, Arrays, Arrays]:
        """Gradients of inputs [T, B, size], first states [B, size] and parameters, by the backward program."""
        r, given = self.recurrence, self.given
        saved, kept = self.empty(r.saved), self.empty(r.kept)
        self.forward(r.forward, saved)
        summed = {a: np.zeros((self.batch, number(a.size, self.sizes))) for a in r.summed}
        known = saved | kept | {Array(p.name, Role.INPUT, p.size): given.inputs[p.name] for p in self.graph.inputs}
        known |= {Array(p.name, Role.AFTER, p.size): self.sequences[p.name] for p in self.graph.states}
        known |= {Array(p.name, Role.BEFORE, p.size): self._before(p.name) for p in self.graph.states}
        known[Array("output", Role.OUTPUT, self.graph.output_size)] = given.d_output
        carry = {Array(p.name, Role.CARRY, p.size): given.d_states[p.name] for p in self.graph.states}
        for t in range(self.steps - 1, -1, -1):
            nexts = {Array(a.name, Role.NEXT, a.size): np.full_like(rows, np.nan) for a, rows in carry.items()}
            memory = {a: rows[t] for a, rows in known.items()} | carry | nexts | summed
            step(r.backward, memory | self._fixed(r.backward, self.batch), self.weights, self.sizes, self.batch)
            carry = {Array(a.name, Role.CARRY, a.size): rows for a, rows in nexts.items()}
        d_inputs = {p.name: self._input_gradient(p.name, kept) for p in self.graph.inputs}
        return d_inputs, {a.name: rows for a, rows in carry.items()}, self._parameter_gradients(known, summed)

    def _before(self, name: str) -> Any:
        return np.concatenate([self.given.states[name][None], self.sequences[name][:-1]])

    def _input_gradient(self, name: str, kept: Mapping[Array, Any]) -> Any:
        (port,) = (p for p in self.graph.inputs if p.name == name)
        gradient = next(g for g in self.recurrence.input_gradients if g.name == name)
        target = Array(name, Role.D_INPUT, port.size)
        if not gradient.products and gradient.pointwise is None:
            return np.zeros_like(self.given.inputs[name])
        memory = self.empty([target])
        program = input_gradient(gradient, port.size)
        self.over_rows(program, memory | {a: kept[a] for a in program.arrays if a.role is Role.KEPT})
        return memory[target]

    def _parameter_gradients(self, known: Mapping[Array, Any], summed: Mapping[Array, Any]) -> Arrays:
        found = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        for g in self.recurrence.matrix_gradients:
            outer = np.einsum("tbm,tbk->mk", known[g.d], known[g.source])
            found[g.matrix] += outer.T if g.transposed else outer
        for v in self.recurrence.vector_gradients:
            rows = summed[v.d] if v.d in summed else known[v.d]
            found[v.vector] += rows.reshape(-1, rows.shape[-1]).sum(0)
        through = chain_derived(
            self.given,
            lambda xp, parameters: evaluate.derive(self.recurrence.lowered, xp, parameters, self.sizes),
            {name: d for name, d in found.items() if name.startswith("%")},
        )
        return {name: found[name] + through[name] for name in self.given.parameters}
