"""How many threads a step is worth."""

from __future__ import annotations

from elman.checks import whole
from elman.kernels import default_threads

# A step of fewer operations runs on one thread. These take about a tenth of a millisecond where a batch shares the
# weights, and a whole one where every weight comes from memory for a single sequence. Between two steps other work is
# done, so that a team would have to be woken for each; beside other programs it waits until all its cores are free.
WORTH_A_TEAM = 8e6


class Team:
    """The threads that steps may take.

    Args:
        threads: how many, or 0: by the work, and at most ELMAN_NUM_THREADS or the cores there are.

    Raises:
        ConfigError, KernelError: `threads`, or the variable, is no such number.
    """

    def __init__(self, threads: int = 0) -> None:
        self._asked = whole("threads", threads, 0, 1 << 16)
        self._most = self._asked or default_threads()  # looked up once: it asks the system

    def of(self, operations: float) -> int:
        """Threads for a step of so many operations."""
        return self._most if self._asked or operations >= WORTH_A_TEAM else 1
