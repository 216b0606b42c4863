"""What finished hypotheses are compared by. Each ranker also says what a hypothesis may still become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.decode.roles import Floats, Hypotheses
from elman.errors import ConfigError


@dataclass(frozen=True)
class Rank:
    """log p / ((offset + length) / (offset + 1))^alpha + bonus · insertions + coverage · Σ log min(attention, 1).

    The default is the log-probability itself.
    Reference: Wu et al. 2016, arXiv:1609.08144, equation 14.

    Attributes:
        alpha: of the length normalisation; 0 is off.
        offset: 5 as in the paper; 0 divides by length^alpha.
        bonus: for every token, or for every one of `bonus_tokens` (a space: a bonus for words).
        bonus_tokens: those that count; all if empty.
        coverage: weight of the coverage, 0 or above; 0 is off.
        attention: state → [n, S], the attention that each of S source positions has had in all.

    Raises:
        ConfigError: a coverage without attention, or below 0.
    """

    alpha: float = 0.0
    bonus: float = 0.0
    bonus_tokens: tuple[int, ...] = ()
    coverage: float = 0.0
    attention: Callable[[Any], Floats] | None = None
    offset: float = 5.0

    def __post_init__(self) -> None:
        for name in ("alpha", "bonus", "coverage"):
            if not np.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} must be a finite number, got {getattr(self, name)}")
        if not 0 <= self.offset < np.inf:
            raise ConfigError(f"offset must be 0 or above and finite, got {self.offset}")
        if self.coverage < 0:
            raise ConfigError(f"coverage must be 0 or above, got {self.coverage}")
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
            seen = np.minimum(np.asarray(self.attention(hypotheses.state), np.float64), 1.0)
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
class UserRank:
    """A user's function of a hypothesis.

    Attributes:
        function: (sum of scores, tokens [length]) → score.
        upper: (sum of scores, tokens [length], most tokens) → what no continuation exceeds; without it a beam cannot
            prove that it may end early, and an exact search cannot prune.
    """

    function: Callable[[float, Any], float]
    upper: Callable[[float, Any, int], float] | None = None

    needs_state = False

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
        scores = np.array(values, np.float64)
        if np.isnan(scores).any():
            raise ConfigError("the ranker's function gave a score that is no number (NaN)")
        return scores
