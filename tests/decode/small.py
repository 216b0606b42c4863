"""Steppers small enough that every sequence can be listed, and the lists."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from elman import cells
from elman.cells.layout import layout
from elman.data import Vocabulary
from elman.decode import CallableStepper, ModelStepper, Spelling, TableStepper
from elman.formats.heads import Softmax
from elman.formats.model_file import LayerSpec, ModelFile
from elman.runtime import Model

LETTERS = "abcdef"


def markov(size: int, seed: int, order: int = 1, sharp: float = 0.7, zeros: bool = False) -> TableStepper:
    """A random table of transitions."""
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.full(size, sharp), size=(size,) * order)
    if zeros:
        table = np.where(random.random(table.shape) < 0.3, 0.0, table)
        table[..., 0] += 1e-3
        table /= table.sum(axis=-1, keepdims=True)
    return TableStepper(table, Spelling.of(list(LETTERS[:size])))


def network(size: int, seed: int, hidden: int = 5) -> CallableStepper:
    """An Elman network with random weights, in float64 numpy, as a user would write it."""
    random = np.random.default_rng(seed)
    w, u, v = (
        random.normal(size=(hidden, size)),
        random.normal(size=(hidden, hidden)),
        random.normal(size=(size, hidden)),
    )

    def step(tokens: Any, state: Any) -> tuple[Any, Any]:
        h = np.tanh(w[:, tokens].T + np.einsum("bh,kh->bk", state["h"], u))  # einsum: rows do not change one another
        return 2 * np.einsum("bh,vh->bv", h, v), {"h": h}

    start = lambda batch: {"h": np.zeros((batch, hidden))}  # noqa: E731
    return CallableStepper(step, size, start, normalise=True, spelling=Spelling.of(list(LETTERS[:size])))


def model_file(
    names: Sequence[str], symbols: str = LETTERS, hidden: int = 6, seed: int = 0, kind: str = ""
) -> ModelFile:
    """A model with random weights."""
    random = np.random.default_rng(seed)
    vocabulary = Vocabulary.bytes() if kind == "bytes" else Vocabulary.characters(symbols)
    size = len(vocabulary)
    graphs, layers, tensors, width = {}, [], {}, size
    for index, name in enumerate(names):
        graph = cells.get(name).graph
        sizes = {letter: width if letter == "D" else hidden for letter in graph.letters}
        graphs[graph.hash] = graph
        layers.append((LayerSpec(graph.hash, sizes),))
        for slot in layout(graph, sizes):
            tensors[f"layers.{index}.{slot.name}"] = random.normal(0, 0.7, slot.shape).astype(np.float32)
        width = hidden
    tensors["head.weight"] = (2 * random.normal(size=(size, hidden))).astype(np.float32)
    tensors["head.bias"] = np.zeros(size, np.float32)
    return ModelFile(graphs, tuple(layers), vocabulary, Softmax(size), tensors)


def model(*names: str, **options: Any) -> ModelStepper:
    """The same as a stepper on the kernels."""
    return ModelStepper(Model(model_file(names or ("lstm",), **options)))


STEPPERS: dict[str, Callable[[int], Any]] = {
    "markov": lambda seed: markov(4, seed),
    "second order": lambda seed: markov(3, seed, order=2),
    "zeros": lambda seed: markov(4, seed, zeros=True),
    "network": lambda seed: network(4, seed),
    "kernels": lambda seed: model("lstm", symbols="abcd", seed=seed),
}


def predictions(stepper: Any, prompt: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
    """The log-probabilities [len(tokens) + 1, V] after the prompt and each beginning of the tokens, one at a time."""
    state, rows = stepper.start(1), []
    for place, token in enumerate([*prompt, *tokens]):
        row, state = stepper.step(np.array([token]), state)
        if place >= len(prompt) - 1:
            rows.append(row[0])
    return np.array(rows)


def everything(
    stepper: Any, prompt: Sequence[int], limit: int, stops: Sequence[int] = ()
) -> dict[tuple[int, ...], float]:
    """The log-probability of every sequence that ends with a stop token, or is cut at the limit."""
    found: dict[tuple[int, ...], float] = {}
    going: dict[tuple[int, ...], float] = {(): 0.0}
    for _ in range(limit):
        following = {}
        for tokens, total in going.items():
            row = predictions(stepper, prompt, tokens)[-1]
            for token in range(stepper.size):
                if row[token] > -math.inf:
                    into = found if token in stops else following
                    into[(*tokens, token)] = total + float(row[token])
        going = following
    return found | going


def texts(symbols: str, limit: int) -> Iterator[str]:
    """Every text of these symbols up to a length."""
    for length in range(limit + 1):
        yield from map("".join, itertools.product(symbols, repeat=length))
