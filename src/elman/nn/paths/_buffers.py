"""The kernels' work on tensors: allocates, points, runs. Shapes and element types are checked before they come here."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from elman.emit import Array
from elman.kernels import BoundKernel, Held, Packed, Rows, StateMemory
from elman.nn._memory import address, held_by, in_one_piece, in_rows, readable, rows_of, scratch
from elman.nn._tokens import check_tokens, token_gradients, token_table
from elman.nn.plans import bind
from elman.nn.spec import LayerSpec, spec_of


def forward(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], training: bool,
) -> list[Tensor]:  # fmt: skip
    """One direction of a layer, as `elman.nn.paths.fused.forward`.

    Returns:
        [output [N, size], final states [B, size] …]; in training, behind them, the steps of the other states and what
        else is saved.
    """
    call = _Call(key, plan, edges, tokens, inputs, initial, weights)
    call.held = None if training else held_by(weights[0])
    spec, engine, steps, threads = call.spec, call.engine, call.steps, call.threads
    results = _allocate(spec, steps, plan[2], weights[0], training)
    sequences, saved = _kept(spec, [results[0], *results[1 + len(spec.graph.states) :]], training)
    states = call.states(sequences, results[1:])
    rows = call.rows
    if spec.graph.output not in sequences:
        rows[spec.arrays["output", spec.graph.output]] = rows_of(results[0])
    if saved is not None:
        rows |= engine.saved.rows(saved.data_ptr(), call.is_double, steps)
    step = engine.training if training else engine.inference
    if call.tokens is not None:
        table, ids = token_table(spec, step, call.tokens, call.weights)
        rows |= step.projected.table(table.data_ptr(), call.is_double, ids.data_ptr())
    elif step.splits(call.lanes, steps, threads) and step.projection is not None:
        table = scratch("projected", steps, step.projected.width, weights[0])
        rows |= step.projected.rows(table.data_ptr(), call.is_double, steps)
        step.projection.run(call.pack(step.projection), rows, None, steps, threads)
    else:
        step.whole.run(call.pack(step.whole), rows, call.plan, steps, threads, states)
        return results
    assert step.recurrence is not None
    step.recurrence.run(call.pack(step.recurrence), rows, call.plan, steps, threads, states)
    return results


def backward(
    key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: list[Tensor],
    initial: list[Tensor | None], weights: list[Tensor], kept: list[Tensor], d_results: list[Tensor | None],
    wanted: list[bool],
) -> list[Tensor]:  # fmt: skip
    """Gradients of inputs, initial states and weights, in this order; an empty tensor where none is wanted."""
    call = _Call(key, plan, edges, tokens, inputs, initial, weights)
    spec, engine, steps, threads, like = call.spec, call.engine, call.steps, call.threads, weights[0]
    gradients = _allocate_gradients(inputs, initial, weights, wanted)
    sequences, saved = _kept(spec, kept, True)
    assert saved is not None
    befores = call.states(sequences, [None] * len(initial))
    d_output, *d_finals = [in_one_piece(d) for d in d_results]
    d_initial = gradients[len(inputs) : len(inputs) + len(initial)]
    adjoints = {
        port.name: StateMemory(initial=address(d), final=address(gradient))
        for port, d, gradient in zip(spec.graph.states, d_finals, d_initial, strict=True)
    }
    rows = call.rows
    rows |= engine.saved.rows(saved.data_ptr(), call.is_double, steps)
    for name, sequence in sequences.items():
        rows[spec.arrays["after", name]] = rows_of(sequence)
    nothing = like.new_zeros(spec.size(spec.graph.output_size))  # must live as long as the kernels run
    rows[spec.arrays["output", "output"]] = Rows(nothing.data_ptr(), 0) if d_output is None else rows_of(d_output)
    block = scratch("kept", steps, engine.kept.width, like)
    sums = like.new_zeros(call.lanes, engine.summed.width)
    rows |= engine.kept.rows(block.data_ptr(), call.is_double, steps)
    rows |= engine.summed.rows(sums.data_ptr(), call.is_double, call.lanes)
    step = engine.backward
    step.run(call.pack(step), rows, call.plan, steps, threads, adjoints, befores, backward=True)
    call.input_gradients(gradients[: len(inputs)])
    call.weight_gradients(gradients[len(inputs) + len(initial) :], befores)
    return [like.new_empty(0) if gradient is None else gradient for gradient in gradients]


_shared = threading.local()


@contextmanager
def packed_once() -> Iterator[None]:
    """Calls of one spec inside the block have the same weights, in memory that the kernels can read as it is."""
    _shared.panels = {}
    try:
        yield
    finally:
        _shared.panels = None


class _Call:
    """What forward and backward both know of one call, and the tensors that must live as long as it."""

    held: Held | None = None  # panels from earlier calls

    def __init__(
        self, key: str, plan: list[int], edges: Tensor | None, tokens: Tensor | None, inputs: Sequence[Tensor],
        initial: Sequence[Tensor | None], weights: Sequence[Tensor],
    ) -> None:  # fmt: skip
        self.spec = spec = spec_of(key)
        self.engine = spec.engine(weights[0].dtype)
        self.is_double = self.engine.is_double
        self.bound = bind(plan, edges)
        self.plan, self.lanes, self.steps = self.bound.handle, self.bound.plan.count, len(self.bound.plan.rows)
        self.threads = torch.get_num_threads()
        self.tokens = in_one_piece(tokens)
        if self.tokens is not None:
            check_tokens(spec.graph.name, self.tokens, spec.size(spec.graph.inputs[0].size))
        # Where tokens stand for the first input, only the others are here.
        self.ports = spec.graph.inputs[len(spec.graph.inputs) - len(inputs) :]
        self.inputs = [in_rows(tensor) for tensor in inputs]
        self.initial = [in_one_piece(tensor) for tensor in initial]
        self.weights = [readable(weight) if weight.dim() == 2 else in_rows(weight) for weight in weights]
        self.places = spec.weights(self.weights)
        self.rows: dict[Array, Rows] = {
            spec.arrays["input", port.name]: rows_of(tensor)
            for port, tensor in zip(self.ports, self.inputs, strict=True)
        }

    def pack(self, kernel: BoundKernel) -> Packed:
        """The weights in the order of a kernel: inside `packed_once`, and where panels are held, not laid out anew."""
        shared: dict[int, Packed] | None = getattr(_shared, "panels", None)
        if shared is not None and id(kernel) in shared:
            return shared[id(kernel)]
        if self.held is None:
            packed = kernel.pack(self.places, self.threads)
        else:
            packed = kernel.pack_again(self.places, self.threads, self.held)
        if shared is not None:
            shared[id(kernel)] = packed
        return packed

    def states(self, sequences: dict[str, Tensor], finals: Sequence[Tensor | None]) -> dict[str, StateMemory]:
        """The memory of each state: all its steps, where they are kept, what it begins with and where it ends."""
        found = {}
        for port, initial, final in zip(self.spec.graph.states, self.initial, finals, strict=False):
            sequence = sequences.get(port.name)
            place = (0, 0) if sequence is None else (sequence.data_ptr(), sequence.stride(0))
            found[port.name] = StateMemory(*place, address(initial), address(final))
        return found

    def input_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Write the gradients of the inputs, of all steps at once."""
        for port, gradient in zip(self.ports, gradients, strict=True):
            kernel = self.engine.input_gradients.get(port.name)
            if gradient is None:
                continue
            if kernel is None:
                gradient.zero_()
                continue
            self.rows[self.spec.arrays["d_input", port.name]] = rows_of(gradient)
            kernel.run(self.pack(kernel), self.rows, None, self.steps, self.threads)

    def weight_gradients(self, gradients: Sequence[Tensor | None], befores: dict[str, StateMemory]) -> None:
        """Add to the gradients of the weights, from the rows that backward kept by step and summed by lane."""
        out = self.spec.weights(gradients)
        self.engine.vector_gradients(self.steps, self.lanes, self.rows, out, self.threads)
        if self.tokens is not None:
            for name in token_gradients(self.spec, self.engine, self.tokens, self.rows, gradients, self.threads):
                del out[name]
        self.engine.matrix_gradients(self.plan, self.rows, befores, out, self.threads)


