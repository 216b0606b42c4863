"""The identity goes to the end: what the head puts out has the same bits however the same tokens come."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from elman.data import Vocabulary
from elman.decode import ModelStepper, Options, decode
from elman.decode.roles import log_softmax
from elman.decode.scoring import score
from elman.formats import model_file
from elman.formats.heads import Softmax
from elman.models import Network, OneHot, Stack, to_model_file
from elman.nn import Linear
from elman.runtime import Model, load
from elman.sequences import Ragged

STEPS, BATCH = 5, 7
VOCABULARY_SIZE, HIDDEN_SIZE = 67, 33  # behind every tile and vector a rest is left
THREADS = (1, 2)


@pytest.fixture
def network(cell, dtype):
    if [p.size for p in cell.graph.inputs] != ["D"]:
        pytest.skip("a token is one input of a size of its own")
    if dtype is torch.bfloat16:
        pytest.skip("model files hold float32 and float64")
    torch.manual_seed(0)
    sizes = {letter: HIDDEN_SIZE for letter in cell.graph.letters if letter not in {"D", "H", *cell.graph.fixed}}
    stack = Stack(cell, HIDDEN_SIZE, 1 if cell.graph.output_size == "1" else 2, sizes=sizes)
    model = Network(OneHot(VOCABULARY_SIZE), stack, Softmax(VOCABULARY_SIZE)).to(dtype)
    with torch.no_grad():
        model.head.weight.mul_(3)
    return model.eval()


def test_logits_are_the_same_however_they_are_asked_for(network, tmp_path):
    tokens, expected = whole(network)
    found = dict(by_torch(network, tokens))
    vocabulary = Vocabulary.characters("".join(map(chr, range(200, 200 + expected.shape[-1]))))
    file = to_model_file(network, vocabulary)
    model_file.save(tmp_path / "model.safetensors", file)
    for name, model in (("made", Model(file)), ("loaded", load(tmp_path))):
        found |= {f"{name}, {how}": logits for how, logits in by_runtime(model, tokens)}
    for how, logits in found.items():
        assert logits.dtype == expected.dtype
        assert logits.tobytes() == expected.tobytes(), how


def test_scores_are_the_same_however_they_are_asked_for(network):
    """The softmax on top, in float64: of a batch, of one sequence, while decoding, and when scoring."""
    tokens, logits = whole(network)
    vocabulary = Vocabulary.characters("".join(map(chr, range(200, 200 + logits.shape[-1]))))
    stepper = ModelStepper(Model(to_model_file(network, vocabulary)))
    expected = np.stack([log_softmax(row) for row in logits])
    state = stepper.start(BATCH)
    for t, row in enumerate(tokens):
        scores, state = stepper.step(row, state)
        assert scores.tobytes() == expected[t].tobytes()
        for b in range(BATCH):
            assert log_softmax(logits[t, b : b + 1])[0].tobytes() == expected[t, b].tobytes()
    for b in range(BATCH):
        np.testing.assert_array_equal(score(stepper, tokens[:, b])[1:], expected[np.arange(4), b, tokens[1:, b]])
    for b, result in enumerate(decode(stepper, list(tokens.T), Options(max_length=1))):
        assert result.best.tokens.item() == logits[-1, b].argmax()
        assert result.best.log_probability == expected[-1, b].max()


def test_the_head_alone(dtype):
    """A row of `elman.nn.Linear` by itself, in any company, and with and without gradients."""
    if dtype is torch.bfloat16:
        pytest.skip("torch's own products in bfloat16 are as fast")
    for size, hidden in ((1, 1), (65, 9), (7, 65), (257, 64)):
        torch.manual_seed(0)
        layer, x = Linear(hidden, size, dtype=dtype), torch.randn(7, hidden, dtype=dtype)
        expected = layer(x)
        with torch.no_grad():
            for rows in ([0], [3], [6, 1], list(range(6))):
                assert torch.equal(layer(x[rows]), expected[rows]), (size, hidden, rows)


def whole(network):
    """Tokens [T, B], and the logits [T, B, V] of all sequences at once."""
    size = network.head.out_features
    tokens = torch.randint(size, (STEPS, BATCH), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return tokens.numpy(), network(tokens)[0].numpy()


def by_torch(network, tokens):
    rows = torch.from_numpy(tokens)
    yield "training", network(rows)[0].detach().numpy()
    with torch.no_grad():
        for count in THREADS:
            torch.set_num_threads(count)
            yield f"{count} threads", network(rows)[0].numpy()
        for lengths in ((2, 3), (1,) * STEPS):
            state, parts = None, []
            for part in rows.split(lengths):
                logits, state = network(part, state)
                parts.append(logits)
            yield f"chunks {lengths}", torch.cat(parts).numpy()
        yield "one by one", torch.cat([network(rows[:, b : b + 1])[0] for b in range(BATCH)], 1).numpy()
        pieces = [rows[: STEPS - b % 2, b] for b in range(BATCH)]  # of unlike length
        output, _ = network.recurrent(Ragged.from_list(pieces))
        ragged, found = network.head(output.values).split([len(p) for p in pieces]), network(rows)[0].clone()
        for b, logits in enumerate(ragged):
            found[: len(logits), b] = logits
        yield "ragged", found.numpy()


def by_runtime(model, tokens):
    steps = range(STEPS)
    for threads in THREADS:
        stream = model.stream(BATCH, threads=threads)
        yield f"a stream of {BATCH}, {threads} threads", np.stack([stream.step(tokens[t]) for t in steps])
    singles = [model.stream() for _ in range(BATCH)]
    yield "streams of 1", np.stack([[s.step(int(x)) for s, x in zip(singles, row, strict=True)] for row in tokens])
    carried = [model.stream(BATCH) for _ in steps]
    rows = []
    for t, (stream, after) in enumerate(itertools.zip_longest(carried, carried[1:])):
        rows.append(stream.step(tokens[t]))
        if after is not None:
            after.state = stream.state
    yield "a stream for each step", np.stack(rows)
    for threads in THREADS:
        stepper = ModelStepper(model, threads)
        yield f"a stepper, {threads} threads", stepped(stepper, tokens)
        alone = [stepped(stepper, tokens[:, b : b + 1]) for b in range(BATCH)]
        yield f"a stepper, one by one, {threads} threads", np.concatenate(alone, axis=1)


def stepped(stepper, tokens):
    state, rows = stepper.start(tokens.shape[1]), []
    for row in tokens:
        logits, state = stepper.logits(row, state)
        rows.append(logits)
    return np.stack(rows)
