"""The safetensors layout, read and written with numpy alone.

A file is the length of a header (8 bytes, little endian), the header (JSON: name -> dtype, shape, data_offsets; and
text under `__metadata__`), and the tensors' bytes, end to end. Nothing in it is executed, and a file that breaks a
rule is refused before a tensor is made of it.

Reference: the format section of the safetensors README, https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DtypeError, FormatError
from elman.formats.atomic import atomic_write

Tensors = dict[str, NDArray[Any]]

_CODES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
    "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _CODES.items()}
_METADATA = "__metadata__"
_MOST_AXES = 64  # numpy's limit
_LONGEST_HEADER = 100_000_000  # the reference implementation's limit


def dumps(tensors: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None) -> bytes:
    """Give the bytes of a safetensors file.

    Args:
        tensors: arrays by name, of any shape; the bytes do not depend on the order of the names.
        metadata: text by name.

    Raises:
        DtypeError: an element type that the layout, or numpy, does not have.
        FormatError: a name or a piece of metadata that is not text, or a reserved name.
    """
    arrays = {name: _storable(name, tensor) for name, tensor in tensors.items()}
    # Wide elements first, and a header of a multiple of 8 bytes: every tensor lies aligned.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, object] = {}
    if metadata:
        header[_METADATA] = {_text(name): _text(value) for name, value in sorted(metadata.items())}
    end = 0
    for name in order:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([struct.pack("<Q", len(head)), head, *(arrays[name].tobytes() for name in order)])


def loads(data: bytes, source: str = "these bytes") -> tuple[Tensors, dict[str, str]]:
    """Read the bytes of a safetensors file.

    Args:
        data: the whole file.
        source: what to call it in errors.

    Returns:
        the tensors by name, as new arrays in the machine's byte order, and the metadata.

    Raises:
        FormatError: not a safetensors file, cut short, with holes or overlaps, or with an element type numpy lacks.
    """
    if len(data) < 8:
        raise FormatError(f"{source}: not a safetensors file: 8 bytes at least expected, got {len(data)}")
    (length,) = struct.unpack_from("<Q", data)
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise FormatError(
            f"{source}: a header of {length} bytes announced, {len(data) - 8} bytes follow; "
            "cut short, or not safetensors?"
        )
    header = _header(data[8 : 8 + length], source)
    metadata = _metadata(header.pop(_METADATA, {}), source)
    body = memoryview(data)[8 + length :]
    spans = {name: _span(name, entry, source) for name, entry in header.items()}
    _check_cover(spans, len(body), source)
    return {
        name: _tensor(name, header[name], body[begin:end], source) for name, (begin, end) in spans.items()
    }, metadata


def save(
    path: str | os.PathLike[str], tensors: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all; see `dumps`."""
    data = dumps(tensors, metadata)
    with atomic_write(path) as file:
        file.write(data)


def load(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, str]]:
    """Read a safetensors file; see `loads`.

    Raises:
        FormatError: also where the file is missing, a folder, empty or not readable.
    """
    return loads(read_bytes(path), str(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a whole file. Raises FormatError where it is missing, a folder, empty or not readable."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FormatError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise FormatError(f"{path}: a file expected, got a folder") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from error
    if not data:
        raise FormatError(f"{path}: the file is empty")
    return data


def _storable(name: str, tensor: ArrayLike) -> NDArray[Any]:
    if _text(name) == _METADATA:
        raise FormatError(f"a tensor cannot be named {_METADATA}: the layout keeps that name for itself")
    array = np.asarray(tensor)
    little = array.dtype.newbyteorder("<")
    if little not in _NAMES:
        raise DtypeError(f"{name}: one of {', '.join(sorted(_NAMES.values()))} expected, got {array.dtype}")
    return array.astype(little, copy=False)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise FormatError(f"names and metadata must be text, got {value!r} ({type(value).__name__})")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FormatError(f"names and metadata must be text that UTF-8 can hold, got {value!r}") from None
    return value


def _header(data: bytes, source: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            raise FormatError(f"{source}: a name stands twice in the header")
        return entries

    try:
        header = json.loads(data.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise FormatError(f"{source}: the header is not JSON, so this is not a safetensors file ({error})") from None
    if not isinstance(header, dict):
        raise FormatError(f"{source}: the header must be a JSON object, got {type(header).__name__}")
    return header


def _metadata(entries: Any, source: str) -> dict[str, str]:
    if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
        raise FormatError(f"{source}: {_METADATA} must map names to text")
    return entries


def _span(name: str, entry: Any, source: str) -> tuple[int, int]:
    """Check one tensor's entry against itself and give the span of its bytes."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise FormatError(f"{source}: tensor {name!r} needs dtype, shape and data_offsets, got {entry!r}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _CODES:
        raise FormatError(f"{source}: tensor {name!r} is {code}, one of {', '.join(_CODES)} expected; convert it first")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or len(shape) > _MOST_AXES:
        raise FormatError(f"{source}: tensor {name!r}: shape {shape!r} and data_offsets {offsets!r} must be counts")
    begin, end = offsets
    needed = math.prod(shape) * np.dtype(_CODES[code]).itemsize
    if end - begin != needed:
        raise FormatError(
            f"{source}: tensor {name!r}: {code} {shape} needs {needed} bytes, its offsets give {end - begin}"
        )
    return begin, end


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_cover(spans: dict[str, tuple[int, int]], size: int, source: str) -> None:
    """The tensors must lie end to end and fill the rest of the file: no overlap, no hole, nothing after them."""
    reached = 0
    for name, (begin, end) in sorted(spans.items(), key=lambda item: item[1]):
        if begin != reached:
            fault = "overlaps another" if begin < reached else "leaves a hole before it"
            raise FormatError(f"{source}: tensor {name!r} {fault}: it begins at byte {begin}, {reached} expected")
        reached = end
    if reached != size:
        raise FormatError(
            f"{source}: {reached} bytes of tensors expected, got {size}; cut short, or something appended?"
        )


def _tensor(name: str, entry: dict[str, Any], data: memoryview, source: str) -> NDArray[Any]:
    stored = np.dtype(_CODES[entry["dtype"]])
    if stored.kind == "b" and bool((np.frombuffer(data, np.uint8) > 1).any()):
        raise FormatError(f"{source}: tensor {name!r} is BOOL but holds bytes other than 0 and 1")
    try:
        array = np.frombuffer(data, stored).reshape(entry["shape"])
    except ValueError:  # beside a zero, the other counts may overflow numpy's sizes
        raise FormatError(f"{source}: tensor {name!r}: numpy cannot make the shape {entry['shape']}") from None
    return array.astype(stored.newbyteorder("="))
