"""Streams: step by step, with the state as a value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elman
from elman import cells
from elman.cells.layout import layout
from elman.data import Vocabulary
from elman.errors import ConfigError, DtypeError, FormatError, ShapeError
from elman.formats import model_file
from elman.formats.heads import Softmax
from elman.formats.model_file import LayerSpec, ModelFile
from elman.runtime import Model
from elman.runtime.room import free_memory
from elman.runtime.rows import RowStepper
from elman.state import State
from tests.tolerances import assert_close

V, H = 5, 6
STREAMING = [name for name in cells.names() if len(cells.get(name).graph.inputs) == 1]


def build(*names: str, head: bool = True, reverse: bool = False, dtype: str = "float32") -> ModelFile:
    """A model of random weights with one layer for each name."""
    random = np.random.default_rng(0)
    graphs, layers, tensors, width = {}, [], {}, V
    for index, name in enumerate(names):
        graph = cells.get(name).graph
        sizes = {letter: width if letter == "D" else H for letter in graph.letters}
        graphs[graph.hash] = graph
        layers.append((LayerSpec(graph.hash, sizes, reverse),))
        prefix = f"layers.{index}.{'reverse.' if reverse else ''}"
        for slot in layout(graph, sizes):
            tensors[prefix + slot.name] = random.normal(0, 0.5, slot.shape).astype(dtype)
        width = H
    if head:
        tensors |= {"head.weight": random.normal(size=(V, H)).astype(dtype), "head.bias": np.zeros(V, dtype)}
    vocabulary = Vocabulary.characters("abcde") if head else None
    return ModelFile(graphs, tuple(layers), vocabulary, Softmax(V) if head else None, tensors)


def test_load_takes_a_file_or_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model_file.save(path, build("lstm"))
    for place in (path, tmp_path, str(tmp_path)):
        model = elman.load(place)
        assert model.vocabulary == Vocabulary.characters("abcde")
        assert model.cell == "lstm"


def test_load_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model\.safetensors in this folder"):
        elman.load(tmp_path)
    with pytest.raises(FormatError, match="there is no such file"):
        elman.load(tmp_path / "none")
    (tmp_path / "model.safetensors").write_bytes(b"\x10")
    with pytest.raises(FormatError):
        elman.load(tmp_path)


@pytest.mark.parametrize("name", STREAMING)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3])
def test_kernels_and_reference_agree(name: str, dtype: str, batch: int) -> None:
    model = Model(build(name, name, dtype=dtype))
    fused, reference = model.stream(batch), model.stream(batch, reference=True)
    random = np.random.default_rng(1)
    for step in range(10):
        x = random.integers(0, V, batch) if step % 2 else random.normal(size=(batch, V))
        got, expected = fused.step(x), reference.step(x)
        assert got.dtype == dtype
        assert_close(got, expected, "layer", dtype, f"step {step}")
    for key, array in reference.state.items():
        assert_close(fused.state[key], array, "layer", dtype, key)


@pytest.mark.parametrize("name", STREAMING)
def test_a_token_is_a_one_hot_row_and_a_batch_is_its_rows(name: str) -> None:
    """Bit for bit: by table or by product, alone or beside others."""
    model = Model(build(name, head=False))
    tokens = np.random.default_rng(2).integers(0, V, (8, 3))
    together = model.stream(3)
    alone = [model.stream() for _ in range(3)]
    for row in tokens:
        expected = together.step(row)
        for b, stream in enumerate(alone):
            np.testing.assert_array_equal(stream.step(np.eye(V)[row[b]]), expected[b])


def test_what_a_step_returns_stays() -> None:
    stream = Model(build("gru", head=False)).stream()
    outputs = [stream.step(1) for _ in range(4)]
    copies = [output.copy() for output in outputs]
    stream.step(2)
    np.testing.assert_array_equal(outputs, copies)
    assert not np.array_equal(outputs[0], outputs[2])


def test_streams_are_independent_and_reset() -> None:
    model = Model(build("gru"))
    a, b = model.stream(), model.stream()
    first = a.step(2)
    a.step(3)
    np.testing.assert_array_equal(b.step(2), first)
    a.reset()
    np.testing.assert_array_equal(a.step(2), first)


def test_state_is_a_value() -> None:
    """A saved state goes on as the stream did, and is not touched by it."""
    stream = Model(build("lstm", "lstm")).stream(batch=2)
    stream.step(np.array([1, 4]))
    kept = stream.state
    assert {name: array.shape for name, array in kept.items()} == {"h": (2, 2, H), "c": (2, 2, H)}
    after = [stream.step(np.array([t, 0])) for t in range(3)]
    stream.state = kept
    again = [stream.step(np.array([t, 0])) for t in range(3)]
    np.testing.assert_array_equal(after, again)
    other = Model(build("lstm", "lstm")).stream(batch=2)
    other.state = kept.select([1, 0])
    stream.state = kept
    np.testing.assert_array_equal(other.step(np.array([3, 2]))[::-1], stream.step(np.array([2, 3])))


def test_unlike_layers_keep_their_states_apart() -> None:
    stream = Model(build("lstm", "gru")).stream()
    stream.step(1)
    kept = stream.state
    assert {name: array.shape for name, array in kept.items()} == dict.fromkeys(("h.0", "c.0", "h.1"), (1, 1, H))
    after = stream.step(2)
    stream.state = kept
    np.testing.assert_array_equal(stream.step(2), after)


def test_start_values() -> None:
    graph = elman.cell(inputs="x:H", states="h", start={"h": 0.25})(_total).graph
    sizes = dict.fromkeys(graph.letters, V)
    tensors = {"layers.0.b": np.zeros(V, np.float32)}
    file = ModelFile({graph.hash: graph}, ((LayerSpec(graph.hash, sizes),),), None, None, tensors)
    stream = Model(file).stream()
    assert (stream.state["h"] == 0.25).all()
    np.testing.assert_array_equal(stream.step(np.ones(V, np.float32)), np.full(V, 1.25, np.float32))
    stream.reset()
    assert (stream.state["h"] == 0.25).all()


def _total(x, h, b):  # type: ignore[no-untyped-def]
    return x + h + b


def test_batch_axis_is_left_out_together() -> None:
    model = Model(build("gru"))
    assert model.stream().step(3).shape == (V,)
    assert model.stream().step(np.array([3])).shape == (1, V)
    one_hot = np.eye(V)[3]
    np.testing.assert_array_equal(model.stream().step(one_hot), model.stream().step(3))
    assert Model(build("gru", head=False)).stream(batch=2).step(np.zeros((2, V))).shape == (2, H)


def test_steps_that_are_refused() -> None:
    stream = Model(build("gru")).stream(batch=2)
    before = stream.state
    for x, error, message in [
        (np.array([1, V]), ShapeError, "tokens must be 0 … 4, got 1 … 5"),
        (np.array([-1, 1]), ShapeError, "tokens must be 0"),
        (np.array([1]), ShapeError, r"tokens \[2\] expected, got \[1\]"),
        (np.zeros((2, V + 1)), ShapeError, r"floats \[2, 5\] expected, got \[2, 6\]"),
        (np.array(["a", "b"]), DtypeError, "integer tokens"),
        (np.array([True, False]), DtypeError, "got bool"),
    ]:
        with pytest.raises(error, match=message):
            stream.step(x)
    assert all((stream.state[name] == before[name]).all() for name in before)
    with pytest.raises(ShapeError, match="this stream's state must be"):
        stream.state = Model(build("gru")).stream(batch=3).state
    with pytest.raises(ConfigError, match="batch must be a whole number 1 … 2147483647, got 0"):
        Model(build("gru")).stream(batch=0)
    for x in ([[1, 2], [3]], None, "ab"):
        with pytest.raises(DtypeError, match=r"step: integer tokens \[B\] or floats \[B, D\] expected, got"):
            stream.step(x)  # type: ignore[arg-type]


def test_more_sequences_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is taken: the system would give it, and end the process later."""
    monkeypatch.setattr("elman.runtime.room.free_memory", lambda: 1 << 30)
    model = Model(build("gru"))
    monkeypatch.setattr("elman.runtime.pipeline.PipelineStepper", None)  # nobody asks for a place
    for begin in (model.stream, RowStepper(model).start):
        with pytest.raises(ConfigError, match=r"1,000,000,000 sequences side by side take \d+.* GiB, and 1.0 GiB are"):
            begin(10**9)
    assert RowStepper(model).start(1000).batch == 1000


