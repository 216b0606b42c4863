"""The file of a compressed text: a header, frames, and an end without which it counts as incomplete."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from elman.errors import FormatError

MAGIC = b"elman-archive\n"
VERSION = 1
_HEADER, _FRAME, _END = b"H", b"F", b"E"
_SIZES = struct.Struct("<cII")  # kind, bytes, checksum


def write_header(file: BinaryIO, about: Mapping[str, Any]) -> None:
    """Begin an archive."""
    file.write(MAGIC)
    _write(file, _HEADER, json.dumps({"version": VERSION, **about}).encode())


def write_frame(file: BinaryIO, data: bytes) -> None:
    """One frame more."""
    _write(file, _FRAME, data)


def write_end(file: BinaryIO) -> None:
    """What makes it complete."""
    _write(file, _END, b"")


def _write(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(_SIZES.pack(kind, len(data), zlib.crc32(data)))
    file.write(data)


def read(data: bytes, source: str) -> tuple[dict[str, Any], list[bytes]]:
    """The header and the frames.

    Raises:
        FormatError: no archive, one of another version, a damaged or an incomplete one.
    """
    if not data.startswith(MAGIC):
        raise FormatError(f"{source}: not an archive of elman compress")
    parts = list(_parts(data, source))
    if not parts or parts[-1][0] != _END:
        raise FormatError(f"{source}: the archive is incomplete: its end is missing; was compressing interrupted?")
    try:
        about = dict(json.loads(parts[0][1]))
    except ValueError:
        raise FormatError(f"{source}: the archive's header is damaged") from None
    if about.get("version") != VERSION:
        raise FormatError(f"{source}: version {VERSION} of the archive expected, got {about.get('version')}")
    return about, [part for kind, part in parts if kind == _FRAME]


def _parts(data: bytes, source: str) -> Iterator[tuple[bytes, bytes]]:
    place = len(MAGIC)
    while place + _SIZES.size <= len(data):
        kind, size, checksum = _SIZES.unpack_from(data, place)
        place += _SIZES.size
        part = data[place : place + size]
        if len(part) < size:
            return
        if zlib.crc32(part) != checksum or kind not in (_HEADER, _FRAME, _END):
            raise FormatError(f"{source}: the archive is damaged at byte {place}")
        yield kind, part
        place += size
        if kind == _END:
            if place < len(data):
                raise FormatError(f"{source}: {len(data) - place:,} bytes stand behind the archive's end")
            return
