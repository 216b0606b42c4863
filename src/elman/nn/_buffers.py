"""The kernels' work on tensors: allocates, points, runs. Arguments are checked before they come here."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.emit import Array
from elman.kernels import Engine, Forward, Plan, Rows, StateMemory, Weight
from elman.nn.plans import PlanSpec
from elman.nn.spec import LayerSpec, spec_of


def forward(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], training: bool,
) -> list[Tensor]:  # fmt: skip
    """[output [N, size], final states [B, size] …]; in training behind them the steps of the other states, and what is saved."""
    spec = spec_of(key)
    call = _Call.of(spec, PlanSpec.of(plan, edges), tokens, inputs, weights)
    results = _allocate(spec, call.steps, plan[2], weights[0], training)
    output, finals, sequences, saved = _unpack(spec, results, training)
    initial = [None if t is None else _rows(t) for t in initial]
    states = call.states(sequences, initial, finals)
    rows = call.input_rows(inputs)
    if spec.graph.output not in finals:
        rows[Array(spec.graph.output, "output", spec.graph.output_size)] = _rows_of(output)
    if saved is not None:
        rows |= call.engine.saved.rows(saved.data_ptr(), call.is_double)
    step = call.engine.training if training else call.engine.inference
    weight_places = spec.weights(weights)
    lanes, threads = call.lanes, torch.get_num_threads()
    if tokens is not None:
        table, ids = _table(call, step, tokens, weights)
        rows |= step.projected.rows(table.data_ptr(), call.is_double, ids.data_ptr())
    elif step.splits(lanes, call.steps, threads):
        assert step.projection is not None
        table = _scratch("projected", call.steps, step.projected.width, weights[0])
        rows |= step.projected.rows(table.data_ptr(), call.is_double)
        step.projection.run(step.projection.pack(weight_places), rows, None, call.steps, threads)
    else:
        step.whole.run(step.whole.pack(weight_places), rows, call.handle, call.steps, threads, states)
        return results
    assert step.recurrence is not None
    step.recurrence.run(step.recurrence.pack(weight_places), rows, call.handle, call.steps, threads, states)
    return results


def backward(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], kept: list[Tensor], d_results: list[Tensor | None],
    wanted: list[bool],
) -> list[Tensor]:  # fmt: skip
    """Gradients of inputs, initial states and weights, in this order; an empty tensor where none is wanted."""
    spec = spec_of(key)
    call = _Call.of(spec, PlanSpec.of(plan, edges), tokens, inputs, weights)
    like, threads = weights[0], torch.get_num_threads()
    gradients = _allocate_gradients(spec, inputs, initial, weights, wanted, plan[2])
    d_inputs, d_initial, d_weights = _thirds(gradients, len(inputs), len(initial))
    sequences, saved = _kept(spec, kept)
    initial = [None if t is None else _rows(t) for t in initial]
    befores = call.states(sequences, initial, {})
    held = [None if d is None else _rows(d) for d in d_results]
    adjoints = {
        port.name: StateMemory(initial=_address(d), final=_address(gradient))
        for port, d, gradient in zip(spec.graph.states, held[1:], d_initial, strict=True)
    }
    rows = call.input_rows(inputs)
    rows |= call.engine.saved.rows(saved.data_ptr(), call.is_double)
    for port in spec.graph.states:
        rows[Array(port.name, "after", port.size)] = _rows_of(sequences[port.name])
    zero = like.new_zeros(spec.size(spec.graph.output_size))
    d_output = held[0]
    rows[Array("output", "output", spec.graph.output_size)] = Rows(zero.data_ptr(), 0) if d_output is None else _rows_of(d_output)
    block = _scratch("kept", call.steps, call.engine.kept.width, like)
    sums = like.new_zeros(call.lanes, call.engine.summed.width)
    rows |= call.engine.kept.rows(block.data_ptr(), call.is_double)
    rows |= call.engine.summed.rows(sums.data_ptr(), call.is_double)
    places = spec.weights(weights)
    step = call.engine.backward
    step.run(step.pack(places), rows, call.handle, call.steps, threads, adjoints, befores, backward=True)
    _input_gradients(call, tokens, d_inputs, rows, places, threads)
    _weight_gradients(call, tokens, d_weights, rows, befores, (block, sums), threads)
    return gradients


@dataclass(frozen=True)
class _Call:
    """What forward and backward both know of one call."""

    spec: LayerSpec
    engine: Engine
    handle: Plan
    lanes: int
    steps: int
    is_double: bool
    hold: object

    @classmethod
    def of(
        cls, spec: LayerSpec, plan: PlanSpec, tokens: Tensor | None, inputs: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> _Call:
        bound = plan.bind()
        steps = len(bound.plan.rows)
        dtype = weights[0].dtype
        return cls(spec, spec.engine(dtype), bound.handle, bound.plan.count, steps, dtype == torch.float64, bound)

    def states(
        self, sequences: dict[str, Tensor], initial: Sequence[Tensor | None], finals: dict[str, Tensor]
    ) -> dict[str, StateMemory]:
        found = {}
        for port, rows in zip(self.spec.graph.states, initial, strict=True):
            sequence = sequences.get(port.name)
            place = (0, 0) if sequence is None else (sequence.data_ptr(), sequence.stride(0))
            found[port.name] = StateMemory(*place, _address(rows), _address(finals.get(port.name)))
        return found

    def input_rows(self, inputs: Sequence[Tensor]) -> dict[Array, Rows]:
        """The rows of the float inputs (the last ones, where tokens stand for the first)."""
        ports = self.spec.graph.inputs[len(self.spec.graph.inputs) - len(inputs) :]
        return {Array(p.name, "input", p.size): _rows_of(t) for p, t in zip(ports, inputs, strict=True)}


_LARGEST_SCRATCH = 1 << 24  # elements; more than this is given back after the call
_own = threading.local()


def _scratch(name: str, rows: int, width: int, like: Tensor) -> Tensor:
    """Memory that only one call at a time of this thread uses, kept for the next: fresh pages cost as much as the work on them."""
    count = rows * width
    if count > _LARGEST_SCRATCH:
        return like.new_empty(rows, width)
    key = f"{name} {like.dtype}"
    memory: Tensor | None = getattr(_own, key, None)
    if memory is None or memory.numel() < count:
        memory = like.new_empty(count)
        setattr(_own, key, memory)
    return memory[:count].view(rows, width)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _rows(tensor: Tensor) -> Tensor:
    """[rows, size] in one piece."""
    return tensor.contiguous()


def _rows_of(tensor: Tensor) -> Rows:
    return Rows(tensor.data_ptr(), tensor.stride(0))


def _allocate(spec: LayerSpec, steps: int, batch: int, like: Tensor, training: bool) -> list[Tensor]:
    graph = spec.graph
    results = [like.new_empty(steps, spec.size(graph.output_size))]
    results += [like.new_empty(batch, spec.size(port.size)) for port in graph.states]
    if training:
        results += [like.new_empty(steps, spec.size(p.size)) for p in graph.states if p.name != graph.output]
        results.append(like.new_empty(steps, spec.engine(like.dtype).saved.width))
    return results


def _unpack(
    spec: LayerSpec, results: list[Tensor], training: bool
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor], Tensor | None]:
    """Output, finals and sequences by state, and the saved block."""
    names = [port.name for port in spec.graph.states]
    finals = dict(zip(names, results[1:], strict=False))
    if not training:
        return results[0], finals, {n: results[0] for n in names if n == spec.graph.output}, None
    sequences, saved = _kept(spec, [results[0], *results[1 + len(names) :]])
    return results[0], finals, sequences, saved


def _kept(spec: LayerSpec, kept: Sequence[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Sequences by state and the saved block, from [output, other states' steps …, saved]."""
    rest = iter(kept[1:-1])
    names = [port.name for port in spec.graph.states]
    return {n: kept[0] if n == spec.graph.output else next(rest) for n in names}, kept[-1]


