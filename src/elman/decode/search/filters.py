"""Filters on log-probabilities [B, V]: what may be drawn, and how likely. Each row is filtered by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.decode.options import Options
from elman.decode.roles import Booleans, Filter, Floats, Integers

_ROUNDING = 1e-12  # sums and products of float64 that come this near to a limit have reached it
_COLD = 0.01  # below, temperatures may send all scores to -inf unless the largest is 0
_LOWEST, _TINY = np.finfo(np.float64).min, np.finfo(np.float64).tiny  # instead of -inf and 0 in rows without any token


def _top(scores: Floats) -> Floats:
    """The largest score of each row, [B, 1], as a number."""
    top: Floats = np.maximum(np.maximum.reduce(scores, axis=1, keepdims=True), _LOWEST)
    return top


def normalised(scores: Floats) -> Floats:
    """The same, with rows whose exponentials sum to 1; a row without any possible token stays as it is."""
    shifted = scores - _top(scores)
    total = np.add.reduce(np.exp(shifted), axis=1, keepdims=True)
    return shifted - np.log(np.maximum(total, _TINY))


def _keep(scores: Floats, kept: Booleans) -> Floats:
    return np.where(kept, scores, -np.inf)


def _fewest(weights: Floats, mass: float) -> Integers:
    """How many weights of each row, from its first on, sum to at least `mass` of all, but for rounding, [B]."""
    above = np.add.accumulate(weights, axis=1)
    counts: Integers = 1 + np.add.reduce(above[:, :-1] < mass * (1 - _ROUNDING) * above[:, -1:], axis=1)
    return counts


def _likeliest(scores: Floats, least: Floats, counts: Integers) -> Floats:
    """Keep the `counts` [B] likeliest tokens of each row, from the score `least` [B] on, the lower among equals."""
    kept = scores >= least[:, None]
    if np.count_nonzero(kept) > np.add.reduce(counts):
        place = np.empty(scores.shape, np.int64)
        np.put_along_axis(place, np.argsort(-scores, axis=1, kind="stable"), np.arange(scores.shape[1])[None], axis=1)
        kept = place < counts[:, None]
    return _keep(scores, kept)


def temperature(value: float) -> Filter:
    """Divide by the temperature: below 1 likely tokens become likelier."""
    if value >= _COLD:
        return lambda scores: scores / value

    def scale(scores: Floats) -> Floats:
        with np.errstate(over="ignore"):  # a tiny temperature sends all but the best to -inf
            scaled: Floats = (scores - _top(scores)) / value
        return scaled

    return scale


def likeliest(k: int = 0, p: float = 1.0) -> Filter:
    """Keep the k likeliest tokens (0: all), the lower ones among equals; of these the fewest that hold probability p.

    Reference: Holtzman et al. 2020, arXiv:1904.09751.
    """

    def keep(scores: Floats) -> Floats:
        most = min(k or scores.shape[1], scores.shape[1])
        ordered = np.sort(scores, axis=1)
        if p == 1:
            return _likeliest(scores, ordered[:, -most], np.full(len(scores), most))
        counts = _fewest(np.exp(ordered[:, : -most - 1 : -1] - np.maximum(ordered[:, -1:], _LOWEST)), p)
        return _likeliest(scores, ordered[np.arange(len(scores)), -counts], counts)

    return keep


def min_p(p: float) -> Filter:
    """Keep tokens at least p times as likely as the likeliest. Reference: Nguyen et al. 2024, arXiv:2407.01082."""
    margin = float(np.log(p)) - _ROUNDING
    return lambda scores: _keep(scores, scores >= np.maximum.reduce(scores, axis=1, keepdims=True) + margin)


def typical(p: float) -> Filter:
    """Keep the fewest tokens that hold probability p, those nearest to the entropy first.

    Reference: Meister et al. 2023, arXiv:2202.00666.
    """

    def keep(scores: Floats) -> Floats:
        rows, logs = np.arange(len(scores))[:, None], normalised(scores)
        weights = np.exp(logs)
        entropy = -np.add.reduce(weights * np.maximum(logs, _LOWEST), axis=1, keepdims=True)
        order = np.argsort(np.abs(logs + entropy), axis=1, kind="stable")
        kept = np.empty(scores.shape, bool)
        kept[rows, order] = np.arange(scores.shape[1]) < _fewest(weights[rows, order], p)[:, None]
        return _keep(scores, kept)

    return keep


def sampling_filters(options: Options) -> list[Filter]:
    """The filters that the options ask for, in the order in which they are applied.

    Each works on what the ones before it have left, normalised anew.
    """
    filters: list[Filter] = []
    if options.temperature not in (0.0, 1.0):
        filters.append(temperature(options.temperature))
    if options.top_k or options.top_p < 1:
        filters.append(likeliest(options.top_k, options.top_p))
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
        self._bias = np.zeros(size if options.bias else 0)
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
            there = counts > 0
            with np.errstate(over="ignore"):  # an enormous penalty forbids
                if o.repetition_penalty != 1:
                    scores = np.where(seen | there, scores * o.repetition_penalty, scores)
                if o.frequency_penalty or o.presence_penalty:
                    scores = scores - (o.frequency_penalty * counts + o.presence_penalty * there)
        return normalised(scores + self._bias if len(self._bias) else scores)


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
