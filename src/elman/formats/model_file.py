"""The model file: weights in the safetensors layout, and in its metadata the equations that they belong to.

A model carries its cells as graphs, so a reader runs cells it has never heard of, and a file whose equations were
changed, or whose weights do not fit them, is refused before anything is computed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells.layout import layout
from elman.cells.sizes import LARGEST, check_sizes
from elman.data.vocabulary import Vocabulary
from elman.equations import EquationError, Graph
from elman.errors import ConfigError, FormatError
from elman.formats import heads, safetensors, sealed
from elman.formats.atomic import atomic_write
from elman.formats.heads import HeadSpec

VERSION = 1
IN_FOLDER = "model.safetensors"  # the name of the model in the folder of a run
_KEY = "elman.model"
_DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class LayerSpec:
    """One direction of one layer.

    Attributes:
        cell: the hash of its graph.
        sizes: the number behind each of the graph's size letters.
        reverse: whether it reads the sequence from its end.
    """

    cell: str
    sizes: Mapping[str, int]
    reverse: bool = False


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model as a value: equations, stack, vocabulary, head and weights.

    Attributes:
        graphs: the cells' equations by hash.
        layers: the stack from the input up; an entry is one direction, or a forward and a reverse one whose outputs are
            joined, forward first.
        vocabulary: what tokens mean, for a model whose input is tokens (one-hot of the first layer's D).
        head: what stands on top, or None.
        tensors: float32 or float64, all alike: "layers.0.W", "layers.0.reverse.W" and so on as
            `elman.cells.layout` names them, and those of the head.
        extra: plain JSON values about the model (how it was trained).
    """

    graphs: Mapping[str, Graph]
    layers: tuple[tuple[LayerSpec, ...], ...]
    vocabulary: Vocabulary | None
    head: HeadSpec | None
    tensors: Mapping[str, NDArray[Any]]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def weights(self, layer: int, reverse: bool = False) -> dict[str, NDArray[Any]]:
        """The tensors of one direction of a layer, by their names in `elman.cells.layout`."""
        spec = next(spec for spec in self.layers[layer] if spec.reverse == reverse)
        slots = layout(self.graphs[spec.cell], spec.sizes)
        return {slot.name: self.tensors[_prefix(layer, spec) + slot.name] for slot in slots}


def save(path: str | os.PathLike[str], model: ModelFile) -> None:
    """Write a model file, whole or not at all; see `dumps`.

    Raises:
        OSError: the folder cannot be written.
    """
    data = dumps(model, str(path))
    with atomic_write(path) as file:
        file.write(data)


def dumps(model: ModelFile, source: str = "the model") -> bytes:
    """Give the bytes of a model file.

    Args:
        model: all of it.
        source: what to call it in errors.

    Raises:
        FormatError: the parts of the model do not fit one another, or `extra` is not plain JSON.
    """
    _check(model, source)
    about = {
        "version": VERSION,
        "graphs": {name: graph.to_json() for name, graph in model.graphs.items()},
        "layers": [
            [{"cell": spec.cell, "sizes": dict(spec.sizes), "reverse": spec.reverse} for spec in entry]
            for entry in model.layers
        ],
        "vocabulary": model.vocabulary.to_json() if model.vocabulary else None,
        "head": model.head.to_json() if model.head else None,
        "extra": dict(model.extra),
    }
    try:
        text = json.dumps(about)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{source}: the model's extra must be plain JSON values: {error}") from None
    return sealed.dumps(model.tensors, {_KEY: text})


