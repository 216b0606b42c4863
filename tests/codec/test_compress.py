"""The arithmetic coder, archives, and scores that do not depend on how a text is cut."""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from elman.codec import archive, coder
from elman.codec.coder import RangeDecoder, RangeEncoder, weights
from elman.codec.compress import compress, decompress, fingerprint
from elman.decode import CallableStepper, ModelStepper, Scorer, TableStepper, score
from elman.decode.scoring import bits_per_token
from elman.errors import ConfigError, DataError, FormatError
from elman.kernels import available_isas, forced_isa, isa
from elman.runtime import Model
from tests.decode.small import everything, markov, model, model_file, network, predictions

MODEL = Model(model_file(("lstm",), symbols="\n abcdefgh", hidden=8))
BYTES = Model(model_file(("gru",), kind="bytes", hidden=8))


def packed(data: bytes, which: Model = MODEL) -> bytes:
    file = io.BytesIO()
    compress(which, data, file)
    return file.getvalue()


TEXT = ("a bad cab had a bag\n" * 900).encode()
NOISE = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8).tobytes()


@pytest.mark.parametrize("which", [MODEL, BYTES], ids=["characters", "bytes"])
@pytest.mark.parametrize(
    "data",
    [b"", b"a", b"ab", "größe\r\n".encode(), b"\xff\x00\xfe", b"a\xe2\x82", TEXT[:1000], TEXT, NOISE[:500]],
    ids=["nothing", "one", "two", "unknown", "no text", "cut", "text", "long", "noise"],
)
def test_bit_for_bit(which: Model, data: bytes) -> None:
    assert decompress(which, packed(data, which), "x") == data


def test_the_size_is_what_the_scores_say() -> None:
    """Within a hundredth, and what the header and the stretches' ends take."""
    text = NOISE[:16_000].translate(bytes(b"abcdefgh \n"[v % 10] for v in range(256)))
    file = model_file(("lstm",), symbols="\n abcdefgh", hidden=8)
    for scale in (1.0, 0.2):
        file.tensors["head.weight"][:] *= scale
        which = Model(file)
        tokens = which.vocabulary.encode(text.decode())  # type: ignore[union-attr]
        bits = -np.nansum(score(ModelStepper(which), tokens)) / math.log(2)
        size = 8 * len(packed(text, which))
        assert 0.99 * bits < size < 1.01 * bits + 8 * 500


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_NUM_THREADS", "1")
    alone = packed(TEXT)
    monkeypatch.setenv("ELMAN_NUM_THREADS", "3")
    assert packed(TEXT) == alone


@pytest.mark.parametrize("other", available_isas())
def test_restored_on_the_instruction_set_that_compressed(other: str) -> None:
    with forced_isa(other):
        archived = packed(TEXT[:5000])
    assert archive.read(archived, "x").about["isa"] == other
    assert decompress(MODEL, archived, "x") == TEXT[:5000]


def test_restoring_changes_no_other_threads_instruction_set() -> None:
    """Threads restore archives of each instruction set, while this one goes on with its own."""
    archives = {}
    for name in available_isas():
        with forced_isa(name):
            archives[name] = packed(TEXT[:2000])
    expected, text = packed(TEXT[:3000]), []
    threads = [
        threading.Thread(target=lambda data=data: text.append(decompress(MODEL, data, "x")))  # type: ignore[misc]
        for data in archives.values()
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert isa() == available_isas()[-1]
        assert packed(TEXT[:3000]) == expected
    for thread in threads:
        thread.join()
    assert text == [TEXT[:2000]] * len(archives)


def test_weights_follow_the_scores() -> None:
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(20), 50)) + 3.0
    found = weights(scores) / weights(scores).sum(axis=1, keepdims=True)
    expected = np.exp(scores - 3.0)
    assert np.abs(np.log2(found / expected))[expected > 1e-5].max() < 2 / 1024 + 1e-4
    assert weights(np.array([[0.0, -1e300, -np.inf]])).tolist() == [[1 << 24, 1, 1]]
    assert weights(scores.astype(np.float32)[:1]).dtype == np.int64


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_none(bad: float) -> None:
    with pytest.raises(DataError, match="the model gives no finite scores"):
        weights(np.array([[0.0, bad]]))


def test_powers_of_two_are_whole_and_exact() -> None:
    powers = coder._powers()
    assert powers[0] == 1 << 24
    for i in (1, 2, 511, 512, 1023):
        root = int(powers[i])
        assert root**1024 <= 1 << (24 * 1024 - i) < (root + 1) ** 1024


