"""What is held out of a dataset. Steps are never shuffled."""

from __future__ import annotations

from dataclasses import replace

from elman.data.dataset import Dataset
from elman.errors import DataError
from elman.sequences import Ragged

_FEWEST = 2  # steps to measure on: the first is only read


def hold_out_end(dataset: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """Cut a dataset of one sequence in time: the beginning to train on, the rest to measure on (views, no copies).

    Args:
        dataset: one sequence.
        share: of the steps that are held out, above 0 and below 1.

    Raises:
        DataError: several sequences, or too few steps.
    """
    if any(len(column) != 1 for column in dataset.columns.values()):
        raise DataError(f"{dataset.name}: one sequence expected, to be cut in time")
    held_out = round(dataset.steps * share)
    if held_out < _FEWEST:
        raise DataError(
            f"{dataset.name}: {dataset.steps} tokens leave {held_out} to validate on, {_FEWEST} at least are needed; "
            "a longer text, or a larger `validation`"
        )
    cut = dataset.steps - held_out
    return _part(dataset, slice(0, cut)), _part(dataset, slice(cut, None))


def _part(dataset: Dataset, steps: slice) -> Dataset:
    parts = {name: column.values[steps] for name, column in dataset.columns.items()}
    columns = {name: Ragged.from_lengths(values, [len(values)]) for name, values in parts.items()}
    return replace(dataset, columns=columns)