def load(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file.

    Raises:
        FormatError: not a model file, a damaged one, one of another version, or one whose parts do not fit.
    """
    tensors, metadata = sealed.loads(safetensors.read_bytes(path), str(path))
    if _KEY not in metadata:
        raise FormatError(
            f"{path}: holds no model's equations; a safetensors file of something else, or of weights alone?"
        )
    try:
        about = json.loads(metadata[_KEY])
        if about["version"] != VERSION:
            raise FormatError(f"{path}: version {VERSION} of the model file expected, got {about['version']}")
        model = ModelFile(
            graphs={name: Graph.from_json(graph) for name, graph in about["graphs"].items()},
            layers=tuple(tuple(_spec(spec) for spec in entry) for entry in about["layers"]),
            vocabulary=None if about["vocabulary"] is None else Vocabulary.from_json(about["vocabulary"]),
            head=None if about["head"] is None else heads.from_json(about["head"]),
            tensors=tensors,
            extra=dict(about["extra"]),
        )
    except (AttributeError, EquationError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: the model's description is damaged: {error!r}") from error
    _check(model, str(path))
    return model


def _spec(data: Mapping[str, Any]) -> LayerSpec:
    if not isinstance(data["cell"], str) or type(data["reverse"]) is not bool:
        raise TypeError(f"a layer's cell must be a hash and reverse true or false, got {data!r}")
    return LayerSpec(data["cell"], dict(data["sizes"]), data["reverse"])


def _prefix(layer: int, spec: LayerSpec) -> str:
    return f"layers.{layer}.{'reverse.' if spec.reverse else ''}"


def _check(model: ModelFile, source: str) -> None:
    """Raise FormatError with every fault at once; the stack first, because the tensors' shapes follow from it."""
    for find in (_graph_faults, _stack_faults, _end_faults, _tensor_faults):
        if faults := list(find(model)):
            raise FormatError(f"{source}: " + "; ".join(faults))


def _graph_faults(model: ModelFile) -> Iterator[str]:
    for name, graph in model.graphs.items():
        if graph.hash != name:
            yield f"the equations of {graph.name} hash to {graph.hash[:12]}, {name[:12]} was saved: changed since?"
        if not graph.inputs:
            yield f"the equations of {graph.name} have no input"
    if not model.layers:
        yield "at least one layer expected, got none"
    for layer, entry in enumerate(model.layers):
        if [spec.reverse for spec in entry] not in ([False], [True], [False, True]):
            yield f"layer {layer} must be one direction, or forward and reverse"
        for spec in entry:
            if spec.cell not in model.graphs:
                yield f"layer {layer} uses a cell that the file lacks: {spec.cell[:12]}"


def _stack_faults(model: ModelFile) -> Iterator[str]:
    below = None
    for layer, entry in enumerate(model.layers):
        width = 0
        for spec in entry:
            graph = model.graphs[spec.cell]
            if set(spec.sizes) != set(graph.letters) or not all(map(_is_size, spec.sizes.values())):
                needed = f"a size from 1 to {LARGEST - 1:,} for {', '.join(graph.letters)}"
                yield f"layer {layer} ({graph.name}) needs {needed}, got {spec.sizes}"
                return
            try:
                check_sizes(graph, spec.sizes)
            except ConfigError as error:
                yield f"layer {layer}: {error}"
                return
            fed = _width(graph.inputs[0].size, spec)
            if below is not None and fed != below:
                yield f"layer {layer} ({graph.name}) reads {fed} values, the layer below gives {below}"
            width += _width(graph.output_size, spec)
        below = width


def _end_faults(model: ModelFile) -> Iterator[str]:
    head, vocabulary = model.head, model.vocabulary
    if vocabulary is None:
        return
    for spec in model.layers[0]:
        fed = _width(model.graphs[spec.cell].inputs[0].size, spec)
        if fed != len(vocabulary):
            yield f"the first layer reads {fed} tokens, the vocabulary has {len(vocabulary)}"
    if isinstance(head, heads.Softmax) and head.size != len(vocabulary):
        yield f"the head gives {head.size} tokens, the vocabulary has {len(vocabulary)}"


def _tensor_faults(model: ModelFile) -> Iterator[str]:
    expected = _shapes(model)
    if missing := sorted(expected.keys() - model.tensors.keys()):
        yield f"missing tensors: {', '.join(missing)}"
    if unexpected := sorted(model.tensors.keys() - expected.keys()):
        yield f"unexpected tensors: {', '.join(unexpected)}"
    for name in sorted(expected.keys() & model.tensors.keys()):
        shape = model.tensors[name].shape
        if shape != expected[name]:
            hint = "; transposed?" if shape == expected[name][::-1] else ""
            yield f"{name} must be {list(expected[name])}, got {list(shape)}{hint}"
    dtypes = sorted({str(np.asarray(tensor).dtype) for tensor in model.tensors.values()})
    if dtypes not in ([_DTYPES[0]], [_DTYPES[1]], []):
        yield f"tensors must be all {' or all '.join(_DTYPES)}, got {', '.join(dtypes)}"


def _shapes(model: ModelFile) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for layer, entry in enumerate(model.layers):
        for spec in entry:
            for slot in layout(model.graphs[spec.cell], spec.sizes):
                shapes[_prefix(layer, spec) + slot.name] = slot.shape
    if model.head is not None:
        width = sum(_width(model.graphs[spec.cell].output_size, spec) for spec in model.layers[-1])
        shapes |= model.head.shapes(width)
    return shapes


def _width(letter: str, spec: LayerSpec) -> int:
    return 1 if letter == "1" else spec.sizes[letter]


def _is_size(value: object) -> bool:
    return type(value) is int and 1 <= value < LARGEST
