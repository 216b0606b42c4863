"""The kernels' work on tensors: allocates, points, runs. Shapes and element types are checked before they come here."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from elman.emit import Array, Role
from elman.kernels import BoundKernel, Held, Packed, Rows, StateMemory
from elman.nn._memory import address, held_by, in_one_piece, in_rows, readable, rows_of, scratch
from elman.nn._tokens import check_tokens, token_gradients, token_table
from elman.nn.call import Call
from elman.nn.sized import SizedCell


def forward(call: Call, training: bool) -> list[Tensor]:
    """One direction of a layer, as `elman.nn.paths.fused.forward`.

    Returns:
        [output [N, size], final states [B, size] …]; in training, behind them, the steps of the other states and what
        else is saved.
    """
    work = _Work(call)
    work.held = None if training else held_by(work.like)
    sized, engine, steps, threads, like = work.sized, work.engine, work.steps, work.threads, work.like
    results = _allocate(call, training)
    sequences, saved = _kept(sized, [results[0], *results[1 + len(sized.graph.states) :]], training)
    states = work.states(sequences, results[1:])
    rows = work.rows
    if sized.graph.output not in sequences:
        rows[sized.arrays[Role.OUTPUT, sized.graph.output]] = rows_of(results[0])
    if saved is not None:
        rows |= engine.saved.rows(saved.data_ptr(), work.is_double, steps)
    step = engine.training if training else engine.inference
    if work.tokens is not None:
        table, ids = token_table(sized, step, work.tokens, work.weights)
        rows |= step.projected.table(table.data_ptr(), work.is_double, ids.data_ptr())
    elif step.splits(work.lanes, steps, threads) and step.projection is not None:
        table = scratch("projected", steps, step.projected.width, like)
        rows |= step.projected.rows(table.data_ptr(), work.is_double, steps)
        step.projection.run(work.pack(step.projection), rows, None, steps, threads)
    else:
        step.whole.run(work.pack(step.whole), rows, work.plan, steps, threads, states)
        return results
    assert step.recurrence is not None
    step.recurrence.run(work.pack(step.recurrence), rows, work.plan, steps, threads, states)
    return results


def backward(call: Call, kept: list[Tensor], d_results: list[Tensor | None], wanted: list[bool]) -> list[Tensor]:
    """The gradient of each tensor of the call; an empty tensor where none is wanted."""
    work = _Work(call)
    sized, engine, steps, threads, like = work.sized, work.engine, work.steps, work.threads, work.like
    gradients = _allocate_gradients(call, wanted)
    d_inputs, d_initial, d_weights = call.split(gradients)
    sequences, saved = _kept(sized, kept, True)
    assert saved is not None
    befores = work.states(sequences, [None] * len(d_initial))
    d_output, *d_finals = [in_one_piece(d) for d in d_results]
    adjoints = {
        port.name: StateMemory(initial=address(d), final=address(gradient))
        for port, d, gradient in zip(sized.graph.states, d_finals, d_initial, strict=True)
    }
    rows = work.rows
    rows |= engine.saved.rows(saved.data_ptr(), work.is_double, steps)
    for name, sequence in sequences.items():
        rows[sized.arrays[Role.AFTER, name]] = rows_of(sequence)
    nothing = like.new_zeros(sized.size(sized.graph.output_size))  # must live as long as the kernels run
    rows[sized.arrays[Role.OUTPUT, "output"]] = Rows(nothing.data_ptr(), 0) if d_output is None else rows_of(d_output)
    block = scratch("kept", steps, engine.kept.width, like)
    sums = like.new_zeros(work.lanes, engine.summed.width)
    rows |= engine.kept.rows(block.data_ptr(), work.is_double, steps)
    rows |= engine.summed.rows(sums.data_ptr(), work.is_double, work.lanes)
    step = engine.backward
    step.run(work.pack(step), rows, work.plan, steps, threads, adjoints, befores, backward=True)
    work.input_gradients(d_inputs)
    work.weight_gradients(d_weights, befores)
    return [like.new_empty(0) if gradient is None else gradient for gradient in gradients]


_shared = threading.local()


@contextmanager
def packed_once() -> Iterator[None]:
    """Calls of one sized cell inside the block have the same weights, in memory that the kernels can read as it is."""
    _shared.panels = {}
    try:
        yield
    finally:
        _shared.panels = None


class _Work:
    """What forward and backward both know of one call, and the tensors that must live as long as it."""

    held: Held | None = None  # panels from earlier calls

    def __init__(self, call: Call) -> None:
        inputs, initial, weights = call.split(call.tensors)
        self.sized = sized = call.sized()
        self.like = weights[0]
        self.engine = sized.engine(self.like.dtype)
        self.is_double = self.engine.is_double
        self.bound = call.bind()
        self.plan, self.lanes, self.steps = self.bound.handle, self.bound.plan.count, len(self.bound.plan.rows)
        self.threads = torch.get_num_threads()
        self.tokens = in_one_piece(call.tokens)
        if self.tokens is not None:
            check_tokens(sized.graph.name, self.tokens, sized.size(sized.graph.inputs[0].size))
        # Where tokens stand for the first input, only the others are here.
        self.ports = sized.graph.inputs[len(sized.graph.inputs) - len(inputs) :]
        self.inputs = [in_rows(tensor) for tensor in inputs]
        self.initial = [in_one_piece(tensor) for tensor in initial]
        self.weights = [readable(weight) if weight.dim() == 2 else in_rows(weight) for weight in weights]
        self.places = sized.weights(self.weights)
        self.rows: dict[Array, Rows] = {
            sized.arrays[Role.INPUT, port.name]: rows_of(tensor)
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
        for port, initial, final in zip(self.sized.graph.states, self.initial, finals, strict=False):
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
            self.rows[self.sized.arrays[Role.D_INPUT, port.name]] = rows_of(gradient)
            kernel.run(self.pack(kernel), self.rows, None, self.steps, self.threads)

    def weight_gradients(self, gradients: Sequence[Tensor | None], befores: dict[str, StateMemory]) -> None:
        """Add to the gradients of the weights, from the rows that backward kept by step and summed by lane."""
        out = self.sized.weights(gradients)
        self.engine.vector_gradients(self.steps, self.lanes, self.rows, out, self.threads)
        if self.tokens is not None:
            for name in token_gradients(self.sized, self.engine, self.tokens, self.rows, gradients, self.threads):
                del out[name]
        self.engine.matrix_gradients(self.plan, self.rows, befores, out, self.threads)


def _allocate(call: Call, training: bool) -> list[Tensor]:
    sized, steps, like = call.sized(), call.rows(), call.like()
    graph = sized.graph
    results = [like.new_empty(steps, sized.size(graph.output_size))]
    results += [like.new_empty(call.batch(), sized.size(port.size)) for port in graph.states]
    if training:
        results += [like.new_empty(steps, sized.size(p.size)) for p in graph.states if p.name != graph.output]
        results.append(like.new_empty(steps, sized.engine(like.dtype).saved.width))
    return results


def _kept(sized: SizedCell, kept: Sequence[Tensor], training: bool) -> tuple[dict[str, Tensor], Tensor | None]:
    """Steps by state, and what else is saved: from [output] or, in training, [output, others …, saved]."""
    output, names = sized.graph.output, [port.name for port in sized.graph.states]
    if not training:
        return {output: kept[0]} if output in names else {}, None
    others = iter(kept[1:-1])
    return {name: kept[0] if name == output else next(others) for name in names}, kept[-1]


def _allocate_gradients(call: Call, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Zeros for what is added to (weights, initial states), bare memory for inputs."""
    gradients: list[Tensor | None] = []
    inputs, _ = call.counts
    for k, (tensor, want) in enumerate(zip(call.tensors, wanted, strict=True)):
        if tensor is None or not want:
            gradients.append(None)
        else:
            allocate = torch.empty_like if k < inputs else torch.zeros_like
            gradients.append(allocate(tensor, memory_format=torch.contiguous_format))
    return gradients


def fake_forward(call: Call, training: bool) -> list[Tensor]:
    """Shapes of `forward`, for torch.compile."""
    return _allocate(call, training)


def fake_backward(call: Call, kept: list[Tensor], d_results: list[Tensor | None], wanted: list[bool]) -> list[Tensor]:
    """Shapes of `backward`, for torch.compile."""
    like = call.like()
    return [like.new_empty(0) if gradient is None else gradient for gradient in _allocate_gradients(call, wanted)]
