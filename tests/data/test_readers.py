"""Readers and splits: from files to datasets."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from elman.data import Dataset, readers
from elman.data.demo_text import demo_prose
from elman.data.splits import hold_out_end
from elman.errors import ConfigError, DataError
from elman.sequences import Ragged


def test_a_text_is_one_sequence_of_characters(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("größer\n", encoding="utf-8")
    found = readers.read(str(file))
    assert (found.name, found.steps, len(found.columns["text"])) == (str(file), 7, 1)
    assert found.vocabularies["text"].decode(found.columns["text"].values) == "größer\n"
    assert found.digest == sha256("größer\n".encode()).hexdigest()


def test_bytes(tmp_path: Path) -> None:
    file = tmp_path / "noise"
    file.write_bytes(bytes(range(256)) * 4)
    found = readers.read(str(file), bytes=True)
    assert found.columns["text"].values[:300].tolist() == [*range(256), *range(44)]
    assert len(found.vocabularies["text"]) == 256


def test_without_a_source_it_is_the_demo_text() -> None:
    found = readers.read(None)
    assert found.steps == len(demo_prose())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown format 'tape'; there is a reader for text"):
        readers.read("a", format="tape")


def test_the_demo_text_has_no_drawn_tables() -> None:
    text = demo_prose()
    lines = text.splitlines()
    assert len(text) > 100_000
    assert not [line for line in lines if line.lstrip().startswith(("|", "+-", "+=")) or " " * 12 in line]


def stream(steps: int) -> Dataset:
    return Dataset("a", {"text": Ragged.from_lengths(np.arange(steps), [steps])})


def test_the_end_is_held_out() -> None:
    training, held_out = hold_out_end(stream(10), 0.25)
    assert training.columns["text"].values.tolist() == list(range(8))
    assert held_out.columns["text"].values.tolist() == [8, 9]


def test_too_short_to_hold_anything_out() -> None:
    with pytest.raises(DataError, match="a: 8 tokens leave 1 to validate on, 2 at least are needed; a longer text"):
        hold_out_end(stream(8), 0.1)


def test_several_sequences_are_not_cut_in_time() -> None:
    with pytest.raises(DataError, match="one sequence expected"):
        hold_out_end(Dataset("a", {"text": Ragged.from_lengths(np.arange(9), [4, 5])}), 0.5)
