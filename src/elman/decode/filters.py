"""Filters on log-probabilities [B, V]: what may be drawn, and how likely. Each row is filtered by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.decode.options import Options
from elman.decode.roles import Booleans, Filter, Floats, Integers

_ROUNDING = 1e-12  # sums and products of float64 that come this near to a limit have reached it


def normalised(scores: Floats) -> Floats:
    """The same, with rows whose exponentials sum to 1; a row without any possible token stays as it is."""
    top = scores.max(axis=1, keepdims=True)
    shifted = scores - np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - np.where(np.isfinite(total), total, 0.0)


def _keep(scores: Floats, kept: Booleans) -> Floats:
    return np.where(kept, scores, -np.inf)


def _smallest_mass(scores: Floats, order: Integers, mass: float) -> Booleans:
    """The fewest tokens in this order whose probabilities sum to at least `mass`, but for rounding."""
    rows = np.arange(len(scores))[:, None]
    top = np.maximum.reduce(scores, axis=1, keepdims=True)
    weights = np.exp(scores - np.where(top > -np.inf, top, 0.0))[rows, order]
    above = np.add.accumulate(weights, axis=1)
    kept = np.empty(scores.shape, bool)
    kept[rows, order] = above - weights < mass * (1 - _ROUNDING) * above[:, -1:]
    return kept


def temperature(value: float) -> Filter:
    """Divide by the temperature: below 1 likely tokens become likelier."""

    def scale(scores: Floats) -> Floats:
        top = scores.max(axis=1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore"):  # a tiny temperature sends all but the best to -inf
            scaled = (scores - np.where(np.isfinite(top), top, 0.0)) / value
        return np.where(np.isnan(scaled), -np.inf, scaled)

    return scale


def top_k(k: int) -> Filter:
    """Keep the k likeliest tokens, the lower ones among equals."""

    def keep(scores: Floats) -> Floats:
        if k >= scores.shape[1]:
            return scores
        least = np.sort(scores, axis=1)[:, -k, None]
        kept = scores >= least
        if np.add.reduce(kept, axis=None) > k * len(scores):
            order = np.argsort(-scores, axis=1, kind="stable")
            kept[np.arange(len(scores))[:, None], order[:, k:]] = False
        return _keep(scores, kept)

    return keep


def top_p(p: float) -> Filter:
    """Keep the fewest likeliest tokens that hold probability p. Reference: Holtzman et al. 2020, arXiv:1904.09751."""
    return lambda scores: _keep(scores, _smallest_mass(scores, np.argsort(-scores, axis=1, kind="stable"), p))


def min_p(p: float) -> Filter:
    """Keep tokens at least p times as likely as the likeliest. Reference: Nguyen et al. 2024, arXiv:2407.01082."""
    margin = float(np.log(p)) - _ROUNDING
    return lambda scores: _keep(scores, scores >= np.maximum.reduce(scores, axis=1, keepdims=True) + margin)


def typical(p: float) -> Filter:
    """Keep the fewest tokens that hold probability p, those nearest to the entropy first.

    Reference: Meister et al. 2023, arXiv:2202.00666.
    """

    def keep(scores: Floats) -> Floats:
        logs = normalised(scores)
        with np.errstate(invalid="ignore"):
            entropy = -np.where(np.isfinite(logs), np.exp(logs) * logs, 0.0).sum(axis=1, keepdims=True)
            distance = np.abs(-logs - entropy)
        order = np.argsort(np.where(np.isnan(distance), np.inf, distance), axis=1, kind="stable")
        return _keep(scores, _smallest_mass(scores, order, p))

    return keep


def sampling_filters(options: Options) -> list[Filter]:
    """The filters that the options ask for, in the order in which they are applied.

    Each works on what the ones before it have left, normalised anew.
    """
    filters: list[Filter] = []
    if options.temperature not in (0.0, 1.0):
        filters.append(temperature(options.temperature))
    if options.top_k:
        filters.append(top_k(options.top_k))
    if options.top_p < 1:
        filters.append(top_p(options.top_p))
    if options.min_p > 0:
        filters.append(min_p(options.min_p))
    if options.typical_p < 1:
        filters.append(typical(options.typical_p))
    return filters


class Adjustment:
    """Penalties and biases: another distribution made of the model's, normalised again.

    Args:
        options: with `adjusts`.
        size: V.
    """

    def __init__(self, options: Options, size: int) -> None:
        self._options = options
        self._bias = np.zeros(size)
        for token, value in options.bias.items():
            self._bias[token] = value

    def __call__(self, scores: Floats, counts: Integers | None, seen: Booleans | None) -> Floats:
        """Adjust [B, V].

        Args:
            scores: log-probabilities.
            counts: [B, V], how often each token stands in the text so far.
            seen: [B, V], whether it stands in the prompt.
        """
        o = self._options
        if counts is not None and seen is not None:
            with np.errstate(over="ignore"):  # an enormous penalty forbids
                scores = np.where(seen | (counts > 0), scores * o.repetition_penalty, scores)
                scores = scores - o.frequency_penalty * counts - o.presence_penalty * (counts > 0)
        return normalised(scores + self._bias)


def repeats(history: Integers, n: int, size: int) -> Booleans:
    """Tokens that would end an n-gram which stands in the history already, [B, size].

    Args:
        history: [B, t]; -1 stands for no token.
        n: at least 1.
        size: V.
    """
    blocked = np.zeros((len(history), size), bool)
    windows = history.shape[1] - n + 1
    if windows < 1:
        return blocked
    same = np.ones((len(history), windows), bool)
    for k in range(n - 1):  # does the beginning of the window equal the last n - 1 tokens?
        last = history[:, history.shape[1] - n + 1 + k]
        same &= (history[:, k : k + windows] == last[:, None]) & (last >= 0)[:, None]
    ends = history[:, n - 1 :]
    rows, places = np.nonzero(same & (ends >= 0))
    blocked[rows, ends[rows, places]] = True
    return blocked


def apply_all(filters: Sequence[Filter], scores: Floats) -> Floats:
    """One filter after another."""
    for each in filters:
        scores = each(scores)
    return scores
