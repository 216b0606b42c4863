"""How much compiling constraints may cost: counted in states, so that all machines refuse the same constraints."""

from __future__ import annotations

from elman.errors import ConfigError

_EFFORT = 20  # small operations that are allowed for each state
_STATES_A_SET = 10  # what following a grammar through one more set may cost
_ENTRIES = 64  # of tables, for each state


class WorkBudget:
    """What is left of it.

    Args:
        max_states: of all automata together; work and tables are limited in proportion.
    """

    def __init__(self, max_states: int) -> None:
        self.max_states = max_states
        self._left = self._allowed = max_states * _EFFORT

    @property
    def spent(self) -> int:
        """Operations so far, a state being several."""
        return self._allowed - self._left

    def allow(self, states: int) -> None:
        """Allow for states that are no fault of the constraints: a large vocabulary's own."""
        self._left += states * _EFFORT
        self._allowed += states * _EFFORT

    def states(self, count: int = 1) -> None:
        """Pay for states."""
        self.work(count * _EFFORT)

    def work(self, count: int) -> None:
        """Pay for operations. Raises ConfigError once more is spent than there was."""
        self._left -= count
        if self._left < 0:
            self._refuse(f"what {self.max_states:,} states cost")

    def sets(self, count: int) -> None:
        """Count the sets that a grammar needs for the texts so far; each may cost some work."""
        if count > self.max_states:
            self._refuse(f"{self.max_states:,} sets for these texts")
        self.allow(_STATES_A_SET)

    def table(self, states: int, symbols: int) -> None:
        """Raise ConfigError for a table that would be too large."""
        if states * symbols > self.max_states * _ENTRIES:
            self._refuse(f"{states:,} states for {symbols} tokens")

    def _refuse(self, spent: str) -> None:
        raise ConfigError(
            f"the constraints need more than {spent}: make them simpler, their repetitions smaller, "
            f"or raise max_states (now {self.max_states:,})"
        )
