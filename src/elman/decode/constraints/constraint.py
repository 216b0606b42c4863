"""What every constraint has, and the alphabet that constraints on texts are written over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from elman.decode.constraints import nfa
from elman.decode.constraints.automaton import Automaton
from elman.decode.constraints.budget import WorkBudget
from elman.decode.constraints.pattern import Pattern
from elman.decode.roles import Integers
from elman.decode.spelling import Spelling
from elman.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Alphabet:
    """The characters, or bytes, that some token writes.

    Attributes:
        spelling: of the tokens.
        budget: of states.
        units: [A], sorted; symbol k is unit units[k].
    """

    spelling: Spelling
    budget: WorkBudget
    units: Integers = field(init=False)
    _symbol: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        units = sorted({unit for units in self.spelling.units for unit in units})
        object.__setattr__(self, "units", np.array(units, np.int64))
        object.__setattr__(self, "_symbol", {unit: symbol for symbol, unit in enumerate(units)})

    @property
    def size(self) -> int:
        """A."""
        return len(self.units)

    def symbols(self, text: str) -> list[int] | None:
        """The symbols of a text; None if no tokens write it."""
        symbols = [self._symbol.get(unit, -1) for unit in self.spelling.units_of(text)]
        return None if -1 in symbols else symbols

    def of_tokens(self) -> list[list[int]]:
        """The symbols of each token."""
        return [[self._symbol[unit] for unit in units] for units in self.spelling.units]

    def automaton(self, pattern: Pattern) -> Automaton:
        """The automaton of a pattern without names."""
        return nfa.automaton(pattern, self.units, self.spelling.is_bytes, self.budget)


class Constraint:
    """What a text must be, as a value. It speaks of the text's characters, unless it says that it does of tokens."""

    @property
    def is_over_tokens(self) -> bool:
        """Whether `over_tokens` says what is asked, rather than `over_text`."""
        return False

    def over_text(self, alphabet: Alphabet, /) -> Automaton:
        """The texts that meet it, over the alphabet's symbols."""
        raise ConfigError(f"{type(self).__name__} does not say what texts meet it: it lacks over_text")

    def over_tokens(self, size: int, /) -> Automaton:
        """The sequences of tokens 0 … size - 1 that meet it."""
        raise ConfigError(f"{type(self).__name__} does not say what tokens meet it: it lacks over_tokens")