@pytest.mark.parametrize("skew", [0.01, 1.0, 100.0])
def test_the_coder_alone(skew: float) -> None:
    """Any symbols, likely ones and the least likely, in any number of sequences."""
    random = np.random.default_rng(1)
    batch, steps, size = 7, 3000, 5
    table = weights(np.log(random.dirichlet(np.full(size, skew), (steps, batch)) + 1e-300).reshape(-1, size))
    table = table.reshape(steps, batch, size)
    symbols = random.integers(0, size, (steps, batch))
    encoder, parts = RangeEncoder(batch), [list[bytes]() for _ in range(batch)]
    rows = np.arange(batch)
    for place, (weight, chosen) in enumerate(zip(table, symbols, strict=True)):
        above = weight.cumsum(axis=1)
        encoder.encode(above[rows, chosen] - weight[rows, chosen], weight[rows, chosen], above[:, -1])
        if place % 1000 == 10:
            for part, piece in zip(parts, encoder.take(), strict=True):
                part.append(piece)
    encoder.finish()
    decoder = RangeDecoder([b"".join([*part, piece]) for part, piece in zip(parts, encoder.take(), strict=True)])
    for weight, chosen in zip(table, symbols, strict=True):
        assert decoder.decode(weight).tolist() == chosen.tolist()


def test_every_cut_is_refused_as_incomplete() -> None:
    whole = packed(TEXT[:3000])
    for size in [*range(len(archive.MAGIC), len(whole), 97), len(whole) - 1]:
        with pytest.raises(FormatError, match="x: the archive is incomplete: its end is missing"):
            decompress(MODEL, whole[:size], "x")


def header(data: bytes, **changes: Any) -> bytes:
    whole, file = archive.read(data, "x"), io.BytesIO()
    frames = [bytes(frame) for frame in whole.frames()]
    about = {name: value for name, value in (whole.about | changes).items() if value is not None}
    about.pop("version")
    archive.write_header(file, about | ({"version": changes["version"]} if "version" in changes else {}))
    for frame in frames:
        archive.write_frame(file, frame)
    archive.write_end(file)
    return file.getvalue()


def flipped(data: bytes) -> bytes:
    return data[:-200] + bytes([data[-200] ^ 1]) + data[-199:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: b"", "x: not an archive of elman compress"),
        (lambda d: d[1:], "x: not an archive of elman compress"),
        (flipped, "x: the archive is damaged at byte"),
        (lambda d: d + b"...", "x: 3 bytes stand behind the archive's end"),
        (lambda d: header(d, version=9), "x: version 1 of the archive expected, got 9"),
        (lambda d: header(d, model="0" * 64), "x: another model compressed this, 000000000000; name that one"),
        (lambda d: header(d, isa="vax"), "x: compressed with vax instructions, which this machine does not have"),
        (lambda d: header(d, sha256="0"), "x: what came out is not what went in"),
        (lambda d: header(d, tokens=None), "x: the archive's header lacks tokens"),
        (lambda d: header(d, tokens=-1), "x: the archive's header is damaged: -1 tokens in 1 streams of 3000 bytes"),
        (lambda d: header(d, streams=0), "x: the archive's header is damaged: 3000 tokens in 0 streams"),
        (lambda d: header(d, streams="2"), "x: the archive's header is damaged: 3000 tokens in '2' streams"),
        (lambda d: header(d, streams=5000), "x: the archive's header is damaged: 3000 tokens in 5000 streams"),
        (lambda d: header(d, tokens=3001), "x: the archive's header is damaged: 3001 tokens in 1 streams of 3000 b"),
        (lambda d: header(d, tokens=1 << 60, size=1 << 60), "x: the archive's header is damaged: .*, 2 frames"),
        (lambda d: header(d, size=True), "x: the archive's header is damaged: 3000 tokens in 1 streams of True"),
        (lambda d: header(d, model=5), "x: the archive's header is damaged: a name or a checksum is no text"),
        (lambda d: d.replace(b'{"version"', b'["version"', 1), "damaged"),
    ],
)
def test_archives_that_cannot_be_restored(damage: Callable[[bytes], bytes], message: str) -> None:
    whole = packed(TEXT[:3000])
    with pytest.raises(FormatError, match=message):
        decompress(MODEL, damage(whole), "x")


