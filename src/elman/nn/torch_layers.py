"""`LSTM`, `GRU` and `RNN`: torch's own layers, with a faster forward on CPUs.

They are subclasses that override `forward` and take two more options, `checkpoint` and `precision`; so parameters,
initialisation, hooks and pickling are torch's, and torch's forward is their reference path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._C._dynamo.eval_frame import get_eval_frame_callback
from torch.fx import Proxy
from torch.nn.utils.rnn import PackedSequence

from elman.errors import DtypeError, ShapeError
from elman.nn._standin import RecurrentStandIn, traced
from elman.nn._torch_weights import torch_direction
from elman.nn.batch import TOKENS, Batch, Form, check_types, read_batch, values_of
from elman.nn.paths.checkpoint import read_checkpoint
from elman.nn.paths.choice import (
    AUTOCAST,
    Path,
    autocast_path,
    check_precision,
    choose_path,
    differentiating,
    left_open,
)
from elman.nn.resets import with_resets
from elman.nn.stack import Direction, run_stack
from elman.sequences.ragged import Ragged


class _Fused(RecurrentStandIn, torch.nn.RNNBase):
    """What the three layers share."""

    checkpoint: int | str | None = None  # of layers that `accelerate` changed, too
    precision: str | None = None
    _expects: ClassVar[str] = "hx must be a tensor"

    def __init__(
        self, *arguments: Any, checkpoint: int | str | None = None, precision: str | None = None, **options: Any
    ) -> None:
        read_checkpoint(checkpoint)
        check_precision(precision)
        super().__init__(*arguments, **options)
        self.checkpoint, self.precision = checkpoint, precision

    def _direction(self, input_size: int, tensors: Sequence[Tensor]) -> Direction:
        """The cell of one direction, and its weights from torch's."""
        return torch_direction(self.mode, (input_size, self.hidden_size, self.proj_size), self.bias, tensors)

    def extra_repr(self) -> str:
        """Torch's, and `checkpoint` and `precision` where they are set."""
        own = {"checkpoint": self.checkpoint, "precision": self.precision}
        return super().extra_repr() + "".join(f", {name}={value}" for name, value in own.items() if value is not None)

    def path(self, input: Form, hx: Any = None) -> Path:
        """Which path a call with this input takes, and why."""
        return self._path(input, values_of(type(self).__name__, input), self._states(hx), self._tensors())

    def forward(self, input: Any, hx: Any = None, *, resets: Any = None) -> Any:
        """As torch's layer of the same name; the input may be integer tokens or a `Ragged` besides.

        `resets` cuts sequences before the steps that it marks, see `elman.nn.Recurrent`.
        """
        if isinstance(input, Proxy):
            return traced(self, input, hx, resets=resets)
        if torch.compiler.is_dynamo_compiling() or get_eval_frame_callback() is None:
            return self._run(input, hx, resets)
        # Dynamo has refused to trace a torch.nn.RNNBase, and would compile what this calls function by function.
        return torch._dynamo.disable(self._run)(input, hx, resets)  # type: ignore[no-untyped-call]

    def _run(self, input: Form, hx: Any, resets: Any) -> Any:
        name = type(self).__name__
        values, states, tensors = values_of(name, input), self._states(hx), self._tensors()
        # What torch's layers do not have.
        ours = isinstance(input, Ragged) or values.dtype in TOKENS or resets is not None
        path = self._path(input, values, states, tensors, opaque=self._is_open(input, values, ours))
        if not ours and not (self._fits(input, states) and (path.name == "fused" or differentiating())):
            return super().forward(input, hx)
        batch = with_resets(name, read_batch(name, (input,), (self.input_size,), self.batch_first), resets)
        if path.name == "reference":
            check_types(name, [*batch.values, *states], tensors[0][0])
        output, finals = run_stack(
            batch,
            self._layers(tensors),
            self._initial(batch, states),
            dropout=self.dropout if self.training else 0.0,
            path=path,
            checkpoint=read_checkpoint(self.checkpoint),
        )
        if batch.unbatched:
            finals = [state.squeeze(1) for state in finals]
        return batch.restore(output), finals[0] if len(finals) == 1 else tuple(finals)

    def _is_open(self, input: Form, values: Tensor, ours: bool) -> bool:
        """Whether an export is for any number of what torch's layer would write down step by step."""
        if ours or not torch.compiler.is_exporting():
            return ours and left_open(*values.shape)
        steps = 1 if self.batch_first and values.dim() == 3 else 0
        return isinstance(input, Tensor) and not torch.compiler.is_dynamo_compiling() and left_open(values.shape[steps])

    def _path(
        self, input: Form, values: Tensor, states: Sequence[Tensor], tensors: Sequence[Sequence[Tensor]], *,
        opaque: bool = False,
    ) -> Path:  # fmt: skip
        floats = [] if values.dtype in TOKENS else [values]
        tensors = [states, *tensors]
        path = choose_path([*floats, *(t for group in tensors for t in group)], self.precision, opaque=opaque)
        if path is AUTOCAST:
            dtype = floats[0].dtype if floats else torch.float32
            return autocast_path(*self._autocast_types(dtype, isinstance(input, (PackedSequence, Ragged))))
        return path

    def _autocast_types(self, dtype: torch.dtype, packed: bool) -> tuple[torch.dtype, ...]:
        """What torch's layer gives under autocast to bfloat16, of the output and each state, of input of this type."""
        return dtype, dtype

    def _states(self, hx: Any) -> Sequence[Tensor]:
        """The states of a call; none where the cell's own start is meant. Raises DtypeError for anything else."""
        if hx is None:
            return ()
        if not isinstance(hx, Tensor):
            raise DtypeError(f"{type(self).__name__}: {self._expects}, got {_kinds(hx)}")
        return (hx,)

    def _tensors(self) -> list[list[Tensor]]:
        """Torch's parameters of each direction, as they stand: a parametrisation or functional call may put others."""
        own: Any = self._parameters
        return [[own[name] if name in own else getattr(self, name) for name in names] for names in self._all_weights]

    def _layers(self, tensors: Sequence[Sequence[Tensor]]) -> list[list[Direction]]:
        directions = 2 if self.bidirectional else 1
        sizes = [self.input_size] + [(self.proj_size or self.hidden_size) * directions] * (self.num_layers - 1)
        found = iter(tensors)
        return [[self._direction(size, next(found)) for _ in range(directions)] for size in sizes]

    def _shapes(self, batch: int) -> list[tuple[int, int, int]]:
        """The shape of each state."""
        stack = self.num_layers * (2 if self.bidirectional else 1)
        return [(stack, batch, self.proj_size or self.hidden_size)]

    def _fits(self, input: Any, states: Sequence[Tensor]) -> bool:
        """Whether torch's layer takes these; where it does not, its forward says so in its own words."""
        if isinstance(input, PackedSequence):
            return self._fits_packed(input, states)
        batch_first = self.batch_first and input.dim() == 3
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size or input.shape[batch_first] == 0:
            return False
        if not states:
            return True
        shapes: list[tuple[int, ...]] = [*self._shapes(1 if input.dim() == 2 else input.shape[not batch_first])]
        if input.dim() == 2:
            shapes = [(stack, size) for stack, _, size in shapes]
        return [tuple(state.shape) for state in states] == shapes

    def _fits_packed(self, input: PackedSequence, states: Sequence[Tensor]) -> bool:
        """Torch's checks, in its words; its LSTM leaves them out for packed sequences, and reads past its memory."""
        self.check_input(input.data, input.batch_sizes)
        if states:
            hx: Any = states[0] if len(states) == 1 else tuple(states)
            self.check_forward_args(input.data, hx, input.batch_sizes)
        return True

    def _initial(self, batch: Batch, states: Sequence[Tensor]) -> list[Tensor | None]:
        """The states [layers * directions, B, size], checked."""
        shapes = self._shapes(batch.plan.batch)
        if not states:
            return [None] * len(shapes)
        if batch.unbatched and all(state.dim() == 2 for state in states):
            states = [state.unsqueeze(1) for state in states]
        for state, shape in zip(states, shapes, strict=True):
            if tuple(state.shape) != shape:
                raise ShapeError(f"{type(self).__name__}: a state must be {list(shape)}, got {list(state.shape)}")
        return list(states)


