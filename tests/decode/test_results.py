"""Trees, streaming, cancelling, and stochastic beams."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from elman.decode import CallableStepper, Decoding, Options, Reason, Spelling, TextStream, decode
from tests.decode.small import everything, markov, model, network


def tree_of(**options: Any) -> Any:
    given = Options(strategy="beam", max_length=4, stop_tokens=(1,), keep_tree=True, early="never", **options)
    return decode(markov(4, 2), [[0]], given)[0]


def test_the_tree_as_data() -> None:
    result = tree_of(width=3, count=3)
    tree, listed = result.tree, everything(markov(4, 2), [0], 4, [1])
    prefixes = {}
    for tokens, total in listed.items():
        for k in range(1, len(tokens) + 1):
            prefixes[tokens[:k]] = np.logaddexp(prefixes.get(tokens[:k], -np.inf), total)
    for index, node in enumerate(tree.nodes):
        path = tuple(tree.path(index))
        assert node.score == pytest.approx(prefixes[path])
        assert node.step == len(path)
        assert node.parent < index
        assert (node.status == "finished") == (path in listed) or node.status == "pruned"
        if node.parent >= 0:
            assert tree.nodes[node.parent].status == "kept"
    for step in range(1, 5):
        kept = [n.score for n in tree.nodes if n.step == step and n.status == "kept"]
        going = [n for n in tree.nodes if n.step == step < 4 and n.token != 1]
        pruned = [n.score for n in going if n.status == "pruned"]
        assert len(kept) <= 3
        assert not pruned or not kept or max(pruned) <= min(kept)
    finished = sorted((n.score for n in tree.nodes if n.status == "finished"), reverse=True)
    assert finished[:3] == pytest.approx([output.rank for output in result.outputs])


def path_texts(lines: list[str]) -> list[str]:
    """What the leaves of a printed tree say, from its root on."""
    above: list[str] = []
    found = []
    for line in lines:
        depth = (len(line[2:]) - len(line[2:].lstrip())) // 2
        del above[depth:]
        above.append(line[2:].split()[0])
        if line[0] != " ":
            found.append("".join(above))
    return found


def test_the_tree_as_text_and_as_a_picture() -> None:
    tree = tree_of(width=3).tree
    lines = tree.to_text().split("\n")
    statuses = Counter(node.status for node in tree.nodes)
    assert sum(line.startswith("=") for line in lines) == statuses["finished"]
    assert sum(line.startswith("x") for line in lines) == statuses["pruned"]
    assert sorted(path_texts(lines)) == sorted(
        "".join("abcd"[t] for t in tree.path(k)) for k, node in enumerate(tree.nodes) if node.status != "kept"
    )
    picture = ElementTree.fromstring(tree.to_svg())
    space = "{http://www.w3.org/2000/svg}"
    assert len(picture.findall(f".//{space}circle")) == len(tree.nodes)
    assert len(picture.findall(f"{space}path")) == sum(node.parent >= 0 for node in tree.nodes)
    assert [entry["status"] for entry in tree.to_json()] == [node.status for node in tree.nodes]


def test_no_tree_unless_asked_for() -> None:
    assert decode(markov(3, 0), [[0]], Options(strategy="beam", width=2, max_length=3))[0].tree is None


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_what_was_shown_stands(strategy: Any) -> None:
    """The tokens of the stream, joined, are the best output."""
    extra = {"width": 4} if strategy == "beam" else {}
    for seed in range(8):
        options = Options(strategy=strategy, max_length=9, stop_tokens=(1,), **extra)
        decoding = Decoding(markov(4, seed, sharp=0.3), [[0], [2, 3]], options)
        shown: dict[int, list[int]] = {0: [], 1: []}
        for decided in decoding:
            for prompt, index, token in zip(decided.prompts, decided.indices, decided.tokens, strict=True):
                assert index == 0
                shown[int(prompt)].append(int(token))
        results = decoding.results()
        assert [shown[k] for k in range(2)] == [r.best.tokens.tolist() for r in results]


def test_a_beam_shows_what_it_agrees_on_before_its_end() -> None:
    decoding = Decoding(markov(6, 1, sharp=0.3), [[0]], Options(strategy="beam", width=4, max_length=60))
    counts = [len(decided.tokens) for decided in decoding]
    assert sum(counts) == 60
    assert sum(counts[:30]) > 10


def test_samples_say_which_output_they_belong_to() -> None:
    decoding = Decoding(markov(4, 0), [[0], [1]], Options(strategy="sample", count=3, max_length=6, stop_tokens=(1,)))
    shown: dict[tuple[int, int], list[int]] = {}
    for decided in decoding:
        for prompt, index, token in zip(decided.prompts, decided.indices, decided.tokens, strict=True):
            shown.setdefault((int(prompt), int(index)), []).append(int(token))
    for prompt, result in enumerate(decoding.results()):
        for index, output in enumerate(result.outputs):
            assert shown[prompt, index] == output.tokens.tolist()


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_whoever_reads_sets_the_pace_and_may_leave(strategy: Any) -> None:
    steps = 0
    inner = network(4, 0)

    def step(tokens: Any, state: Any) -> Any:
        nonlocal steps
        steps += 1
        return inner._function(tokens, state)

    stepper = CallableStepper(step, 4, lambda batch: dict(inner.start(batch).arrays), normalise=True)
    extra = {"width": 2} if strategy == "beam" else {}
    decoding = Decoding(stepper, [[0]], Options(strategy=strategy, max_length=1000, **extra))
    assert steps == 0
    for number, _ in enumerate(decoding, 1):
        assert steps <= number + 1
        if number == 5:
            decoding.cancel()
    assert number == 5
    (result,) = decoding.results()
    assert steps <= 6
    assert result.best.reason is Reason.CANCELLED
    assert not result.best.finished
    assert len(result.best.tokens) >= 4
    if strategy in ("greedy", "sample"):
        (whole,) = decode(inner, [[0]], Options(strategy=strategy, max_length=12))
        (rest,) = decode(inner, [result.best.carried], Options(strategy=strategy, max_length=7))
        assert [*result.best.tokens, *rest.best.tokens] == whole.best.tokens.tolist()


def test_a_beams_hypotheses_can_be_forked() -> None:
    stepper = model(symbols="abcd")
    (result,) = decode(stepper, [[0, 1]], Options(strategy="beam", width=3, count=3, max_length=4))
    for output in result.outputs:
        (on,) = decode(stepper, [output.carried], Options(max_length=3))
        (straight,) = decode(stepper, [[0, 1, *output.tokens.tolist()]], Options(max_length=3))
        assert on.best.tokens.tolist() == straight.best.tokens.tolist()
        assert on.best.log_probabilities.tobytes() == straight.best.log_probabilities.tobytes()


@pytest.mark.parametrize("stops", [(), ("b",), ("aa", "ba"), ("€",)])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_text_as_it_comes(stops: tuple[str, ...], as_bytes: bool) -> None:
    texts: list[Any] = list("ab€")
    if as_bytes:
        texts = [b"a", b"b", b"\xe2", b"\x82", b"\xac"]
    size = len(texts)
    spelling = Spelling.of(texts)
    stepper = CallableStepper(lambda t, s: (np.zeros((len(t), size)), s), size, normalise=True)
    for seed in range(40):
        options = Options(strategy="sample", max_length=12, stop_strings=stops, seed=seed)
        decoding = Decoding(stepper, [[0]], options, spelling)
        stream, shown = TextStream(spelling, options), ""
        pieces = [stream.push(decided.tokens.tolist()) for decided in decoding]
        final = decoding.results()[0].best.text or ""
        for piece in pieces:
            shown += piece
            assert final.startswith(shown)
        assert shown + stream.end(final) == final


def test_half_a_character_is_not_shown() -> None:
    spelling = Spelling.of([bytes([value]) for value in range(256)])
    text = "aé€😀".encode()
    table = np.full((256, 256), -np.inf)
    table[:, 0] = 0.0
    for one, two in pairwise(text):  # each byte has one follower here
        table[one] = -np.inf
        table[one, two] = 0.0
    stepper = CallableStepper(lambda t, s: (table[t], s), 256, spelling=spelling)
    for length in range(len(text)):
        (first,) = decode(stepper, ["a"], Options(max_length=length))
        whole = text[1 : length + 1].decode("utf-8", "ignore")
        assert first.best.text == whole
        (rest,) = decode(stepper, [first.best.carried], Options(max_length=len(text) - 1 - length))
        assert whole + (rest.best.text or "") == "é€😀"
        stream = TextStream(spelling, Options(), [*text[: length + 1]])
        assert whole + stream.push([*text[length + 1 :]]) == "é€😀"


def test_stochastic_beams_draw_without_replacement() -> None:
    """The first is drawn as a sample is; pairs come as often as drawing twice without putting back says."""
    stepper = markov(3, 4, sharp=2.0)
    listed = {t: math.exp(p) for t, p in everything(stepper, [0], 2, [1]).items()}
    seeds = tuple(range(20_000))
    options = Options(strategy="beam", width=2, count=2, stochastic=True, max_length=2, stop_tokens=(1,), seed=seeds)
    pairs: Counter[Any] = Counter()
    for result in decode(stepper, [[0]] * len(seeds), options):
        first, second = result.outputs
        assert first.rank >= second.rank
        pairs[tuple(first.tokens.tolist()), tuple(second.tokens.tolist())] += 1
    statistic = freedom = 0.0
    for one, p in listed.items():
        for two, q in listed.items():
            if one != two:
                expected = len(seeds) * p * q / (1 - p)
                statistic += (pairs[one, two] - expected) ** 2 / expected
                freedom += 1
    assert (statistic - freedom) / math.sqrt(2 * freedom) < 5


def test_a_stochastic_beam_that_holds_everything() -> None:
    stepper = markov(3, 4)
    listed = everything(stepper, [0], 3, [1])
    options = Options(strategy="beam", width=100, count=100, stochastic=True, max_length=3, stop_tokens=(1,))
    (result,) = decode(stepper, [[0]], options)
    assert {tuple(o.tokens.tolist()) for o in result.outputs} == set(listed)
    assert math.fsum(math.exp(o.log_probability) for o in result.outputs) == pytest.approx(1.0)


def test_results_as_json() -> None:
    (result,) = decode(markov(3, 0), ["a"], Options(max_length=3))
    facts = result.best.to_json()
    assert facts["tokens"] == result.best.tokens.tolist()
    assert (facts["reason"], facts["text"]) == ("length", result.best.text)
    assert facts["log_probability"] == pytest.approx(sum(facts["log_probabilities"]))
    assert repr(result.best).startswith(f"Output({result.best.text!r}, tokens [")
