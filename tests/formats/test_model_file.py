import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elman import cells
from elman.cells.layout import layout
from elman.data import Vocabulary
from elman.equations import cell, tanh
from elman.errors import FormatError
from elman.formats import safetensors
from elman.formats.heads import Softmax
from elman.formats.model_file import LayerSpec, ModelFile, load, save
from elman.runtime import Model
from tests.tolerances import assert_close

GOLDEN = Path(__file__).parent / "golden"
SIZE = {"D": 3, "H": 4, "P": 2}


def sizes_of(graph, width):
    return {letter: width if letter == "D" else SIZE[letter] for letter in graph.letters}


def stack(*entries, vocabulary="abc", dtype=np.float32):
    """A model of random weights; an entry is a list of (cell, reverse)."""
    rng = np.random.default_rng(0)
    graphs, layers, tensors, width = {}, [], {}, len(vocabulary)
    for index, entry in enumerate(entries):
        specs = []
        for one, reverse in entry:
            spec = LayerSpec(one.graph.hash, sizes_of(one.graph, width), reverse)
            graphs[spec.cell] = one.graph
            specs.append(spec)
            for slot in layout(one.graph, spec.sizes):
                name = f"layers.{index}.{'reverse.' * reverse}{slot.name}"
                tensors[name] = rng.normal(size=slot.shape).astype(dtype)
        width = sum(spec.sizes[graphs[spec.cell].output_size] for spec in specs)
        layers.append(tuple(specs))
    size = len(vocabulary)
    tensors["head.weight"] = rng.normal(size=(size, width)).astype(dtype)
    tensors["head.bias"] = rng.normal(size=size).astype(dtype)
    head = Softmax(size)
    return ModelFile(
        graphs, tuple(layers), Vocabulary.characters(vocabulary), head, tensors, {"bits": 1.5, "runs": [1]}
    )


@cell(states="memory")
def homemade(x, memory, A, B):
    """A cell that no reader has heard of."""
    return tanh(A.one @ x + B.two @ memory)


def same(read, written):
    assert read.graphs == written.graphs
    assert read.layers == written.layers
    assert (read.vocabulary, read.head, read.extra) == (written.vocabulary, written.head, written.extra)
    assert read.tensors.keys() == written.tensors.keys()
    for name, tensor in written.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor, strict=True)


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_is_saved_and_loaded(name, tmp_path):
    model = stack([(cells.get(name), False)])
    save(tmp_path / "model", model)
    same(load(tmp_path / "model"), model)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stack_of_many_kinds_is_saved_and_loaded(dtype, tmp_path):
    lstm, gru = cells.get("lstm"), cells.get("gru")
    model = stack([(lstm, False), (gru, True)], [(homemade, False)], [(lstm, True)], dtype=dtype)
    save(tmp_path / "model", model)
    read = load(tmp_path / "model")
    same(read, model)
    assert read.weights(0)["W"].shape == (4 * 4, 3)
    assert read.weights(0, reverse=True)["W"].shape == (3 * 4, 3)
    np.testing.assert_array_equal(read.weights(2, reverse=True)["U"], model.tensors["layers.2.reverse.U"])


def test_a_model_without_vocabulary_and_head_is_saved_and_loaded(tmp_path):
    model = stack([(cells.get("lstm"), False)])
    tensors = {name: tensor for name, tensor in model.tensors.items() if not name.startswith("head")}
    bare = replace(model, vocabulary=None, head=None, tensors=tensors, extra={})
    save(tmp_path / "model", bare)
    same(load(tmp_path / "model"), bare)