def _table(call: _Call, step: Forward, tokens: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """What a chain holds after a one-hot input, a row for each token: start + the token's column. And each step's row."""
    assert step.projection is not None
    program, spec = step.projection.program, call.spec
    count = spec.size(spec.graph.inputs[0].size)
    present: Tensor | None = None
    if count > len(tokens):
        present, tokens = torch.unique(tokens, return_inverse=True)
        count = len(present)
    table = weights[0].new_empty(count, step.projected.width)
    for phase in program.phases:
        for chain, matrix_index in phase.links[0].products:
            matrix = program.matrices[matrix_index]
            array = program.arrays[phase.code[chain].array]
            columns = spec.member(matrix.name, weights)
            columns = columns if matrix.transposed else columns.T
            columns = columns if present is None else columns[present]
            start = phase.starts[chain]
            part = table.narrow(1, step.projected.offsets[array], columns.shape[1])
            if start < 0:
                part.copy_(columns)
            else:
                torch.add(columns, spec.member(program.arrays[start].name, weights), out=part)
    return table, tokens


def _allocate_gradients(
    spec: LayerSpec, inputs: list[Tensor], initial: list[Tensor | None], weights: list[Tensor], wanted: list[bool], batch: int
) -> list[Tensor]:
    """Zeros for what is added to (weights, initial states), bare memory for inputs."""
    like = weights[0]
    gradients = []
    for k, tensor in enumerate([*inputs, *initial, *weights]):
        if tensor is None or not wanted[k]:
            gradients.append(like.new_empty(0))
        elif k < len(inputs):
            gradients.append(torch.empty_like(tensor, memory_format=torch.contiguous_format))
        else:
            gradients.append(torch.zeros_like(tensor, memory_format=torch.contiguous_format))
    return gradients


def _thirds(
    gradients: list[Tensor], n_inputs: int, n_initial: int
) -> tuple[list[Tensor | None], list[Tensor | None], list[Tensor | None]]:
    behind = n_inputs + n_initial
    present: list[Tensor | None] = [None if g.dim() == 1 and g.numel() == 0 else g for g in gradients]
    return present[:n_inputs], present[n_inputs:behind], present[behind:]


def _input_gradients(
    call: _Call, tokens: Tensor | None, d_inputs: list[Tensor | None], rows: dict[Array, Rows], places: dict[str, Weight],
    threads: int,
) -> None:  # fmt: skip
    ports = call.spec.graph.inputs[len(call.spec.graph.inputs) - len(d_inputs) :]
    for port, gradient in zip(ports, d_inputs, strict=True):
        if gradient is None:
            continue
        kernel = call.engine.input_gradients.get(port.name)
        if kernel is None:
            gradient.zero_()
            continue
        rows[Array(port.name, "d_input", port.size)] = _rows_of(gradient)
        kernel.run(kernel.pack(places), rows, None, call.steps, threads)


def _weight_gradients(
    call: _Call, tokens: Tensor | None, d_weights: list[Tensor | None], rows: dict[Array, Rows],
    befores: dict[str, StateMemory], gradients: tuple[Tensor, Tensor], threads: int,
) -> None:  # fmt: skip
    spec, engine = call.spec, call.engine
    out = spec.weights(d_weights)
    kept, summed = (block.data_ptr() for block in gradients)
    engine.vector_gradients(call.steps, call.lanes, out, kept, summed, threads)
    by_token = {}
    if tokens is not None:
        by_token = {g.matrix for g in engine.recurrence.matrix_gradients if g.source.role == "input" and g.matrix in out}
        _token_gradients(call, tokens, d_weights, sorted(by_token), kept, threads)
    rest = {name: place for name, place in out.items() if name not in by_token}
    engine.matrix_gradients(call.handle, rows, befores, rest, kept, threads)


def _token_gradients(
    call: _Call, tokens: Tensor, d_weights: Sequence[Tensor | None], names: Sequence[str], kept: int, threads: int
) -> None:
    """A table of sums by token, turned into columns of the input matrices' gradients."""
    present, index = torch.unique(tokens, return_inverse=True)
    for name in names:
        place = call.spec.places[name]
        gradient = d_weights[place.index]
        assert gradient is not None
        table = gradient.new_zeros(len(present), place.rows)
        call.engine.token_gradients(
            index.data_ptr(), call.steps, {name: Weight(table.data_ptr(), table.stride(0))}, kept, threads
        )
        gradient.narrow(0, place.first, place.rows)[:, present] += table.T


def fake_forward(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], training: bool,
) -> list[Tensor]:  # fmt: skip
    """Shapes of `forward`, for torch.compile."""
    steps = inputs[0].shape[0] if tokens is None else tokens.shape[0]
    return _allocate(spec_of(key), steps, plan[2], weights[0], training)


def fake_backward(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], kept: list[Tensor], d_results: list[Tensor | None],
    wanted: list[bool],
) -> list[Tensor]:  # fmt: skip
    """Shapes of `backward`, for torch.compile."""
    return _allocate_gradients(spec_of(key), inputs, initial, weights, wanted, plan[2])
