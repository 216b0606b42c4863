"""A language model: tokens → recurrent stack → linear head → logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from elman.cells.layout import layout
from elman.data.vocabulary import Vocabulary
from elman.equations import Cell, Graph
from elman.errors import ConfigError
from elman.formats.model_file import LayerSpec, ModelFile
from elman.models.sizes import layer_sizes
from elman.nn import Linear, Recurrent
from elman.nn.functional import linear_cross_entropy
from elman.state import State

INPUT_DEVIATION = 0.5  # of the first layer's input weights: a token reads one column, however many there are
FORGET_BIAS = 1.0


class LanguageModel(torch.nn.Module):
    """Predicts the next token from all before it.

    Args:
        cell: the recurrence; its one input is the token.
        vocabulary_size: V, tokens are 0 … V - 1.
        hidden_size: H of every layer, and the number behind the cell's other size letters.
        num_layers: layers of the stack.
        dropout: share of the values between the layers and before the head that is zeroed in training, 0 … 1.

    Raises:
        ConfigError: the cell has inputs that text does not give.
    """

    def __init__(
        self, cell: Cell, vocabulary_size: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.recurrent = _recurrent(cell, vocabulary_size, hidden_size, num_layers, dropout)
        output_size = layer_sizes(cell.graph, vocabulary_size, hidden_size)[cell.graph.output_size]
        self.dropout = torch.nn.Dropout(dropout)
        self.head = Linear(output_size, vocabulary_size)
        initialise(self)

    def forward(self, tokens: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Logits [T, B, V] of the token after each of `tokens` [T, B], and the state after the last."""
        output, state = self.recurrent(tokens, state)
        return self.head(self.dropout(output)), state

    def loss(
        self, tokens: torch.Tensor, targets: torch.Tensor, state: State | None = None, *, reduction: str = "mean"
    ) -> tuple[torch.Tensor, State]:
        """Cross-entropy in nats of `targets` [T, B], the token after each of `tokens`, and the state after the last.

        No logits of all steps are made; see `elman.nn.functional.linear_cross_entropy`, also for `reduction`.
        """
        output, state = self.recurrent(tokens, state)
        weight, bias = self.head.weight, self.head.bias
        return linear_cross_entropy(self.dropout(output), weight, bias, targets, reduction=reduction), state


def _recurrent(cell: Cell, vocabulary_size: int, hidden_size: int, num_layers: int, dropout: float) -> Recurrent:
    inputs = [port.name for port in cell.graph.inputs]
    if len(inputs) != 1 or cell.graph.inputs[0].size != "D":
        raise ConfigError(f"{cell.name} takes the inputs {', '.join(inputs)}; a text gives one: choose another cell")
    between = dropout if num_layers > 1 else 0.0
    sizes = {letter: hidden_size for letter in cell.graph.letters if letter not in "DH"}
    return Recurrent(cell, vocabulary_size, hidden_size, num_layers, sizes=sizes, dropout=between)


def initialise(model: LanguageModel) -> None:
    """Draw the weights that let a short run learn most.

    Recurrent matrices are orthogonal; the first layer's input weights are drawn like an embedding's, because a token
    reads one column of them; biases of forget gates (b.f) start at 1. All else stays as the layer drew it.
    Reference: Saxe et al. 2014, arXiv:1312.6120; Jozefowicz et al. 2015 (forget bias).
    """
    graph = model.recurrent.graph
    state_sizes = {port.size for port in graph.states}
    with torch.no_grad():
        for layer in range(model.recurrent.num_layers):
            for name, member in _members(model, layer).items():
                kind, shape = next((p.kind, p.shape) for p in graph.parameters if p.name == name)
                if kind == "matrix" and shape[1] == "D" and layer == 0:
                    torch.nn.init.normal_(member, std=INPUT_DEVIATION)
                elif kind == "matrix" and shape[1] in state_sizes:
                    torch.nn.init.orthogonal_(member)
                elif name == "b.f":
                    torch.nn.init.constant_(member, FORGET_BIAS)


def _members(model: LanguageModel, layer: int) -> dict[str, torch.Tensor]:
    """Views of one layer's parameters by their full names ("W.i")."""
    found: dict[str, torch.Tensor] = {}
    for slot in layout(model.recurrent.graph, _sizes(model, layer)):
        tensor = getattr(model.recurrent, f"{slot.name}_l{layer}")
        found |= dict(zip(slot.members, tensor.split(slot.rows), strict=True))
    return found


def _sizes(model: LanguageModel, layer: int) -> dict[str, int]:
    graph: Graph = model.recurrent.graph
    vocabulary_size, output_size = model.head.weight.shape
    return layer_sizes(graph, output_size if layer else vocabulary_size, model.recurrent.hidden_size)


def to_model_file(model: LanguageModel, vocabulary: Vocabulary, extra: Mapping[str, Any] | None = None) -> ModelFile:
    """The model as a value that needs no torch: equations, stack, vocabulary, head and weights (copied).

    Args:
        model: any device; weights are saved as they are, float32 or float64.
        vocabulary: what the tokens mean.
        extra: facts to keep beside it, plain JSON values.
    """
    graph: Graph = model.recurrent.graph
    stack, tensors = [], {}
    for layer in range(model.recurrent.num_layers):
        sizes = _sizes(model, layer)
        stack.append((LayerSpec(graph.hash, sizes, reverse=False),))
        for slot in layout(graph, sizes):
            tensors[f"layers.{layer}.{slot.name}"] = getattr(model.recurrent, f"{slot.name}_l{layer}")
    tensors |= {"head.weight": model.head.weight, "head.bias": model.head.bias}
    return ModelFile(
        graphs={graph.hash: graph},
        layers=tuple(stack),
        vocabulary=vocabulary,
        head={"kind": "softmax", "size": len(vocabulary)},
        tensors={name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()},
        extra=dict(extra or {}),
    )
