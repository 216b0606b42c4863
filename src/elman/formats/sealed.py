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

_KEY = "elman.sha256"
_MARK = f'"{_KEY}":"'.encode()
_BLANK = b"0" * 64


def dumps(tensors: Mapping[str, ArrayLike], metadata: Mapping[str, str]) -> bytes:
    """Give the bytes of a sealed file; see `elman.formats.safetensors.dumps`."""
    data = bytearray(safetensors.dumps(tensors, {**metadata, _KEY: _BLANK.decode()}))
    begin = data.index(_MARK) + len(_MARK)
    data[begin : begin + len(_BLANK)] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def check(data: bytes, source: str) -> None:
    """Raise FormatError unless the bytes are those that `dumps` gave."""
    begin = data.find(_MARK) + len(_MARK)
    if begin < len(_MARK):
        raise FormatError(f"{source}: has no checksum; cut short, damaged, or a file of something else")
    end = begin + len(_BLANK)
    digest = hashlib.sha256(data[:begin])
    digest.update(_BLANK)
    digest.update(memoryview(data)[end:])
    if digest.hexdigest().encode() != data[begin:end]:
        raise FormatError(f"{source}: its checksum is wrong: the file was damaged or changed")
