"""Files that know whether a bit of them was changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import FormatError
from elman.formats import safetensors, sealed

DATA = sealed.dumps({"a": np.arange(6.0), "b": np.ones((2, 3), np.float32)}, {"note": '"elman.sha256":"no"'})


def test_what_was_sealed_is_read() -> None:
    tensors, metadata = sealed.loads(DATA, "file")
    assert tensors["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert metadata["note"] == '"elman.sha256":"no"'
    blank = DATA.replace(metadata[sealed.KEY].encode(), b"0" * 64)
    assert metadata[sealed.KEY] == hashlib.sha256(blank).hexdigest()
    assert safetensors.loads(DATA)[1] == metadata


@pytest.mark.parametrize("way", [{"separators": (", ", ": ")}, {"indent": 1}, {}])
def test_a_header_that_another_program_has_written_anew_breaks_the_seal(way: dict[str, Any]) -> None:
    length = int.from_bytes(DATA[:8], "little")
    header = json.dumps(json.loads(DATA[8 : 8 + length]), **way).encode()
    with pytest.raises(FormatError, match="file: its checksum is wrong"):
        sealed.loads(len(header).to_bytes(8, "little") + header + DATA[8 + length :], "file")


@given(st.integers(0, 8 * len(DATA) - 1))
def test_no_bit_can_be_changed(bit: int) -> None:
    """But for those of the seal's name: then there is none, and whoever needs one says so."""
    changed = bytearray(DATA)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        _, metadata = sealed.loads(bytes(changed), "file")
    except FormatError:
        return
    assert sealed.KEY not in metadata


def test_a_file_without_a_seal_is_read() -> None:
    tensors, metadata = sealed.loads(safetensors.dumps({"a": np.zeros(3)}, {"x": "y"}), "file")
    assert (list(tensors), metadata) == (["a"], {"x": "y"})


def test_a_changed_number_is_told() -> None:
    changed = bytearray(DATA)
    changed[-1] ^= 1
    with pytest.raises(FormatError, match="file: its checksum is wrong: the file was damaged or changed"):
        sealed.loads(bytes(changed), "file")
