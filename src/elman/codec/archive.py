"""The file of a compressed text: a header, frames, and an end without which it counts as incomplete."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from elman.errors import FormatError

MAGIC = b"elman-archive\n"
VERSION = 1
_HEADER, _FRAME, _END = b"H", b"F", b"E"
_SIZES = struct.Struct("<cII")  # kind, bytes, checksum
_LONGEST_HEADER = 1 << 12  # bytes; ours has about 250


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


@dataclass(frozen=True, eq=False)
class Archive:
    """An archive that is whole.

    Attributes:
        about: the header.
        count: how many frames there are.
    """

    about: Mapping[str, Any]
    count: int
    _parts: tuple[memoryview, str]

    def frames(self) -> Iterator[memoryview]:
        """The frames in order; parts of the archive's own memory."""
        return (part for kind, part in _parts(*self._parts) if kind == _FRAME)


def read(data: bytes, source: str) -> Archive:
    """Look through an archive; nothing is copied.

    Raises:
        FormatError: no archive, one of another version, a damaged or an incomplete one.
    """
    if not data.startswith(MAGIC):
        raise FormatError(f"{source}: not an archive of elman compress")
    view, count, header, last = memoryview(data), 0, None, b""
    for kind, part in _parts(view, source):
        if (kind == _HEADER) != (header is None):
            raise FormatError(f"{source}: the archive is damaged: it needs one header, at its beginning")
        header, last = part if header is None else header, kind
        count += kind == _FRAME
    if header is None or last != _END:
        raise FormatError(f"{source}: the archive is incomplete: its end is missing; was compressing interrupted?")
    return Archive(_about(header, source), count, (view, source))


def _about(header: memoryview, source: str) -> dict[str, Any]:
    try:
        if len(header) > _LONGEST_HEADER:
            raise ValueError
        about = json.loads(bytes(header))
        if not isinstance(about, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise FormatError(f"{source}: the archive's header is damaged") from None
    if about.get("version") != VERSION:
        raise FormatError(f"{source}: version {VERSION} of the archive expected, got {about.get('version')!r:.40}")
    return about


def _parts(data: memoryview, source: str) -> Iterator[tuple[bytes, memoryview]]:
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
