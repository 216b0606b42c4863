"""What finished hypotheses are compared by. Each ranker also says what a hypothesis may still become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.arrays import as_array
from elman.checks import a_function, finite, shown
from elman.decode.roles import Floats, Hypotheses, Ranker, is_token
from elman.errors import ConfigError, ShapeError

_MOST = 1e6  # beyond it a weight leaves nothing of log p, and a long text overflows


@dataclass(frozen=True)
class Rank(Ranker):
    """log p / ((offset + length) / (offset + 1))^alpha + bonus · insertions + coverage · Σ log min(attention, 1).

    The default is the log-probability itself.
    Reference: Wu et al. 2016, arXiv:1609.08144, equation 14.

    Attributes:
        alpha: of the length normalisation, -10 … 10; 0 is off.
        offset: 5 as in the paper; 0 divides by length^alpha.
        bonus: for every token, or for every one of `bonus_tokens` (a space: a bonus for words).
        bonus_tokens: those that count; all if empty.
        coverage: weight of the coverage, 0 or above; 0 is off.
        attention: state → [n, S], the attention that each of S source positions has had in all.

    Raises:
        ConfigError: a number out of range (alpha: -10 … 10), a coverage without attention.
    """

    alpha: float = 0.0
    bonus: float = 0.0
    bonus_tokens: tuple[int, ...] = ()
    coverage: float = 0.0
    attention: Callable[[Any], Floats] | None = None
    offset: float = 5.0

    def __post_init__(self) -> None:
        limits = {"alpha": (-10.0, 10.0), "bonus": (-_MOST, _MOST), "coverage": (0.0, _MOST), "offset": (0.0, _MOST)}
        for name, (least, most) in limits.items():
            finite(name, getattr(self, name), least, most)
        if not isinstance(self.bonus_tokens, tuple) or not all(map(is_token, self.bonus_tokens)):
            raise ConfigError(f"bonus_tokens must be a tuple of tokens, 0 or above, got {shown(self.bonus_tokens)}")
        if self.attention is not None:
            a_function("attention", self.attention, "a function state → [n, S], or None")
        if self.coverage and self.attention is None:
            raise ConfigError("coverage is counted from attention: give attention=, a function of the stepper's state")

    @property
    def needs_state(self) -> bool:
        """Whether a score looks at the stepper's state."""
        return self.coverage > 0

    def score(self, hypotheses: Hypotheses) -> Floats:
        """[n]."""
        score = self._normalised(hypotheses.total, hypotheses.length) + self.bonus * self._insertions(hypotheses)
        if self.coverage and self.attention is not None:
            seen = np.minimum(_numbers(self.attention(hypotheses.state), "attention"), 1.0)
            if seen.ndim != 2 or len(seen) != len(score):
                raise ShapeError(f"attention must give [{len(score)}, S], got {list(seen.shape)}")
            with np.errstate(divide="ignore"):
                score = score + self.coverage * np.log(seen).sum(axis=1)
        return np.asarray(score, np.float64)

    def bound(self, hypotheses: Hypotheses, limit: int) -> Floats:
        """No token adds to log p, and coverage is never above 0; the length is what may help, either way.

        A hypothesis that nothing can follow may also end as it is.
        """
        nearest, farthest = hypotheses.length, limit
        best = np.maximum(self._normalised(hypotheses.total, nearest), self._normalised(hypotheses.total, farthest))
        most = self._insertions(hypotheses) + (limit - hypotheses.length if self.bonus > 0 else 0)
        return np.asarray(best + self.bonus * most, np.float64)

    def _normalised(self, total: Floats, length: int) -> Floats:
        return total / ((self.offset + length) / (self.offset + 1.0)) ** self.alpha if self.alpha and length else total

    def _insertions(self, hypotheses: Hypotheses) -> Floats:
        if self.bonus_tokens and self.bonus:
            counted: Floats = np.isin(hypotheses.tokens, self.bonus_tokens).sum(axis=1).astype(np.float64)
            return counted
        return np.full(len(hypotheses.total), float(hypotheses.length))


@dataclass(frozen=True)
class UserRank(Ranker):
    """A user's function of a hypothesis.

    Attributes:
        function: (sum of scores, tokens [length]) → score.
        upper: (sum of scores, tokens [length], most tokens) → what no continuation exceeds; without it a beam cannot
            prove that it may end early, and an exact search cannot prune.
    """

    function: Callable[[float, Any], float]
    upper: Callable[[float, Any, int], float] | None = None

    def __post_init__(self) -> None:
        a_function("function", self.function, "a function (sum of scores, tokens) → score")
        if self.upper is not None:
            a_function("upper", self.upper, "a function (sum of scores, tokens, most tokens) → bound, or None")

    @property
    def needs_state(self) -> bool:
        """Never."""
        return False

    @property
    def has_bound(self) -> bool:
        """Whether `upper` is there."""
        return self.upper is not None

    def score(self, hypotheses: Hypotheses) -> Floats:
        """[n]."""
        pairs = zip(hypotheses.total, hypotheses.tokens, strict=True)
        return self._checked([self.function(float(total), tokens) for total, tokens in pairs])

    def bound(self, hypotheses: Hypotheses, limit: int) -> Floats | None:
        """[n], or None without `upper`."""
        if self.upper is None:
            return None
        pairs = zip(hypotheses.total, hypotheses.tokens, strict=True)
        return self._checked([self.upper(float(total), tokens, limit) for total, tokens in pairs])

    def _checked(self, values: list[float]) -> Floats:
        scores = _numbers(values, "the ranker's function")
        if scores.shape != (len(values),):
            raise ConfigError("the ranker's function must give a number for each hypothesis")
        if np.isnan(scores).any():
            raise ConfigError("the ranker's function gave a score that is no number (NaN)")
        return scores


def _numbers(values: Any, who: str) -> Floats:
    numbers = as_array(values, np.float64)
    if numbers is None:
        raise ConfigError(f"{who} must give numbers, got {shown(values)}")
    return numbers
