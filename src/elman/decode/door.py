"""Where steppers come in: one that inherits from nothing gets what it lacks, and what nobody has checked is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elman.arrays import as_array
from elman.checks import shown, whole
from elman.decode.roles import Floats, Integers, Stepper, StepperState
from elman.decode.spelling import Spelling
from elman.errors import ConfigError, DataError, ShapeError

_ABOVE_ONE = 1e-6  # float32 log-probabilities may round to a little above 0
_UNNORMALISED = 1e-3


def admitted(given: Any) -> Stepper:
    """A stepper that gives what it should.

    Args:
        given: a `Stepper`, or anything with size, start and step, and maybe more of what a `Stepper` has.

    Raises:
        ConfigError: it has none, or they are of the wrong kind.
    """
    if isinstance(given, Stepper) and given.is_checked:
        return given
    has_verbs = all(callable(getattr(given, name, None)) for name in ("start", "step"))
    if isinstance(given, type) or not has_verbs or not hasattr(given, "size"):
        raise ConfigError(f"a stepper is needed, got {shown(given)}; CallableStepper makes one of a function")
    return Checked(given)


class Checked(Stepper):
    """A stepper that is looked at whenever it gives something.

    Raises:
        ConfigError: attributes of the wrong kind.
    """

    is_checked = True

    def __init__(self, given: Any) -> None:
        self._given = given
        self.size = whole("the stepper's size", given.size, 1)
        self.spelling, self.begin, self.normalised = (
            getattr(given, name, getattr(Stepper, name)) for name in ("spelling", "begin", "normalised")
        )
        if self.spelling is not None and not isinstance(self.spelling, Spelling):
            raise ConfigError(f"the stepper's spelling must be a Spelling or None, got {shown(self.spelling)}")
        if self.begin is not None:
            self.begin = whole("the stepper's begin", self.begin)

    def start(self, batch: int) -> Any:
        """The given one's."""
        return as_state(self._given.start(batch))

    def step(self, tokens: Integers, state: Any) -> tuple[Floats, Any]:
        """The given one's, if they are log-probabilities and a state (see `checked`)."""
        scores, after = pair(self._given.step(tokens, state), "the stepper")
        return checked(scores, len(tokens), self.size, self.normalised), as_state(after)

    def join(self, states: Sequence[Any]) -> Any | None:
        """The given one's where it has its own way."""
        return self._given.join(states) if isinstance(self._given, Stepper) else super().join(states)


def pair(given: Any, who: str) -> tuple[Any, Any]:
    """What a step gave, if it is two things; ConfigError otherwise."""
    if not isinstance(given, tuple) or len(given) != 2:
        raise ConfigError(f"{who} must give (log-probabilities, state), got {type(given).__name__}")
    return given


def as_state(given: Any) -> StepperState:
    """The value, if it can be a stepper's state; ConfigError otherwise."""
    if not hasattr(given, "select"):
        raise ConfigError(
            f"a stepper's state must have select(parents), got {type(given).__name__}; "
            "CallableStepper takes None and mappings of arrays as well"
        )
    return given  # type: ignore[no-any-return]


def checked(given: ArrayLike, batch: int, size: int, normalised: bool = True) -> Floats:
    """What a stepper gave, if it is log-probabilities [B, V] (or, unless `normalised`, logits).

    Raises:
        ShapeError, DataError: it is not.
    """
    values = as_array(given)
    if values is None or values.dtype.kind not in "fiub":
        raise DataError(f"the stepper must give numbers, got {shown(given) if values is None else values.dtype}")
    if values.shape != (batch, size):
        raise ShapeError(f"the stepper must give log-probabilities [{batch}, {size}], got {list(values.shape)}")
    values = values.astype(np.float64)
    if np.isnan(values).any() or (values == np.inf).any():
        row, token = np.argwhere(np.isnan(values) | (values == np.inf))[0]
        raise DataError(f"the stepper gave {values[row, token]} for token {token} of sequence {row}: not finite")
    best = values.max(axis=1)
    if (best == -np.inf).any():
        raise DataError(f"the stepper gave -inf for every token of sequence {int(best.argmin())}: nothing can come")
    if normalised:
        total = np.exp(np.minimum(values, 1.0)).sum(axis=1)
        if (best > _ABOVE_ONE).any() or (np.abs(total - 1) > _UNNORMALISED).any():
            row = int(np.abs(total - 1).argmax())
            raise DataError(
                f"the stepper's probabilities of sequence {row} sum to {np.exp(values[row]).sum():.4g}, expected 1; "
                "if it gives logits, say normalise=True"
            )
        np.minimum(values, 0.0, out=values)  # or else a longer sequence could score higher
    return values
