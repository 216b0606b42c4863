"""Safetensors files that know whether a bit of them was changed.

The metadata holds the SHA-256 of the whole file, taken with zeros in the place of the digest itself; so every byte is
covered, and any reader of the layout can still read the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from numpy.typing import ArrayLike

from elman.errors import FormatError
from elman.formats import safetensors

KEY = "elman.sha256"
_MARK = f'"{KEY}":"'.encode()
_BLANK = b"0" * 64


def dumps(tensors: Mapping[str, ArrayLike], metadata: Mapping[str, str]) -> bytes:
    """Give the bytes of a sealed file; see `elman.formats.safetensors.dumps`."""
    data = safetensors.dumps(tensors, {**metadata, KEY: _BLANK.decode()})
    begin = data.index(_MARK) + len(_MARK)
    return b"".join([data[:begin], _digest(data).encode(), memoryview(data)[begin + len(_BLANK) :]])


def loads(data: bytes, source: str) -> tuple[safetensors.Tensors, dict[str, str]]:
    """Read a file, and check its seal where it has one; see `elman.formats.safetensors.loads`.

    Returns:
        the tensors, and the metadata with `KEY` in it where there was a seal.

    Raises:
        FormatError: the bytes are not those that `dumps` gave, or no safetensors file.
    """
    tensors, metadata = safetensors.loads(data, source)
    if KEY in metadata and (_MARK not in data or metadata[KEY] != _digest(data)):
        raise FormatError(f"{source}: its checksum is wrong: the file was damaged or changed")
    return tensors, metadata


def _digest(data: bytes) -> str:
    """SHA-256 of a sealed file, hexadecimal."""
    begin = data.index(_MARK) + len(_MARK)
    digest = hashlib.sha256(data[:begin])
    digest.update(_BLANK)
    digest.update(memoryview(data)[begin + len(_BLANK) :])
    return digest.hexdigest()