def test_a_header_that_is_no_json() -> None:
    file = io.BytesIO(archive.MAGIC)
    file.seek(0, 2)
    archive._write(file, b"H", b"{")
    archive.write_end(file)
    with pytest.raises(FormatError, match="x: the archive's header is damaged"):
        archive.read(file.getvalue(), "x")


def test_an_archive_says_what_made_it() -> None:
    about = archive.read(packed(b"abc"), "x").about
    assert (about["tokens"], about["streams"], about["size"], about["isa"]) == (3, 1, 3, isa())
    assert about["model"] == fingerprint(MODEL) != fingerprint(BYTES)
    assert json.dumps(about)


def test_progress() -> None:
    told: list[float] = []
    compress(MODEL, TEXT[:9000], io.BytesIO(), told.append)
    decompress(MODEL, packed(TEXT[:9000]), "x", told.append)
    assert all(0 <= share <= 1 for share in told)
    assert len(told) > 2


def test_a_model_of_numbers_cannot_compress() -> None:
    from dataclasses import replace

    with pytest.raises(ConfigError, match="compressing needs a model with a vocabulary"):
        packed(b"a", Model(replace(model_file(("lstm",)), vocabulary=None)))


@pytest.mark.parametrize(
    "stepper", [markov(4, 0), network(4, 0), model(symbols="abcd")], ids=["table", "user", "kernels"]
)
def test_scores(stepper: Any) -> None:
    tokens = np.random.default_rng(0).integers(0, 4, 60)
    rows = predictions(stepper, tokens[:1].tolist(), tokens[1:].tolist())
    whole = score(stepper, tokens)
    assert np.isnan(whole[0])
    np.testing.assert_array_equal(whole[1:], rows[np.arange(59), tokens[1:]])
    for cuts in ([7], [1, 2, 59], list(range(1, 60))):
        scorer = Scorer(stepper)
        chunks = [scorer.feed(chunk) for chunk in np.split(tokens, cuts)]
        assert np.concatenate(chunks).tobytes() == whole.tobytes()
    assert bits_per_token(whole) == pytest.approx(-rows[np.arange(59), tokens[1:]].mean() / math.log(2))


def test_scores_of_streams_side_by_side() -> None:
    stepper = model(symbols="abcd")
    tokens = np.random.default_rng(0).integers(0, 4, 50)
    found = score(stepper, tokens, streams=4)  # 13, 13, 12 and 12
    np.testing.assert_array_equal(found[:13], score(stepper, tokens[:13]))
    for begin, end in ((13, 26), (26, 38), (38, 50)):
        np.testing.assert_array_equal(found[begin:end], score(stepper, tokens[begin - 1 : end])[1:])
    np.testing.assert_array_equal(score(stepper, tokens[:5], streams=4), score(stepper, tokens[:5]))


def test_scores_with_a_beginning() -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    stepper = TableStepper(table)
    tokens = np.array([1, 2, 0, 0, 1, 2, 2, 1])
    expected = np.log(table[[3, *tokens[:-1]], tokens])
    np.testing.assert_allclose(score(stepper, tokens), expected)
    np.testing.assert_allclose(score(stepper, tokens, streams=2), expected)
    assert np.isnan(bits_per_token(score(markov(3, 0), [1])))


def test_scores_add_up_to_one() -> None:
    stepper = network(3, 0)
    listed = everything(stepper, [1], 3)
    sums = [np.nansum(score(stepper, [1, *tokens])) for tokens in listed]
    assert math.fsum(map(math.exp, sums)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("tokens", "streams", "error", "message"),
    [
        ([0, 4], 1, DataError, r"tokens to score must be whole numbers 0 … 3, \[N\]"),
        ([0.5], 1, DataError, "got float64"),
        ([[0]], 1, DataError, r"got int64 \(1, 1\)"),
        ([0, 1], 0, ConfigError, "streams must be a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_be_scored(tokens: Any, streams: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        score(markov(4, 0), tokens, streams)


class Bare:
    """A user's state that selects and does not join."""

    def select(self, parents: Any) -> Bare:
        return self


def test_a_user_may_join_nothing_and_still_score_alone() -> None:
    stepper = CallableStepper(lambda t, s: (np.log(np.full((len(t), 2), 0.5)), s), 2, lambda batch: Bare())
    assert bits_per_token(score(stepper, [0, 1, 1, 0])) == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="states cannot be joined, so that it reads one stream; say streams=1"):
        score(stepper, [0, 1, 1, 0], streams=2)
