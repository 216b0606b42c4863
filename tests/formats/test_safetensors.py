"""Our reader and writer of the safetensors layout against the library's, and against files that break it."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from elman.errors import DtypeError, FormatError
from elman.formats.safetensors import dumps, load, loads, save

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
ANY_ARRAY = st.sampled_from(DTYPES).flatmap(
    lambda code: arrays.arrays(code, arrays.array_shapes(min_dims=0, min_side=0))
)
NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
TENSORS = st.dictionaries(NAMES.filter(lambda name: name != "__metadata__"), ANY_ARRAY, max_size=5)


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype
        assert ours[name].shape == theirs[name].shape
        assert ours[name].tobytes() == theirs[name].tobytes()


@given(TENSORS, st.dictionaries(NAMES, NAMES, max_size=3))
def test_what_is_written_is_read(tensors, metadata):
    read, read_metadata = loads(dumps(tensors, metadata))
    same(read, tensors)
    assert read_metadata == metadata
    for array in read.values():
        assert array.flags.writeable
        assert array.flags.aligned


@given(TENSORS)
def test_the_library_reads_what_we_write_and_we_read_what_it_writes(tensors):
    library = pytest.importorskip("safetensors.numpy")
    same(library.load(dumps(tensors)), tensors)
    same(loads(library.save(tensors))[0], tensors)


def test_metadata_reaches_the_library(tmp_path):
    library = pytest.importorskip("safetensors")
    save(tmp_path / "a", {"x": np.zeros(2)}, {"about": "ünïcode"})
    with library.safe_open(tmp_path / "a", "np") as file:
        assert file.metadata() == {"about": "ünïcode"}


def test_bytes_depend_on_neither_order_nor_layout():
    x, y = np.arange(6.0).reshape(2, 3), np.ones(3, np.uint8)
    big = np.asfortranarray(x).astype(">f8")
    assert dumps({"x": x, "y": y}) == dumps({"y": y, "x": big})


def test_every_tensor_lies_aligned():
    data = dumps({"a": np.zeros(3, np.uint8), "b": np.zeros(2, np.float64), "c": np.zeros(5, np.float32)})
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    assert all((8 + length + header[name]["data_offsets"][0]) % size == 0 for name, size in [("b", 8), ("c", 4)])


def file_of(header, body=b""):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


BODY = np.arange(2, dtype=np.float32).tobytes()


def test_the_file_that_the_broken_ones_are_made_from_is_sound():
    assert loads(file_of({"x": entry()}, BODY))[0]["x"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "8 bytes at least"),
        (b"1234567", "8 bytes at least"),
        (struct.pack("<Q", 2**63) + b"{}", "cut short"),
        (struct.pack("<Q", 100) + b"{}", "cut short"),
        (file_of(b"\xff\xfe"), "not JSON"),
        (file_of(b"{"), "not JSON"),
        (file_of(b"[" * 100_000), "not JSON"),
        (file_of(b'{"x":' + b"1" * 5000 + b"}"), "not JSON"),
        (file_of([]), "must be a JSON object"),
        (file_of(b'{"x": {}, "x": {}}'), "stands twice"),
        (file_of({"__metadata__": {"a": 1}}), "map names to text"),
        (file_of({"__metadata__": []}), "map names to text"),
        (file_of({"x": 3}), "needs dtype, shape"),
        (file_of({"x": {"dtype": "F32", "shape": [2]}}, BODY), "needs dtype, shape"),
        (file_of({"x": entry("BF16", offsets=(0, 4))}, BODY[:4]), "is BF16.*convert"),
        (file_of({"x": entry([])}, BODY), "convert"),
        (file_of({"x": entry(shape=(-2,))}, BODY), "must be counts"),
        (file_of({"x": entry(shape=(2.0,))}, BODY), "must be counts"),
        (file_of({"x": entry(shape=(True, 2))}, BODY), "must be counts"),
        (file_of({"x": entry(offsets=(0, 4, 8))}, BODY), "must be counts"),
        (file_of({"x": entry(offsets=(-8, 0))}, BODY), "must be counts"),
        (file_of({"x": entry(shape=(1,) * 65, offsets=(0, 4))}, BODY), "must be counts"),
        (file_of({"x": entry(shape=(3,))}, BODY), "needs 12 bytes, its offsets give 8"),
        (file_of({"x": entry(shape=(0, 2**70), offsets=(0, 0))}), "cannot make the shape"),
        (file_of({"x": entry(), "y": entry(offsets=(4, 12))}, BODY + BODY), "overlaps"),
        (file_of({"x": entry(), "y": entry()}, BODY), "overlaps"),
        (file_of({"x": entry(), "y": entry(offsets=(12, 20))}, BODY * 3), "leaves a hole"),
        (file_of({"x": entry(offsets=(4, 12))}, BODY * 2), "leaves a hole"),
        (file_of({"x": entry()}, BODY[:-1]), "cut short"),
        (file_of({"x": entry()}, BODY + b"!"), "appended"),
        (file_of({"x": entry("BOOL", offsets=(0, 2))}, b"\x01\x02"), "other than 0 and 1"),
    ],
)
def test_a_broken_file_is_refused(data, words):
    with pytest.raises(FormatError, match=words):
        loads(data)


@given(st.binary(max_size=80), st.data())
def test_no_bytes_crash_the_reader(noise, data):
    whole = file_of({"x": entry()}, BODY)
    at = data.draw(st.integers(0, len(whole)))
    for broken in (noise, whole[:at] + noise + whole[at:], whole[:at] + noise):
        try:
            tensors, _ = loads(broken)
        except FormatError:
            continue
        assert dumps(tensors)  # what is accepted is sound


@pytest.mark.parametrize("prepare", [lambda path: None, lambda path: path.mkdir(), lambda path: path.touch()])
def test_a_file_that_is_missing_a_folder_or_empty_is_named(tmp_path, prepare):
    path = tmp_path / "model.safetensors"
    prepare(path)
    with pytest.raises(FormatError, match=r"model\.safetensors"):
        load(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "error"),
    [
        ({"x": np.zeros(2, complex)}, None, DtypeError),
        ({"x": np.array(["a"])}, None, DtypeError),
        ({"x": np.array([None])}, None, DtypeError),
        ({"__metadata__": np.zeros(1)}, None, FormatError),
        ({3: np.zeros(1)}, None, FormatError),
        ({"\ud800": np.zeros(1)}, None, FormatError),
        ({}, {"a": 1}, FormatError),
    ],
)
def test_what_the_layout_cannot_hold_is_not_written(tmp_path, tensors, metadata, error):
    with pytest.raises(error):
        save(tmp_path / "a", tensors, metadata)
    assert list(tmp_path.iterdir()) == []
