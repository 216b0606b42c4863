"""Interpolated Witten-Bell n-grams: what counting alone reaches on a text.

    p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h))

h is the context, h' the context without its oldest token, c counts occurrences in the training part and T the different
tokens seen after h; the recursion ends in the uniform distribution. A context never seen leaves the estimate to h'.

Reference: Witten & Bell 1991, "The zero-frequency problem", method C; interpolated as in Chen & Goodman 1998,
"An empirical study of smoothing techniques for language modeling", section 2.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, DataError

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Level:
    """The grams of one length k, as the contexts of length k - 1 and what followed them.

    Attributes:
        codes: [G], rising: number of the context among the grams of length k - 1, times V, plus the token.
        counts: [G], occurrences of each gram.
        totals: occurrences of each context with something after it, [contexts].
        types: different tokens after each context, [contexts].
    """

    codes: Counts
    counts: Counts
    totals: Counts
    types: Counts


@dataclass(frozen=True, eq=False)
class NGram:
    """An interpolated Witten-Bell model of all lengths up to `order`; a shorter model is part of a longer one.

    Attributes:
        order: the longest gram counted; a token is predicted from the order - 1 before it.
        vocabulary_size: V, tokens are 0 ... V - 1.
    """

    order: int
    vocabulary_size: int
    _levels: tuple[_Level, ...]

    @classmethod
    def fit(cls, tokens: ArrayLike, order: int, vocabulary_size: int | None = None) -> NGram:
        """Count the grams of a text; O(N log N) time for each length.

        Args:
            tokens: integers [N], the training part.
            order: length of the longest gram, >= 1.
            vocabulary_size: V, also of tokens that the training part lacks; by default one more than the largest token.

        Raises:
            ConfigError: an order below 1.
            DataError: no tokens, or tokens outside the vocabulary.
        """
        if order < 1:
            raise ConfigError(f"n-gram: order must be >= 1, got {order}")
        array = np.asarray(tokens)
        size = int(array.max(initial=0)) + 1 if vocabulary_size is None else vocabulary_size
        array = _checked(array, size)
        levels = []
        context, contexts = np.zeros(len(array), np.int64), 1
        for _ in range(order):
            # Positions whose past is shorter than the context begin at -1: they are no occurrence of a gram.
            whole = context >= 0
            if not whole.any():  # a text shorter than the order
                break
            codes, gram, counts = np.unique(
                context[whole] * size + array[whole], return_inverse=True, return_counts=True
            )
            totals = np.bincount(codes // size, counts, contexts).astype(np.int64)
            levels.append(_Level(codes, counts, totals, np.bincount(codes // size, minlength=contexts)))
            numbers = np.full(len(array), -1)
            numbers[whole] = gram
            context, contexts = _earlier(numbers), len(codes)
        return cls(order, size, tuple(levels))

    def probabilities(self, tokens: ArrayLike, order: int | None = None) -> NDArray[np.float64]:
        """Probability of each token given those before it, [N].

        Args:
            tokens: integers [N]; the first ones are predicted from what little is before them.
            order: use grams up to this length only; all by default.

        Raises:
            ConfigError: an order that was not counted.
            DataError: no tokens, or tokens outside the vocabulary.
        """
        order = self.order if order is None else order
        if not 1 <= order <= self.order:
            raise ConfigError(f"n-gram: orders 1 ... {self.order} were counted, got {order}")
        array = _checked(np.asarray(tokens), self.vocabulary_size)
        context = np.zeros(len(array), np.int64)
        estimate = np.full(len(array), 1 / self.vocabulary_size)
        for level in self._levels[:order]:
            code = np.where(context >= 0, context * self.vocabulary_size + array, -1)
            place = np.minimum(np.searchsorted(level.codes, code), len(level.codes) - 1)
            found = level.codes[place] == code
            types = np.where(context >= 0, level.types[context], 0)
            seen = np.where(found, level.counts[place], 0)
            weight = level.totals[context] + types
            np.divide(seen + types * estimate, weight, out=estimate, where=types > 0)
            context = _earlier(np.where(found, place, -1))
        return estimate

    def bits_per_character(self, tokens: ArrayLike, order: int | None = None) -> float:
        """Mean of -log2 p over a text's tokens; see `probabilities`."""
        return float(-np.log2(self.probabilities(tokens, order)).mean())


def _checked(tokens: NDArray[np.integer], size: int) -> Counts:
    if tokens.ndim != 1 or tokens.size == 0 or tokens.dtype.kind not in "iu":
        raise DataError(f"n-gram: at least one integer token expected, got {tokens.dtype} {list(tokens.shape)}")
    if tokens.min() < 0 or tokens.max() >= size:
        raise DataError(f"n-gram: tokens must lie in 0 ... {size - 1}, got {tokens.min()} ... {tokens.max()}")
    return tokens.astype(np.int64)


def _earlier(numbers: Counts) -> Counts:
    """The numbers of the grams that end one position before; -1 where there is none."""
    return np.concatenate(([-1], numbers[:-1]))
