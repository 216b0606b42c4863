"""`Recurrent`: a layer, or a stack of layers, of any cell."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman import cells
from elman.cells.layout import TensorSlot, layout
from elman.cells.sizes import check_sizes, sizes_of
from elman.equations import Cell, Graph
from elman.errors import ConfigError, DtypeError, ShapeError
from elman.nn._fingerprint import EXTRA_STATE, check_fingerprint, fingerprint
from elman.nn._standin import OwnLayer, is_traced, traced
from elman.nn.batch import TOKENS, Batch, Form, check_types, read_batch
from elman.nn.paths.checkpoint import read_checkpoint
from elman.nn.paths.choice import Path, check_precision, choose_path, is_exported, left_open
from elman.nn.resets import with_resets
from elman.nn.sized import SizedCell
from elman.nn.stack import Direction, run_stack
from elman.state import State


class Recurrent(OwnLayer):
    """Recurrent layers of a cell, built in or your own, on the fused kernels.

    Args:
        cell: a `Cell`, or the name of a built-in one.
        input_size: D, features of a step; with integer input, tokens are 0 … D - 1. Where the cell has no D it is the
            size of its first input.
        hidden_size: H, or the size of the output where the cell has no H.
        num_layers: layers on top of one another.
        sizes: sizes of the cell's other letters ({"P": 64}).
        batch_first: dense input is [B, T, D] rather than [T, B, D].
        dropout: share of the values between layers that training zeroes.
        bidirectional: each layer also reads the sequences from their ends, and the outputs are joined.
        checkpoint: in training, keep only states, one every so many steps, and make the rest again in backward; "sqrt"
            is about √T steps. What is kept beside inputs and outputs grows as √T then; gradients are exact, and a
            training step costs about a third more. (The reference path keeps everything.)
        precision: "bfloat16" rounds the factors of products to it; sums, states and all else stay float32, as do the
            tensors outside. (Under torch.autocast, and with parameters of that type, it is so without being asked.)
        device, dtype: of the parameters.

    Parameters are named by group and layer, `W_l0`, `U_l0`, … (`_reverse` for the second direction); the members of a
    group are stacked along the first axis in the order of the equations ([4*H, D]). They are drawn from ±1/√H.

    Raises:
        ConfigError: a size is not positive, is missing, names a letter that the cell does not have, or does not go with
            another one; the cell has no parameters, or its layers cannot stand on one another; checkpoint is neither
            None nor "sqrt" nor a positive number; precision is neither None nor "bfloat16".
    """

    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        sizes: Mapping[str, int] | None = None,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        checkpoint: int | str | None = None,
        precision: str | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(cell, (str, Cell)):
            raise ConfigError(f"a Cell or the name of one expected, got {type(cell).__name__}; is @cell missing?")
        self.cell = cells.get(cell) if isinstance(cell, str) else cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.checkpoint, self.precision = checkpoint, precision
        read_checkpoint(checkpoint)
        check_precision(precision)
        self.sizes = sizes_of(self.graph, input_size, hidden_size, sizes)
        _check_stack(num_layers, dropout)
        if not self.graph.parameters:
            raise ConfigError(f"{self.cell.name}: has no parameters; a layer needs one at least, which gives its dtype")
        for layer in range(1, num_layers):
            self._check_on(layer)
        self._sized = tuple(SizedCell.of(self.graph, self.layer_sizes(layer)) for layer in range(num_layers))
        self._names = tuple(self._register(layer, device, dtype) for layer in range(num_layers))
        self._starts = {port.name: port.start for port in self.graph.states}
        self.reset_parameters()

    def _check_on(self, layer: int) -> None:
        """Refuse a layer that cannot stand on the one below it."""
        below, own, name = self.layer_sizes(layer - 1), self.layer_sizes(layer), self.cell.name
        check_sizes(self.graph, own)
        first, *others = self.graph.inputs
        given, taken = below.get(self.graph.output_size, 1) * self.directions, own.get(first.size, 1)
        if taken != given:
            got = f"layer {layer} takes {taken} features, the one below puts out {given}"
            raise ConfigError(f"{name}: {got}; do not stack it")
        for port in (*others, *self.graph.states):
            if own.get(port.size, 1) != below.get(port.size, 1):
                got = f"{port.name} has the size {port.size} of the input, which layer {layer} has not"
                raise ConfigError(f"{name}: {got}; do not stack it")

    def _register(self, layer: int, device: Any, dtype: torch.dtype | None) -> tuple[tuple[str, ...], ...]:
        """Make the parameters of one layer, and give their names by direction."""
        slots = layout(self.graph, self.layer_sizes(layer))
        names = tuple(tuple(_name(slot, layer, direction) for slot in slots) for direction in range(self.directions))
        for direction in names:
            for name, slot in zip(direction, slots, strict=True):
                tensor = torch.empty(slot.shape, device=device, dtype=dtype)
                self.register_parameter(name, torch.nn.Parameter(tensor))
        return names

    @property
    def graph(self) -> Graph:
        """The cell's equations."""
        return self.cell.graph

    @property
    def directions(self) -> int:
        """1, or 2 where the layers are bidirectional."""
        return 2 if self.bidirectional else 1

    def layer_sizes(self, layer: int) -> dict[str, int]:
        """The sizes of one layer: from the second on, D is what the layer below puts out."""
        if layer == 0:
            return self.sizes
        return {**self.sizes, "D": self.sizes.get(self.graph.output_size, 1) * self.directions}

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from ±1/√H."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def _layers(self) -> list[list[Direction]]:
        """The weights of each direction of each layer (a parametrisation or a functional call may have put others)."""
        own: Any = self._parameters
        return [
            [(sized, [own[name] if name in own else getattr(self, name) for name in direction]) for direction in names]
            for sized, names in zip(self._sized, self._names, strict=True)
        ]

    def forward(
        self, input: Form | Sequence[Form], state: Mapping[str, Tensor] | None = None, *, resets: Any = None
    ) -> tuple[Any, State]:
        """Run over a batch of sequences.

        Args:
            input: float [T, B, D] ([B, T, D] with batch_first), [T, D] for one sequence, integer tokens [T, B] or [T],
                a PackedSequence, or a Ragged. A cell of several inputs takes a tuple of these, scalars with or without
                a last axis.
            state: what a previous call returned, or tensors [num_layers * directions, B, size] by name; by default the
                cell's own start.
            resets: bool in the form of the input ([T, B] …): before a step that is marked, the sequence is cut: states
                become the cell's own start, and no gradient goes through. In reverse, too, nothing passes between that
                step and the one before it. Of packed and ragged input, also [N] by row.

        Returns:
            the output, in the input's form with the output's size last, and the state after the last step.

        Raises:
            ShapeError, DtypeError: input, state or resets do not fit the layer.
        """
        if is_traced(input):
            return traced(self, input, state, resets=resets)  # type: ignore[no-any-return]
        batch, initial, layers = self._read(input, state)
        batch = with_resets(self.cell.name, batch, resets)
        output, finals = run_stack(
            batch,
            layers,
            initial,
            dropout=self.dropout if self.training else 0.0,
            path=self._path(batch, initial, layers),
            checkpoint=read_checkpoint(self.checkpoint),
        )
        after = dict(zip(self._starts, finals, strict=True))
        # An exported program can only put out what torch knows.
        state = after if is_exported() else State(after, axis=1, start=self._starts)
        return batch.restore(output), state  # type: ignore[return-value]

    def path(self, input: Form | Sequence[Form], state: Mapping[str, Tensor] | None = None) -> Path:
        """Which path a call with this input takes, and why. Raises as the call would."""
        return self._path(*self._read(input, state))

    def _path(self, batch: Batch, initial: Sequence[Tensor | None], layers: Sequence[Sequence[Direction]]) -> Path:
        floats = [values for values in batch.values if values.dtype not in TOKENS]
        weights = [tensor for directions in layers for _, tensors in directions for tensor in tensors]
        opaque = left_open(batch.plan.steps, batch.plan.batch)
        return choose_path([*floats, *initial, *weights], self.precision, opaque=opaque)

    def _read(
        self, input: Form | Sequence[Form], state: Mapping[str, Tensor] | None
    ) -> tuple[Batch, list[Tensor | None], list[list[Direction]]]:
        """What a call works on: the batch, the initial states and the weights, checked."""
        several = isinstance(input, (tuple, list)) and not isinstance(input, PackedSequence)
        forms, ports = tuple(input) if several else (input,), self.graph.inputs
        if len(forms) != len(ports):
            raise ShapeError(f"{self.cell.name}: takes the inputs {', '.join(p.name for p in ports)}, got {len(forms)}")
        batch = read_batch(self.cell.name, forms, [self.sizes.get(port.size, 1) for port in ports], self.batch_first)
        initial, layers = self._initial(state, batch.plan.batch), self._layers()
        check_types(self.cell.name, [*batch.values, *initial], layers[0][0][1][0])
        return batch, initial, layers

    def _initial(self, state: Mapping[str, Tensor] | None, batch: int) -> list[Tensor | None]:
        """The states by order of the cell, checked."""
        name, ports = self.cell.name, self.graph.states
        if state is None:
            return [None] * len(ports)
        names = ", ".join(port.name for port in ports)
        if not isinstance(state, Mapping):
            got = type(state).__name__
            raise DtypeError(f"{name}: state must be a mapping of tensors by name ({names}), got {got}")
        if set(state) != {port.name for port in ports}:
            raise ShapeError(f"{name}: state must name {names}, got {', '.join(state) or 'nothing'}")
        for port in ports:
            tensor = state[port.name]
            if not isinstance(tensor, Tensor):
                raise DtypeError(f"{name}: state {port.name} must be a tensor, got {type(tensor).__name__}")
            expected = (self.num_layers * self.directions, batch, self.sizes.get(port.size, 1))
            if tuple(tensor.shape) != expected:
                raise ShapeError(f"{name}: state {port.name} must be {list(expected)}, got {list(tensor.shape)}")
        return [state[port.name] for port in ports]

    def get_extra_state(self) -> Tensor:
        """What must be equal where the weights are loaded again: the hash of the equations, see `fingerprint`."""
        return fingerprint(self.graph)

    def set_extra_state(self, state: Any) -> None:
        """Refuse weights of other equations. Raises EquationError."""
        check_fingerprint(state, self.graph)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As torch's; weights without a hash, as others write them, are taken with a warning."""
        key = prefix + EXTRA_STATE
        if key not in state_dict and any(prefix + name in state_dict for name in self._parameters):
            warnings.warn(
                f"{self.cell.name}: nothing says to which equations these weights belong ({key} is missing); they are"
                " taken as they are",
                stacklevel=2,
            )
            state_dict[key] = self.get_extra_state()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """The layer in one line."""
        parts = [self.cell.name, str(self.input_size), str(self.hidden_size)]
        parts += [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        options = {
            name: getattr(self, name) for name in ("batch_first", "dropout", "bidirectional", "checkpoint", "precision")
        }
        return ", ".join(parts + [f"{name}={value}" for name, value in options.items() if value])


def _check_stack(num_layers: Any, dropout: Any) -> None:
    whole = isinstance(num_layers, Integral) and not isinstance(num_layers, bool)
    if not whole or num_layers < 1 or not isinstance(dropout, Real) or not 0 <= float(dropout) < 1:
        got = f"got {num_layers!r} and {dropout!r}"
        raise ConfigError(f"num_layers must be at least 1 and dropout in [0, 1), {got}")


def _name(slot: TensorSlot, layer: int, direction: int) -> str:
    return f"{slot.name}_l{layer}" + ("_reverse" if direction else "")
