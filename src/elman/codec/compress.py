"""A text made small by what a model expects of it, and restored bit for bit.

The text is cut into stretches that are coded side by side, each by the model's predictions from its own beginning on.
What the model's vocabulary lacks is kept beside them. An archive is restored by the same model on the same
instruction set.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from elman.checks import a_function, of_kind
from elman.codec import archive, unknown
from elman.codec.coder import RangeDecoder, RangeEncoder, weights
from elman.data.vocabulary import Vocabulary
from elman.decode.model import ModelStepper
from elman.decode.roles import Integers
from elman.errors import ConfigError, DataError, FormatError
from elman.kernels import available_isas, forced_isa, isa
from elman.runtime.model import Model

_STRETCH = 1 << 13  # tokens of a stretch at least: what its beginning without a past costs is then about 1%
_MOST_STREAMS = 512
_STEPS_OF_FRAME = 1 << 12

Progress = Callable[[float], None]  # told the share that is done, 0 … 1


@dataclass(frozen=True)
class Header:
    """What an archive says about itself.

    Attributes:
        model: the fingerprint of the model that compressed.
        isa: the instruction set that it ran on.
        tokens: how many the vocabulary knew.
        streams: the stretches that they were cut into.
        size: of the data, in bytes.
        sha256: of the data, hexadecimal.
    """

    model: str
    isa: str
    tokens: int
    streams: int
    size: int
    sha256: str

    @staticmethod
    def read(about: Mapping[str, Any], frames: int, source: str) -> Header:
        """A header that agrees with itself and with the number of frames. Raises FormatError for others."""
        names = [field.name for field in fields(Header)]
        if missing := [name for name in names if name not in about]:
            raise FormatError(f"{source}: the archive's header lacks {', '.join(missing)}")
        header = Header(*(about[name] for name in names))
        if not all(isinstance(value, str) for value in (header.model, header.isa, header.sha256)):
            raise FormatError(f"{source}: the archive's header is damaged: a name or a checksum is no text")
        counts = (header.tokens, header.streams, header.size)
        if not all(type(count) is int for count in counts) or not 0 <= header.tokens <= header.size:
            raise FormatError(f"{source}: the archive's header is damaged: {_numbers(counts)}")
        if header.streams != streams_of(header.tokens) or frames != 2 + header.steps // _STEPS_OF_FRAME:
            raise FormatError(f"{source}: the archive's header is damaged: {_numbers(counts)}, {frames} frames")
        return header

    @property
    def steps(self) -> int:
        """Steps of the longest stretch."""
        return -(-self.tokens // self.streams)


def _numbers(counts: tuple[Any, Any, Any]) -> str:
    tokens, streams, size = (f"{count!r:.40}" for count in counts)
    return f"{tokens} tokens in {streams} streams of {size} bytes"


def streams_of(tokens: int) -> int:
    """How many stretches a text is cut into."""
    return max(1, min(_MOST_STREAMS, tokens // _STRETCH))


def compress(model: Model, data: bytes, file: BinaryIO, progress: Progress | None = None, threads: int = 0) -> None:
    """Write an archive of some data.

    Args:
        model: predicts characters or bytes.
        data: any bytes; what is text in the model's characters becomes small.
        file: a file that was opened for writing. It is an archive only once this returns.
        progress: told the share that is done, 0 … 1.
        threads: that a step may take; 0: by the work. They change nothing in the archive.

    Raises:
        ConfigError: the model has no vocabulary, or an argument is of the wrong kind.
    """
    of_kind("data", data, bytes | bytearray | memoryview, "bytes")
    a_function("write of file", getattr(file, "write", None), "that of a file which is open for writing")
    if progress is not None:
        a_function("progress", progress, "a function of a share, or None")
    tokens, rest = unknown.split(data, _vocabulary(model))
    streams = streams_of(len(tokens))
    header = Header(fingerprint(model), isa(), len(tokens), streams, len(data), hashlib.sha256(data).hexdigest())
    archive.write_header(file, asdict(header))
    archive.write_frame(file, rest)
    table = _stretches(tokens, streams)
    predictor, encoder = _Predictor(model, streams, threads), RangeEncoder(streams)
    for place in range(header.steps):
        encoder.encode(*_parts(predictor.weight, table[:, place]))
        if place + 1 < header.steps:
            predictor.read(np.ascontiguousarray(table[:, place]))
        if (place + 1) % _STEPS_OF_FRAME == 0:
            archive.write_frame(file, _packed(encoder.take()))
            if progress is not None:
                progress((place + 1) / header.steps)
    encoder.finish()
    archive.write_frame(file, _packed(encoder.take()))
    archive.write_end(file)


def decompress(model: Model, data: bytes, source: str, progress: Progress | None = None, threads: int = 0) -> bytes:
    """Restore what was compressed.

    Args:
        model: the one that compressed.
        data: the archive.
        source: its name, for messages.
        progress: told the share that is done, 0 … 1.
        threads: that a step may take; 0: by the work.

    Raises:
        FormatError: no archive, an incomplete or damaged one, another model's, or one of another instruction set.
        ConfigError: the model has no vocabulary, or an argument is of the wrong kind.
    """
    of_kind("data", data, bytes | bytearray | memoryview, "bytes")
    whole = archive.read(data, source)
    header, vocabulary = Header.read(whole.about, whole.count, source), _vocabulary(model)
    if header.model != fingerprint(model):
        raise FormatError(f"{source}: another model compressed this, {header.model[:12]}; name that one")
    if header.isa not in available_isas():
        raise FormatError(f"{source}: compressed with {header.isa[:40]} instructions, which this machine does not have")
    frames = whole.frames()
    try:
        rest = unknown.unpack(next(frames), header.tokens, header.size)
        with forced_isa(header.isa):
            predictor = _Predictor(model, header.streams, threads)
        tokens = _decoded(predictor, frames, header, progress)
        restored = unknown.join(tokens, rest, vocabulary)
    except (ValueError, MemoryError, DataError, FormatError) as error:
        raise FormatError(f"{source}: the archive is damaged: {error}") from None
    if len(restored) != header.size or hashlib.sha256(restored).hexdigest() != header.sha256:
        raise FormatError(f"{source}: what came out is not what went in: damaged, or this machine rounds differently")
    return restored


def fingerprint(model: Model) -> str:
    """What two models share only if they predict the same bits."""
    of_kind("model", model, Model, "a Model (elman.load reads one)")
    file, digest = model.file, hashlib.sha256()
    for entry in file.layers:
        digest.update(repr([(spec.cell, sorted(spec.sizes.items()), spec.reverse) for spec in entry]).encode())
    digest.update(repr(file.vocabulary).encode())
    for name, tensor in sorted(file.tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


class _Predictor:
    """The weights [B, V] that what comes next is coded by.

    It steps on the instruction set in use now; the model may have been stepped on another before.
    """

    def __init__(self, model: Model, streams: int, threads: int) -> None:
        self._stepper = ModelStepper(Model(model.file), threads)
        self._state = self._stepper.start(streams)
        self.weight: Integers = np.ones((streams, self._stepper.size), np.int64)

    def read(self, tokens: Integers) -> None:
        """Go on behind a token each, [B]."""
        logits, self._state = self._stepper.logits(tokens, self._state)
        self.weight = weights(logits)


def _vocabulary(model: Model) -> Vocabulary:
    of_kind("model", model, Model, "a Model (elman.load reads one)")
    if model.vocabulary is None:
        raise ConfigError("compressing needs a model with a vocabulary; this one reads numbers")
    return model.vocabulary


def _stretches(tokens: Integers, streams: int) -> Integers:
    """[streams, steps]: stretch after stretch; -1 behind the end of those that are shorter by a token."""
    steps = -(-len(tokens) // streams)
    lengths = _lengths(len(tokens), streams)
    table = np.full((streams, steps), -1, np.int64)
    table[np.arange(steps) < lengths[:, None]] = tokens
    return table


def _lengths(count: int, streams: int) -> Integers:
    return count // streams + (np.arange(streams) < count % streams)


def _parts(weight: Integers, tokens: Integers) -> tuple[Integers, Integers, Integers]:
    """Where each token's part of the total begins and how large it is; the whole for a stretch that has ended."""
    rows, ended = np.arange(len(tokens)), tokens < 0
    above = np.cumsum(weight, axis=1)
    size, total = weight[rows, tokens], above[:, -1]
    return np.where(ended, 0, above[rows, tokens] - size), np.where(ended, total, size), total


