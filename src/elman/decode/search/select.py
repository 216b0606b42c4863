"""Which candidates a beam goes on with: the best, the best of groups that differ, or a draw without replacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.decode.random import Words, grid
from elman.decode.roles import Booleans, Floats, Integers


@dataclass(frozen=True, eq=False)
class Picks:
    """Candidates chosen: row `rows[k]` of the beam continued by `tokens[k]`. By cell, the best first.

    Attributes:
        keys: [n], what they were compared by.
    """

    rows: Integers
    tokens: Integers
    keys: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, kept: Booleans) -> Picks:
        """Some of them."""
        return Picks(self.rows[kept], self.tokens[kept], self.keys[kept])


def best(keys: Floats, cells: Integers, count: int) -> Picks:
    """The `count` candidates with the largest keys in each cell; among equals, the first row's first token.

    Args:
        keys: [R, V]; -inf for what may not be chosen.
        cells: [R], rising: rows of one number compete with one another.
        count: at least 1.
    """
    size = keys.shape[1]
    begins, widths, most = _cells(cells)
    if len(begins) * most == len(cells):
        table = keys.reshape(len(begins), most * size)
    else:
        table = np.full((len(begins), most * size), -np.inf)
        table[np.arange(most * size) < (widths * size)[:, None]] = keys.reshape(-1)
    candidates = table > -np.inf
    if count < table.shape[1]:
        least = np.sort(table, axis=1)[:, -count]  # steadier than a partition where many are -inf
        candidates &= table >= least[:, None]
    cell, place = np.nonzero(candidates)
    key = table[cell, place]
    order = np.lexsort((place, -key, cell))
    cell, place, key = cell[order], place[order], key[order]
    if len(begins) == 1:
        cell, place, key = cell[:count], place[:count], key[:count]
    else:
        kept = np.arange(len(cell)) - np.searchsorted(cell, cell) < count
        cell, place, key = cell[kept], place[kept], key[kept]
    return Picks(begins[cell] + place // size, place % size, key)


def _cells(cells: Integers) -> tuple[Integers, Integers, int]:
    """The first row and the number of rows of each cell, and the largest number."""
    if cells[0] == cells[-1]:
        return np.zeros(1, np.int64), np.array([len(cells)]), len(cells)
    borders = np.concatenate(([0], np.flatnonzero(cells[1:] != cells[:-1]) + 1, [len(cells)]))
    widths = borders[1:] - borders[:-1]
    return borders[:-1], widths, int(widths.max())


def diverse(keys: Floats, owners: Integers, groups: Integers, count: int, strength: float, ends: Booleans) -> Picks:
    """The best of each group, tokens that earlier groups chose at this step made worse for later ones.

    The penalty decides what is chosen, and is not carried on. Reference: Vijayakumar et al. 2018, arXiv:1610.02424.

    Args:
        keys: [R, V].
        owners: [R], prompts, rising.
        groups: [R], rising within a prompt.
        count: hypotheses of each group.
        strength: λ.
        ends: [R, V], candidates that end are chosen beside the `count` that go on.
    """
    chosen: dict[int, Floats] = {owner: np.zeros(keys.shape[1]) for owner in set(owners.tolist())}
    found = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        penalty = np.stack([chosen[owner] for owner in owners[rows].tolist()])
        picks = best_two(keys[rows] - strength * penalty, owners[rows], count, ends[rows])
        picks = Picks(rows[picks.rows], picks.tokens, keys[rows[picks.rows], picks.tokens])
        for row, token in zip(picks.rows.tolist(), picks.tokens.tolist(), strict=True):
            chosen[int(owners[row])][token] += 1
        found.append(picks)
    merged = Picks(*(np.concatenate([getattr(p, name) for p in found]) for name in ("rows", "tokens", "keys")))
    order = np.lexsort((groups[merged.rows], owners[merged.rows]))
    return Picks(merged.rows[order], merged.tokens[order], merged.keys[order])


def best_two(keys: Floats, cells: Integers, count: int, ends: Booleans | None) -> Picks:
    """Of each cell the `count` best that go on, and those that end among the `count` best of all."""
    overall = best(keys, cells, count)
    if ends is None:
        return overall
    ending = overall.where(ends[overall.rows, overall.tokens])
    if not len(ending):
        return overall
    going = best(np.where(ends, -np.inf, keys), cells, count)
    merged = Picks(*(np.concatenate((getattr(ending, n), getattr(going, n))) for n in ("rows", "tokens", "keys")))
    order = np.argsort(cells[merged.rows], kind="stable")
    return Picks(merged.rows[order], merged.tokens[order], merged.keys[order])


def gumbel_keys(totals: Floats, parents: Floats, seeds: Words, step: int, slots: Integers) -> Floats:
    """Perturbed log-probabilities of candidates, [R, V]: Gumbel noise whose maximum over a row is the parent's key.

    Args:
        totals: [R, V], log-probabilities of whole candidates.
        parents: [R], keys of the hypotheses that they continue.
        seeds: [R].
        step: of the search.
        slots: [R], place of the row in its beam.

    Reference: Kool, van Hoof & Welling 2019, arXiv:1903.06059, appendix B.
    """
    uniform = grid(seeds, step, slots, totals.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        noisy = totals - np.log(-np.log(np.maximum(uniform, 5e-324)))
        most = noisy.max(axis=1, keepdims=True)
        v = parents[:, None] - noisy + np.log1p(-np.exp(noisy - most))
        keys = parents[:, None] - np.maximum(v, 0.0) - np.log1p(np.exp(-np.abs(v)))
    return np.where(totals > -np.inf, keys, -np.inf)