def _kinds(hx: Any) -> str:
    """What came where states were expected."""
    if isinstance(hx, (tuple, list)):
        return f"a {type(hx).__name__} of {', '.join(type(item).__name__ for item in hx) or 'nothing'}"
    return type(hx).__name__


class LSTM(_Fused, torch.nn.LSTM):
    """`torch.nn.LSTM` on the fused kernels: same arguments, same weights, same results to rounding.

    Takes besides all that torch's takes: integer tokens [T, B] (one-hot of `input_size`) and `Ragged` batches; and the
    options `checkpoint` and `precision`, as `elman.nn.Recurrent` has them.
    """

    _expects = "hx must be a pair of tensors (h_0, c_0)"

    def _states(self, hx: Any) -> Sequence[Tensor]:
        if hx is None:
            return ()
        if not isinstance(hx, (tuple, list)) or len(hx) != 2 or not all(isinstance(state, Tensor) for state in hx):
            raise DtypeError(f"{type(self).__name__}: {self._expects}, got {_kinds(hx)}")
        return hx

    def _shapes(self, batch: int) -> list[tuple[int, int, int]]:
        shapes = super()._shapes(batch)
        return [*shapes, (*shapes[0][:2], self.hidden_size)]

    def _autocast_types(self, dtype: torch.dtype, packed: bool) -> tuple[torch.dtype, ...]:
        if self.proj_size:
            return torch.bfloat16, torch.bfloat16, dtype
        return (dtype,) * 3 if packed else (torch.bfloat16,) * 3  # dense, torch's are oneDNN's


class GRU(_Fused, torch.nn.GRU):
    """`torch.nn.GRU` on the fused kernels: same arguments, same weights, same results to rounding.

    Takes besides all that torch's takes: integer tokens [T, B] (one-hot of `input_size`) and `Ragged` batches; and the
    options `checkpoint` and `precision`, as `elman.nn.Recurrent` has them.
    """


class RNN(_Fused, torch.nn.RNN):
    """`torch.nn.RNN` on the fused kernels: same arguments, same weights, same results to rounding.

    Takes besides all that torch's takes: integer tokens [T, B] (one-hot of `input_size`) and `Ragged` batches; and the
    options `checkpoint` and `precision`, as `elman.nn.Recurrent` has them.
    """

    def _autocast_types(self, dtype: torch.dtype, packed: bool) -> tuple[torch.dtype, ...]:
        return torch.bfloat16, torch.bfloat16
