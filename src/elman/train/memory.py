"""Whether a network can be trained in the memory that there is, told before any of it is taken."""

from __future__ import annotations

from elman.errors import ConfigError
from elman.formats.heads import HeadSpec
from elman.models import Stack, parameter_count
from elman.runtime.room import total_memory

_NUMBER = 4  # bytes of a float32
_COPIES = 4  # of each weight: itself, its gradient, and the optimiser's two moments


def check_memory(input_size: int, stack: Stack, head: HeadSpec, rows: int) -> None:
    """Raise ConfigError where training takes more memory than the machine, or its container, has at all.

    Args:
        input_size: D of the first layer.
        stack: the layers.
        head: what stands on top.
        rows: steps of all streams that gradients flow back through, T · B.
    """
    outputs = rows * stack.hidden_size * stack.num_layers
    needed = _NUMBER * (_COPIES * parameter_count(input_size, stack, head) + outputs)
    there = total_memory()
    if needed > there:
        raise ConfigError(
            f"`hidden` {stack.hidden_size} in `layers` {stack.num_layers}: training takes at least "
            f"{needed / 2**30:,.1f} GiB of memory, this machine has {there / 2**30:,.1f}"
        )
