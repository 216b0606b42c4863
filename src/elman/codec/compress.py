"""A text made small by what a model expects of it, and restored bit for bit.

The text is cut into stretches that are coded side by side, each by the model's predictions from its own beginning on.
What the model's vocabulary lacks is kept beside them. An archive is restored by the same model on the same
instruction set.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np

from elman.codec import archive
from elman.codec.coder import RangeDecoder, RangeEncoder, weights
from elman.data.vocabulary import Vocabulary
from elman.decode.model import ModelStepper
from elman.decode.roles import Integers
from elman.errors import ConfigError, FormatError
from elman.kernels import available_isas, forced_isa, isa
from elman.runtime.model import Model

_STRETCH = 1 << 13  # tokens of a stretch at least: what its beginning without a past costs is then about 1%
_MOST_STREAMS = 512
_STEPS_OF_FRAME = 1 << 12
_NAMES = ("model", "isa", "tokens", "streams", "size", "sha256")


def compress(model: Model, data: bytes, file: BinaryIO, progress: Callable[[float], None] | None = None) -> None:
    """Write an archive of some data.

    Args:
        model: predicts characters or bytes.
        data: any bytes; what is text in the model's characters becomes small.
        file: a file that was opened for writing. It is an archive only once this returns.
        progress: told the share that is done, 0 … 1.

    Raises:
        ConfigError: the model has no vocabulary.
    """
    tokens, rest = _read(data, _vocabulary(model))
    streams = max(1, min(_MOST_STREAMS, len(tokens) // _STRETCH))
    digest = hashlib.sha256(data).hexdigest()
    values = (fingerprint(model), isa(), len(tokens), streams, len(data), digest)
    archive.write_header(file, dict(zip(_NAMES, values, strict=True)))
    archive.write_frame(file, zlib.compress(rest, 9))
    table = _stretches(tokens, streams)
    encoder = RangeEncoder(streams)
    for place, weight in enumerate(_predictions(_stepper(model), table)):
        encoder.encode(*_parts(weight, table[:, place]))
        if (place + 1) % _STEPS_OF_FRAME == 0:
            archive.write_frame(file, _packed(encoder.take()))
            if progress is not None:
                progress((place + 1) / table.shape[1])
    encoder.finish()
    archive.write_frame(file, _packed(encoder.take()))
    archive.write_end(file)


def decompress(model: Model, data: bytes, source: str, progress: Callable[[float], None] | None = None) -> bytes:
    """Restore what was compressed.

    Args:
        model: the one that compressed.
        data: the archive.
        source: its name, for messages.
        progress: told the share that is done, 0 … 1.

    Raises:
        FormatError: no archive, an incomplete or damaged one, another model's, or one of another instruction set.
    """
    about, frames = archive.read(data, source)
    if missing := [name for name in _NAMES if name not in about]:
        raise FormatError(f"{source}: the archive's header lacks {', '.join(missing)}")
    counts = [about[name] for name in ("tokens", "streams")]
    if not all(type(count) is int and count >= least for count, least in zip(counts, (0, 1), strict=True)):
        raise FormatError(f"{source}: the archive's header is damaged: {counts[0]} tokens in {counts[1]} streams")
    if not all(isinstance(about[name], str) for name in ("model", "isa", "sha256")):
        raise FormatError(f"{source}: the archive's header is damaged: a name or a checksum is no text")
    if about["model"] != fingerprint(model):
        raise FormatError(f"{source}: another model compressed this, {about['model'][:12]}; name that one")
    if about["isa"] not in available_isas():
        raise FormatError(f"{source}: compressed with {about['isa']} instructions, which this machine does not have")
    try:
        with forced_isa(about["isa"]):
            tokens = _decoded(_stepper(model), frames[1:], about["tokens"], about["streams"], progress)
        restored = _written(tokens, zlib.decompress(frames[0]), _vocabulary(model))
    except (IndexError, ValueError, MemoryError, struct.error, zlib.error) as error:
        raise FormatError(f"{source}: the archive is damaged: {error}") from None
    if hashlib.sha256(restored).hexdigest() != about["sha256"]:
        raise FormatError(f"{source}: what came out is not what went in: damaged, or this machine rounds differently")
    return restored


def fingerprint(model: Model) -> str:
    """What two models share only if they predict the same bits."""
    file, digest = model.file, hashlib.sha256()
    for entry in file.layers:
        digest.update(repr([(spec.cell, sorted(spec.sizes.items()), spec.reverse) for spec in entry]).encode())
    digest.update(repr(file.vocabulary).encode())
    for name, tensor in sorted(file.tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def _stepper(model: Model) -> ModelStepper:
    """A stepper on the instruction set in use now; the model may have been stepped on another before."""
    return ModelStepper(Model(model.file))


def _vocabulary(model: Model) -> Vocabulary:
    if model.vocabulary is None:
        raise ConfigError("compressing needs a model with a vocabulary; this one reads numbers")
    return model.vocabulary


def _read(data: bytes, vocabulary: Vocabulary) -> tuple[Integers, bytes]:
    """The tokens that the vocabulary has, and where which other characters stand."""
    if vocabulary.kind == "bytes":
        return np.frombuffer(data, np.uint8).astype(np.int64), b""
    points = np.frombuffer(data.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), "<u4")
    known = np.frombuffer(vocabulary.symbols.encode("utf-32-le", "surrogatepass"), "<u4")
    tokens = np.minimum(np.searchsorted(known, points), len(known) - 1)
    strange = known[tokens] != points
    places = np.diff(np.flatnonzero(strange), prepend=0).astype("<u8")
    return tokens[~strange].astype(np.int64), places.tobytes() + points[strange].tobytes()


def _written(tokens: Integers, rest: bytes, vocabulary: Vocabulary) -> bytes:
    if vocabulary.kind == "bytes":
        return tokens.astype(np.uint8).tobytes()
    count = len(rest) // 12
    places = np.cumsum(np.frombuffer(rest[: 8 * count], "<u8").astype(np.int64))
    known = np.frombuffer(vocabulary.symbols.encode("utf-32-le", "surrogatepass"), "<u4")
    points = np.zeros(len(tokens) + count, "<u4")
    strange = np.zeros(len(points), bool)
    strange[places] = True
    points[strange], points[~strange] = np.frombuffer(rest[8 * count :], "<u4"), known[tokens]
    return points.tobytes().decode("utf-32-le", "surrogatepass").encode("utf-8", "surrogateescape")


def _stretches(tokens: Integers, streams: int) -> Integers:
    """[streams, steps]: stretch after stretch; -1 behind the end of those that are shorter by a token."""
    steps = -(-len(tokens) // streams)
    lengths = _lengths(len(tokens), streams)
    table = np.full((streams, steps), -1, np.int64)
    table[np.arange(steps) < lengths[:, None]] = tokens
    return table


def _lengths(count: int, streams: int) -> Integers:
    return count // streams + (np.arange(streams) < count % streams)


def _predictions(stepper: ModelStepper, table: Integers) -> Iterator[Integers]:
    """For each column of the table the weights [B, V] that it is coded by; it is read once they are used."""
    state, weight = stepper.start(len(table)), np.ones((len(table), stepper.size), np.int64)
    for place in range(table.shape[1]):
        yield weight
        if place + 1 < table.shape[1]:
            logits, state = stepper.logits(np.ascontiguousarray(table[:, place]), state)
            weight = weights(logits)


def _parts(weight: Integers, tokens: Integers) -> tuple[Integers, Integers, Integers]:
    """Where each token's part of the total begins and how large it is; the whole for a stretch that has ended."""
    rows, ended = np.arange(len(tokens)), tokens < 0
    above = np.cumsum(weight, axis=1)
    size, total = weight[rows, tokens], above[:, -1]
    return np.where(ended, 0, above[rows, tokens] - size), np.where(ended, total, size), total


def _decoded(stepper: ModelStepper, frames: list[bytes], count: int, streams: int, progress: Any = None) -> Integers:
    """The tokens of an archive's frames."""
    unpacked = [_unpacked(frame, streams) for frame in frames]
    decoder = RangeDecoder([b"".join(pieces) for pieces in zip(*unpacked, strict=True)])
    lengths = _lengths(count, streams)
    table = np.zeros((streams, int(lengths.max(initial=0))), np.int64)
    for place, weight in enumerate(_predictions(stepper, table)):
        table[:, place] = decoder.decode(weight)
        if progress is not None and place % _STEPS_OF_FRAME == 0:
            progress(place / table.shape[1])
    return table[np.arange(table.shape[1]) < lengths[:, None]]


def _packed(pieces: list[bytes]) -> bytes:
    return struct.pack(f"<{len(pieces)}I", *map(len, pieces)) + b"".join(pieces)


def _unpacked(frame: bytes, streams: int) -> list[bytes]:
    sizes = struct.unpack_from(f"<{streams}I", frame)
    ends = np.cumsum((4 * streams, *sizes)).tolist()
    return [frame[begin:end] for begin, end in pairwise(ends)]