def _decoded(
    predictor: _Predictor, frames: Iterable[memoryview], header: Header, progress: Progress | None
) -> NDArray[Any]:
    """The tokens of an archive's frames. Memory grows with what is really decoded, whatever the header says."""
    decoder = RangeDecoder(_streams(frames, header.streams))
    size = np.min_scalar_type(predictor.weight.shape[1] - 1)
    columns: list[NDArray[Any]] = []
    lengths = _lengths(header.tokens, header.streams)
    for place in range(header.steps):
        tokens = decoder.decode(_whole(predictor.weight, lengths <= place))
        columns.append(tokens.astype(size))
        if place + 1 < header.steps:
            predictor.read(tokens)
        if progress is not None and place % _STEPS_OF_FRAME == 0:
            progress(place / header.steps)
    table = np.stack(columns, axis=1) if columns else np.zeros((header.streams, 0), size)
    return table[np.arange(header.steps) < lengths[:, None]]


def _whole(weight: Integers, ended: NDArray[np.bool_]) -> Integers:
    """The weights with all of the total upon token 0 where a stretch has ended: such a token takes no room."""
    if not ended.any():
        return weight
    changed = np.where(ended[:, None], 0, weight)
    changed[ended, 0] = weight[ended].sum(axis=1)
    return changed


def _packed(pieces: list[bytes]) -> bytes:
    return struct.pack(f"<{len(pieces)}I", *map(len, pieces)) + b"".join(pieces)


def _streams(frames: Iterable[memoryview], streams: int) -> list[bytearray]:
    """All bytes of each stretch, from its part of each frame. Raises ValueError for a frame of another size."""
    found = [bytearray() for _ in range(streams)]
    for frame in frames:
        begin = 4 * streams
        sizes = struct.unpack_from(f"<{streams}I", frame) if len(frame) >= begin else ()
        if begin + sum(sizes) != len(frame) or not sizes:
            raise ValueError("a frame has another size than it says")
        for row, size in zip(found, sizes, strict=True):
            row += frame[begin : begin + size]
            begin += size
    return found
