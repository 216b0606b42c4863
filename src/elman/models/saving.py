"""A network as the value that a model file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.cells.layout import layout
from elman.data.vocabulary import Vocabulary
from elman.formats.model_file import LayerSpec, ModelFile
from elman.models.network import Network


def to_model_file(network: Network, vocabulary: Vocabulary, extra: Mapping[str, Any] | None = None) -> ModelFile:
    """The network as a value that needs no torch: equations, stack, vocabulary, head and weights (copied).

    Args:
        network: any device; weights are saved as they are, float32 or float64.
        vocabulary: what the tokens mean.
        extra: facts to keep beside it, plain JSON values.
    """
    recurrent = network.recurrent
    graph = recurrent.graph
    stack, tensors = [], {}
    for layer in range(recurrent.num_layers):
        found = recurrent.layer_sizes(layer)
        sizes = {letter: found[letter] for letter in graph.letters}
        stack.append((LayerSpec(graph.hash, sizes, reverse=False),))
        for slot in layout(graph, sizes):
            tensors[f"layers.{layer}.{slot.name}"] = getattr(recurrent, f"{slot.name}_l{layer}")
    tensors |= {"head.weight": network.head.weight, "head.bias": network.head.bias}
    return ModelFile(
        graphs={graph.hash: graph},
        layers=tuple(stack),
        vocabulary=vocabulary,
        head=network.head_spec,
        tensors={name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()},
        extra=dict(extra or {}),
    )