def test_any_safetensors_reader_sees_the_weights(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    model = stack([(homemade, False)])
    save(tmp_path / "model", model)
    read = library.load_file(tmp_path / "model")
    assert read.keys() == model.tensors.keys()
    assert all((read[name] == tensor).all() for name, tensor in model.tensors.items())


def wrong(model, **tensors):
    return replace(model, tensors={k: v for k, v in (dict(model.tensors) | tensors).items() if v is not None})


def test_all_missing_and_unexpected_tensors_and_shapes_are_listed_at_once(tmp_path):
    model = stack([(cells.get("lstm"), False)])
    model = wrong(model, **{"layers.0.U": None, "head.bias": None, "layers.1.W": np.zeros(1), "extra": np.zeros(1)})
    model = wrong(model, **{"layers.0.W": model.tensors["layers.0.W"].T, "layers.0.b": np.zeros(5, np.float32)})
    with pytest.raises(FormatError) as refused:
        save(tmp_path / "model", model)
    message = str(refused.value)
    assert "missing tensors: head.bias, layers.0.U;" in message
    assert "unexpected tensors: extra, layers.1.W;" in message
    assert "layers.0.W must be [16, 3], got [3, 16]; transposed?" in message
    assert "layers.0.b must be [16], got [5]" in message
    assert not (tmp_path / "model").exists()


def layers_of(model, **sizes):
    spec = model.layers[0][0]
    return replace(model, layers=((replace(spec, sizes={**spec.sizes, **sizes}),),))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda m: replace(m, layers=()), "at least one layer"),
        (lambda m: replace(m, layers=(m.layers[0] * 2,)), "forward and reverse"),
        (lambda m: replace(m, layers=((),)), "forward and reverse"),
        (lambda m: replace(m, layers=((replace(m.layers[0][0], cell="f" * 64),),)), "lacks: ffff"),
        (lambda m: replace(m, graphs={next(iter(m.graphs)): homemade.graph}), "changed since"),
        (lambda m: layers_of(m, Q=3), "needs a size from 1 to 536,870,911 for D, H"),
        (lambda m: layers_of(m, H=0), "needs a size from 1"),
        (lambda m: layers_of(m, H=1 << 29), "needs a size from 1"),
        (lambda m: layers_of(m, H=10**30), "needs a size from 1"),
        (lambda m: layers_of(m, H=True), "needs a size from 1"),
        (lambda m: replace(m, layers=m.layers * 2), "reads 3 values, the layer below gives 4"),
        (lambda m: replace(m, head=Softmax(9)), "gives 9 tokens, the vocabulary has 3"),
        (lambda m: replace(m, vocabulary=Vocabulary.characters("ab")), "reads 3 tokens, the vocabulary has 2"),
        (lambda m: wrong(m, **{"head.bias": np.zeros(3)}), "all float32 or all float64, got float32, float64"),
        (lambda m: replace(m, tensors={n: t.astype(int) for n, t in m.tensors.items()}), "got int64"),
        (lambda m: replace(m, extra={"what": object()}), "plain JSON"),
    ],
)
def test_a_model_whose_parts_do_not_fit_is_not_written(break_it, words, tmp_path):
    with pytest.raises(FormatError, match=words):
        save(tmp_path / "model", break_it(stack([(cells.get("lstm"), False)])))
    assert list(tmp_path.iterdir()) == []


def edited(path, edit):
    """Change the description in a saved model behind the writer's back."""
    tensors, metadata = safetensors.load(path)
    about = json.loads(metadata["elman.model"])
    about = edit(about) or about  # most edits change it in place
    safetensors.save(path, tensors, {"elman.model": json.dumps(about)})


def first_graph(about):
    return next(iter(about["graphs"].values()))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda about: about.update(version=2), "version 1 of the model file expected, got 2"),
        (lambda about: about.__delitem__("layers"), "damaged.*layers"),
        (lambda about: about.update(graphs=[]), "damaged"),
        (lambda about: about.update(layers=[[{"cell": 1}]]), "damaged"),
        (lambda about: about.update(vocabulary={"kind": "words", "symbols": ""}), "kind"),
        (lambda about: about.update(head=3), "damaged"),
        (lambda about: about.update(head={"kind": "mixture", "size": 3}), "got 'mixture'; written by a later version"),
        (lambda about: about.update(head={"kind": ["softmax"], "size": 3}), "later version"),
        (lambda about: about.update(head={"kind": "softmax", "size": 3.0}), "needs a size of at least 1, got 3.0"),
        (lambda about: about.update(head={"kind": "softmax", "width": 3}), "does not have the sizes width"),
        (lambda about: first_graph(about).update(output="c"), "changed since"),
        (lambda about: first_graph(about)["parameters"].reverse(), "changed since"),
        (lambda about: first_graph(about)["nodes"].append({"op": "launch", "size": "H"}), "damaged.*launch"),
        (lambda about: first_graph(about)["nodes"].extend(200 * first_graph(about)["nodes"]), "nodes, 4,096 at most"),
        (lambda about: about["layers"][0][0].update(reverse=1), "damaged.*reverse"),
        (lambda about: [about], "damaged"),
    ],
)
def test_a_description_changed_behind_the_writer_s_back_is_refused(edit, words, tmp_path):
    save(tmp_path / "model", stack([(cells.get("lstm"), False)]))
    edited(tmp_path / "model", lambda about: None)
    load(tmp_path / "model")
    edited(tmp_path / "model", edit)
    with pytest.raises(FormatError, match=words):
        load(tmp_path / "model")


def test_a_changed_weight_is_told(tmp_path):
    path = tmp_path / "model"
    save(path, stack([(cells.get("lstm"), False)]))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="its checksum is wrong"):
        load(path)


def test_weights_alone_are_no_model(tmp_path):
    safetensors.save(tmp_path / "weights", {"layers.0.W": np.zeros(3)})
    with pytest.raises(FormatError, match="no model's equations"):
        load(tmp_path / "weights")


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        load(tmp_path / "model")


def test_no_cut_file_is_read_as_a_model(tmp_path):
    save(tmp_path / "model", stack([(homemade, False)]))
    whole = (tmp_path / "model").read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "model").write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load(tmp_path / "model")


def test_models_are_read_without_torch():
    program = "import sys, elman.formats.model_file; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_file_of_version_1_still_loads():
    """Written by an earlier Elman after a short run; what it says was noted then."""
    model = load(GOLDEN / "gru-version-1.safetensors")
    assert model.head == Softmax(30)
    assert model.extra == {"task": "text", "step": 24, "bits_per_character": 4.768060343086867}
    stream = Model(model).stream()
    logits = [stream.step([int(token)]) for token in model.vocabulary.encode("the quick")]
    assert_close(logits[-1][0, :4], [-0.07010344, 0.2959855, 0.14566803, -0.19361822], "layer", "float32")
