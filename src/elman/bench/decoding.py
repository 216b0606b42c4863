"""Decoding from a character model of two layers, beside its bare steps, itself without constraints, and a torch loop.

What was decoded is checked by reading it again: our own peers step through our tokens one by one, and must find them as
likely as we said; the torch loop chooses for itself, and must choose the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import log_softmax, one_hot

from elman import cells as built_in
from elman.bench.contest import Contest, NoContest, Results, Side
from elman.bench.layers import Peers
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.data.vocabulary import Vocabulary
from elman.decode import Grammar, ModelStepper, Output, Regex, decode
from elman.decode import Options as Decode
from elman.formats.heads import Softmax
from elman.formats.model_file import LayerSpec, ModelFile
from elman.interchange.torch import of_layer, to_cell, torch_layout
from elman.runtime.model import Model

STEPS, UNCONSTRAINED, STREAMS = "elman steps", "elman unconstrained", "elman 8 streams"  # ours to compare with
CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))  # V 96
_LAYERS = 2
_SHARP = 10.0  # times as large as torch draws them, the head's weights tell characters apart
_SHORT = 20  # steps of many prompts, and of a quick benchmark


@dataclass(frozen=True)
class Way:
    """A way to decode.

    Attributes:
        options: of the decoder, beside the length.
        beside: our own peer.
        batch: numbers of prompts.
    """

    options: Mapping[str, Any]
    beside: str = STEPS
    batch: tuple[int, ...] = (1,)


_SAMPLE: dict[str, Any] = {"strategy": "sample"}
_WORDS = "([a-z]+ )*[a-z]+"
_GRAMMAR = 'text ::= (word " ")* word   word ::= [a-z]+'
WAYS = {
    "greedy": Way({}, batch=(1, 64)),
    "sample": Way(_SAMPLE),
    "sample, top p": Way({**_SAMPLE, "temperature": 0.8, "top_p": 0.9}),
    "regex": Way({**_SAMPLE, "constraints": (Regex(_WORDS),)}, UNCONSTRAINED),
    "grammar": Way({**_SAMPLE, "constraints": (Grammar(_GRAMMAR),)}, UNCONSTRAINED),
    "beam 8": Way({"strategy": "beam", "width": 8, "count": 8}, STREAMS),
}


def cases(options: Sweep) -> list[Case]:
    """All ways, each with its numbers of prompts."""
    found: list[Case] = []
    for name, way in WAYS.items():
        steps = _SHORT if options.quick else 200
        found += options.cases("decode", cells=(name,), modes=("infer",), hidden=(512,), batch=way.batch, steps=steps)
    return [replace(case, steps=options.steps or _SHORT) if case.batch > 1 else case for case in found]


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """The same weights in torch.nn and as a saved model."""
    torch.manual_seed(0)
    module = CharacterModel(case.hidden_size)
    decoder, beside = Decoder(module.as_model(case.threads), case), WAYS[case.cell].beside
    sides: Peers = {beside: lambda: decoder.beside(beside)}
    if case.cell == "greedy" and "torch" in peers:
        sides["torch"] = lambda: _loop(module, case)
    weights = case.hidden_size * (4 * case.hidden_size * (2 * _LAYERS - 1) + len(CHARACTERS))
    read = 4 * weights if case.batch == 1 else 0
    return Contest(case, decoder.side(), sides, 2.0 * weights * case.steps * decoder.streams, read)


class CharacterModel(torch.nn.Module):
    """One-hot characters → two LSTM layers → linear head."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(len(CHARACTERS), hidden, _LAYERS)
        self.head = torch.nn.Linear(hidden, len(CHARACTERS))
        with torch.no_grad():
            self.head.weight *= _SHARP

    def forward(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Tokens [B] → logits [B, V], and the state."""
        output, state = self.lstm(one_hot(tokens, len(CHARACTERS)).float()[None], state)
        return self.head(output[0]), state

    def as_model(self, threads: int) -> ModelStepper:
        """The same weights, stepped by the runtime."""
        graph, hidden = built_in.get("lstm").graph, self.lstm.hidden_size
        given = {name: parameter.detach().numpy() for name, parameter in self.named_parameters()}
        tensors = {name: given[name] for name in ("head.weight", "head.bias")}
        for k in range(_LAYERS):
            lstm = {name.removeprefix("lstm."): value for name, value in of_layer(given, k).items()}
            tensors |= {f"layers.{k}.{n}": value for n, value in to_cell(torch_layout("LSTM"), lstm, hidden).items()}
        widths = [len(CHARACTERS), *[hidden] * (_LAYERS - 1)]
        layers = tuple((LayerSpec(graph.hash, {"D": width, "H": hidden}),) for width in widths)
        head = Softmax(len(CHARACTERS))
        file = ModelFile({graph.hash: graph}, layers, Vocabulary.characters(CHARACTERS), head, tensors)
        return ModelStepper(Model(file), threads)


class Decoder:
    """Decodes as a case says.

    Attributes:
        streams: hypotheses side by side.
    """

    def __init__(self, stepper: ModelStepper, case: Case) -> None:
        self._stepper, self._case = stepper, case
        self._options = Decode(max_length=case.steps, **WAYS[case.cell].options)
        self.streams = case.batch * self._options.count

    def side(self) -> Side:
        """Our side."""
        prompts = _prompts(self._case.batch)

        def results() -> Results:
            found = self._decode(prompts, self._options)
            if any(len(output.tokens) < self._case.steps or not output.finished for output in found):
                raise NoContest("an output of ours came to an end before its time")
            if self._options.constraints and not all(re.fullmatch(_WORDS, output.text or "") for output in found):
                raise NoContest("an output of ours does not meet its constraint")
            scores = np.stack([output.log_probabilities for output in found])
            return {"tokens": np.stack([output.tokens for output in found]), "scores": scores}

        return Side(lambda: self._decode(prompts, self._options), self._case.steps * self.streams, results)

    def beside(self, name: str) -> Side:
        """Our own peer of this name."""
        others = {UNCONSTRAINED: (self._case.batch, Decode(max_length=self._case.steps, **_SAMPLE))}
        others[STREAMS] = self.streams, Decode(max_length=self._case.steps)
        if name == STEPS:
            return Side(self._steps, self._case.steps * self.streams, self._read_again)
        count, options = others[name]
        prompts = _prompts(count)
        return Side(lambda: self._decode(prompts, options), self._case.steps * count, self._read_again)

    def _decode(self, prompts: list[list[int]], options: Decode) -> list[Output]:
        return [output for result in decode(self._stepper, prompts, options) for output in result.outputs]

    def _steps(self) -> None:
        tokens, state = np.arange(self.streams) % self._stepper.size, self._stepper.start(self.streams)
        for _ in range(self._case.steps):
            _, state = self._stepper.step(tokens, state)

    def _read_again(self) -> Results:
        """How likely each token of ours is where it stands, by steps alone."""
        prompts = _prompts(self._case.batch)
        written = np.stack([output.tokens for output in self._decode(prompts, self._options)])
        before = np.repeat(np.ravel(prompts), len(written) // len(prompts))
        state, scores = self._stepper.start(len(written)), []
        for tokens in written.T:
            found, state = self._stepper.step(before, state)
            scores.append(found[np.arange(len(tokens)), tokens])
            before = np.ascontiguousarray(tokens)
        return {"scores": np.stack(scores, axis=1)}


def _prompts(count: int) -> list[list[int]]:
    """A character each."""
    return [[k % len(CHARACTERS)] for k in range(count)]


def _loop(module: CharacterModel, case: Case) -> Side:
    """Greedy decoding as one writes it in torch."""

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        tokens, state, chosen, scores = torch.tensor(_prompts(case.batch))[:, 0], None, [], []
        with torch.inference_mode():
            for _ in range(case.steps):
                logits, state = module(tokens, state)
                score, tokens = log_softmax(logits, dim=1).max(dim=1)
                chosen.append(tokens)
                scores.append(score)
            return torch.stack(chosen, dim=1), torch.stack(scores, dim=1)

    def results() -> Results:
        tokens, scores = run()
        return {"tokens": tokens.numpy(), "scores": scores.numpy()}

    return Side(run, case.steps * case.batch, results)