def _allocate(spec: LayerSpec, steps: int, batch: int, like: Tensor, training: bool) -> list[Tensor]:
    graph = spec.graph
    results = [like.new_empty(steps, spec.size(graph.output_size))]
    results += [like.new_empty(batch, spec.size(port.size)) for port in graph.states]
    if training:
        results += [like.new_empty(steps, spec.size(p.size)) for p in graph.states if p.name != graph.output]
        results.append(like.new_empty(steps, spec.engine(like.dtype).saved.width))
    return results


def _kept(spec: LayerSpec, kept: Sequence[Tensor], training: bool) -> tuple[dict[str, Tensor], Tensor | None]:
    """Steps by state, and what else is saved: from [output] or, in training, [output, others …, saved]."""
    output, names = spec.graph.output, [port.name for port in spec.graph.states]
    if not training:
        return {output: kept[0]} if output in names else {}, None
    others = iter(kept[1:-1])
    return {name: kept[0] if name == output else next(others) for name in names}, kept[-1]


def _allocate_gradients(
    inputs: Sequence[Tensor], initial: Sequence[Tensor | None], weights: Sequence[Tensor], wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Zeros for what is added to (weights, initial states), bare memory for inputs."""
    gradients: list[Tensor | None] = []
    for k, (tensor, want) in enumerate(zip([*inputs, *initial, *weights], wanted, strict=True)):
        if tensor is None or not want:
            gradients.append(None)
        else:
            allocate = torch.empty_like if k < len(inputs) else torch.zeros_like
            gradients.append(allocate(tensor, memory_format=torch.contiguous_format))
    return gradients


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
    gradients = _allocate_gradients(inputs, initial, weights, wanted)
    return [weights[0].new_empty(0) if gradient is None else gradient for gradient in gradients]