def test_what_is_free_is_a_number_of_bytes() -> None:
    assert 0 < free_memory() < 1 << 50


def test_a_state_of_another_kind() -> None:
    stream = Model(build("gru")).stream()
    stream.step(1)
    before = stream.state
    for wrong, error, message in [
        (None, ConfigError, "state must be a State, as stream.state gives one, got None"),
        ({"h": before["h"]}, ConfigError, "state must be a State"),
        (State({"h": before["h"].astype(complex)}), DtypeError, "this stream's state must be float32, got complex128"),
        (State({"h": before["h"][:, :, :2]}), ShapeError, "this stream's state must be"),
    ]:
        with pytest.raises(error, match=message):
            stream.state = wrong  # type: ignore[assignment]
    np.testing.assert_array_equal(stream.state["h"], before["h"])
    stream.state = State({"h": before["h"].astype(np.float64)})
    np.testing.assert_array_equal(stream.state["h"], before["h"])


def test_models_that_cannot_stream() -> None:
    with pytest.raises(ConfigError, match="reads a sequence from its end"):
        Model(build("gru", reverse=True)).stream()
    with pytest.raises(ConfigError, match="takes the inputs x, dt"):
        Model(build("leaky_elman")).stream()


def test_without_torch(tmp_path: Path) -> None:
    """Loading, streaming and drawing bring in nothing but numpy."""
    model_file.save(tmp_path / "model.safetensors", build("lstm"))
    code = (
        "import sys, elman, elman.decode\n"
        f"model = elman.load({str(tmp_path)!r})\n"
        "assert len(list(elman.decode.sample(elman.decode.ModelStepper(model), [0], 20))) == 20\n"
        "print([name for name in ('torch', 'sklearn', 'matplotlib', 'tyro', 'msgspec', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
