"""What stands on the last layer: one linear layer for every reader of a model, on the kernels.

A row's bits depend on no other row and not on the number of threads, as those of a BLAS do, so that whoever asks sees
the same logits: a stream of any batch, a stepper, a score, an archive. The torch layer of `elman.nn` makes the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.emit import Array as Row
from elman.formats.model_file import ModelFile
from elman.kernels import Packed, Precision, Rows, Weight, linear_for
from elman.runtime.team import Team

Array = NDArray[Any]


class Head:
    """Outputs y = W x + b, [B, V]; with the kind "softmax" they are logits.

    Args:
        kind: how the outputs are read.
        weight: [V, H].
        bias: [V].
    """

    def __init__(self, kind: str, weight: Array, bias: Array) -> None:
        self.kind, self.size, self.dtype = kind, len(weight), weight.dtype
        self.operations = 2.0 * weight.size  # of a row
        self._kept = weight, bias  # the bias is only pointed at
        self._linear = linear_for(weight.shape[1], self.size, True, Precision.of(self.dtype == np.float64))
        row, column = (stride // weight.itemsize for stride in weight.strides)
        place = Weight(weight.ctypes.data, row, column)
        self._packed: Packed = self._linear.pack(place, bias.ctypes.data, Team().of(self.operations))

    def stepper(self, inputs: Sequence[Rows], batch: int, team: Team) -> HeadStepper:
        """Memory for the outputs of `batch` rows, which lie in one of the places `inputs`."""
        return HeadStepper(self, inputs, batch, team.of(self.operations * batch))

    def run(self, rows: Mapping[Row, Rows], count: int, threads: int) -> None:
        """Write the outputs of `count` rows."""
        self._linear.run(self._packed, rows, count, threads)

    def between(self, x: Rows, outputs: Rows) -> Mapping[Row, Rows]:
        """What `run` reads and writes."""
        return self._linear.between(x, outputs)


class HeadStepper:
    """Memory for the outputs of rows side by side."""

    def __init__(self, head: Head, inputs: Sequence[Rows], batch: int, threads: int) -> None:
        self._head, self._batch, self._threads = head, batch, threads
        self._outputs = np.zeros((batch, head.size), head.dtype)
        place = Rows(self._outputs.ctypes.data, head.size)
        self._rows = [head.between(x, place) for x in inputs]

    def step(self, turn: int) -> Array:
        """The outputs [B, V] of the rows in the place of this number: memory that later steps write to."""
        self._head.run(self._rows[turn], self._batch, self._threads)
        return self._outputs


def head_of(file: ModelFile) -> Head | None:
    """The head that a model file holds; None where it holds none."""
    if file.head is None:
        return None
    return Head(file.head.kind, file.tensors["head.weight"], file.tensors["head.bias"])
