"""Steppers: what they give, what they refuse, and states that are values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elman.decode import (
    CallableStepper,
    Fusion,
    ModelStepper,
    Options,
    Reason,
    Spelling,
    TableStepper,
    decode,
)
from elman.decode.steppers import NoState
from elman.errors import ConfigError, DataError, ShapeError
from elman.runtime import Model
from tests.decode.small import markov, model, model_file, network, predictions


def test_a_table_of_second_order() -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 3))
    stepper = TableStepper(table)
    np.testing.assert_allclose(np.exp(predictions(stepper, [1, 2], [0])), [table[1, 2], table[2, 0]])


def test_an_empty_prompt_begins_where_the_table_says() -> None:
    table = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9]])
    assert TableStepper(table).begin == 2
    (result,) = decode(TableStepper(table), [[]], Options(max_length=1))
    assert result.best.log_probability == pytest.approx(np.log(0.9))
    callable_ = CallableStepper(lambda t, s: (np.log(table)[t], s), 2, begin=0)
    assert decode(callable_, [[]], Options(max_length=1))[0].best.tokens.tolist() == [0]


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([0.5, 0.5], ShapeError, r"must be \[V, V\], or V \+ 1 rows by V; got \[2\]"),
        ([[0.5, 0.5]], ShapeError, r"got \[1, 2\]"),
        (0.5, ShapeError, r"got \[\]"),
        ([[0.5, 0.6], [0.5, 0.5]], DataError, "probabilities that sum to 1"),
        ([[1.5, -0.5], [0.5, 0.5]], DataError, "probabilities that sum to 1"),
        ([[np.nan, 1.0], [0.5, 0.5]], DataError, "probabilities that sum to 1"),
    ],
)
def test_tables_that_are_none(table: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TableStepper(table)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((1, 3)), ShapeError, r"must give log-probabilities \[1, 4\], got \[1, 3\]"),
        (np.zeros(4), ShapeError, r"got \[4\]"),
        ([[np.nan, 0, 0, 0]], DataError, "the stepper gave nan for token 0 of sequence 0: not finite"),
        ([[-1, np.inf, 0, 0]], DataError, "the stepper gave inf for token 1 of sequence 0"),
        ([[-np.inf] * 4], DataError, "the stepper gave -inf for every token of sequence 0: nothing can come"),
        ([[0.0, 0.0, 0.0, 0.0]], DataError, "probabilities of sequence 0 sum to 4, expected 1; .* normalise=True"),
        ([[-9.0] * 4], DataError, "expected 1"),
        ([["a", "b", "c", "d"]], DataError, "the stepper must give numbers, got <U1"),
        (np.zeros((1, 4), complex), DataError, "the stepper must give numbers, got complex128"),
    ],
)
@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_what_a_users_stepper_may_not_give(given: Any, error: type[Exception], message: str, strategy: Any) -> None:
    with pytest.raises(error, match=message):
        decode(CallableStepper(lambda t, s: (given, s), 4), [[0]], Options(strategy=strategy))


def test_a_function_that_gives_no_state() -> None:
    with pytest.raises(ConfigError, match=r"must give \(log-probabilities, state\), got ndarray"):
        decode(CallableStepper(lambda t, s: np.zeros((1, 4)), 4), [[0]])  # type: ignore[arg-type, return-value]


def test_probabilities_that_round_above_one_do_not_lengthen() -> None:
    """1e-7 above log 1 at every step would make the longest sequence the best."""
    stepper = CallableStepper(lambda t, s: ([[1e-7, -20.0]] * len(t), s), 2)
    (result,) = decode(stepper, [[0]], Options(strategy="exact", max_length=9, stop_tokens=(0,)))
    assert (result.best.tokens.tolist(), result.best.log_probability) == ([0], 0.0)


class Scores:
    """Scores that are no log-probabilities: going on may make a sequence better."""

    size, normalised = 2, False

    def start(self, batch: int) -> NoState:
        return NoState()

    def step(self, tokens: Any, state: Any) -> Any:
        return np.array([[0.0, -1.0], [3.0, -5.0]])[tokens], state


def test_scores_above_zero_prove_nothing() -> None:
    for options in ({"strategy": "exact"}, {"strategy": "beam", "width": 4}):
        with pytest.raises(DataError, match="a score of 3, and nothing can be proved where scores exceed 0"):
            decode(Scores(), [[0]], Options(max_length=4, **options))  # type: ignore[arg-type]
    (result,) = decode(Scores(), [[0]], Options(strategy="beam", width=16, max_length=4, early="never"))
    assert (result.best.tokens.tolist(), result.best.rank) == ([1, 0, 1, 0], 4.0)


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_a_product_of_experts_that_agree_on_nothing(strategy: Any) -> None:
    stepper = Fusion(TableStepper([[1, 0], [1, 0]]), TableStepper([[0, 1], [0, 1]]), 1.0)
    (result,) = decode(stepper, [[0]], Options(strategy=strategy, max_length=3))
    assert (result.best.tokens.tolist(), result.best.reason) == ([], Reason.DEAD_END)


def test_a_stepper_of_ones_own_is_checked_too() -> None:
    class Own:
        size = 2

        def start(self, batch: int) -> Any:
            return network(2, 0).start(batch)

        def step(self, tokens: Any, state: Any) -> Any:
            return np.full((len(tokens), 2), np.nan), state

    with pytest.raises(DataError, match="the stepper gave nan for token 0 of sequence 0"):
        decode(Own(), [[0]])
    with pytest.raises(ConfigError, match=r"a stepper is needed, got .*; CallableStepper makes one of a function"):
        decode(lambda tokens, state: None, [[0]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CallableStepper(lambda t, s: (t, s), 0), "size must be a whole number of at least 1, got 0"),
        (lambda: CallableStepper(lambda t, s: (t, s), 3, spelling=Spelling.of("ab")), "the spelling has 2 tokens"),
        (lambda: CallableStepper(lambda t, s: (t, s), 3, lambda b: 5).start(1), "or have select.parents.; got int"),
        (
            lambda: CallableStepper(lambda t, s: (t, s), 3, lambda b: {"h": np.zeros(3)}).start(2),
            "a state's first axis is the batch, 2; h has shape .3.",
        ),
        (lambda: Fusion(markov(3, 0), markov(4, 0), 1.0), "fusion needs one vocabulary, .* 3 and 4 tokens"),
        (
            lambda: Fusion(markov(3, 0), markov(3, 0), -1.0),
            "weight of a fusion must be a finite number of at",
        ),
        (
            lambda: Fusion(markov(3, 0), markov(3, 0), float("nan")),
            "weight of a fusion must be a finite number of at",
        ),
    ],
)
def test_steppers_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises((ConfigError, ShapeError), match=message):
        make()


class Only:
    """A user's state with nothing but `select`."""

    def __init__(self, past: list[tuple[int, ...]]) -> None:
        self.past = past

    def select(self, parents: Any) -> Only:
        return Only([self.past[p] for p in parents])


def test_states_that_cannot_be_joined() -> None:
    """Prompts of unequal length are then decoded one length after another, to the same results."""
    table = markov(4, 3)

    def step(tokens: Any, state: Only) -> Any:
        return table.log_probabilities[tokens], Only([(*p, int(t)) for p, t in zip(state.past, tokens, strict=True)])

    stepper = CallableStepper(step, 4, lambda batch: Only([()] * batch))
    prompts = [[0], [1, 2], [3], [2, 2, 2], [0, 1]]
    for strategy in ("greedy", "sample", "beam"):
        mine, theirs = (decode(s, prompts, Options(strategy=strategy, max_length=5)) for s in (stepper, table))  # type: ignore[arg-type]
        assert [r.best.tokens.tolist() for r in mine] == [r.best.tokens.tolist() for r in theirs]
        for prompt, result in zip(prompts, mine, strict=True):
            assert result.best.carried.state.past == [(*prompt, *result.best.tokens[:-1].tolist())]


def test_fusion_with_states_that_cannot_be_joined() -> None:
    table = markov(4, 3)
    alone = CallableStepper(lambda t, s: (table.log_probabilities[t], s), 4, lambda batch: Only([()] * batch))
    options, prompts = Options(strategy="beam", width=3, max_length=5), [[0], [1, 2], [3], [2, 2, 2]]
    mine = decode(Fusion(markov(4, 1), alone, 0.5), prompts, options)
    theirs = decode(Fusion(markov(4, 1), table, 0.5), prompts, options)
    assert [r.best.tokens.tolist() for r in mine] == [r.best.tokens.tolist() for r in theirs]


@pytest.mark.parametrize("names", [("lstm",), ("gru", "elman"), ("slstm",), ("min_gru", "lstm", "indrnn")])
def test_a_model_predicts_what_its_stream_does(names: tuple[str, ...]) -> None:
    file = model_file(names)
    stepper, stream = ModelStepper(Model(file)), Model(file).stream(reference=True)
    tokens = [0, 3, 2, 2, 5, 1]
    logits = np.stack([stream.step([token])[0] for token in tokens]).astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(predictions(stepper, tokens[:1], tokens[1:]), expected, atol=1e-4)


def test_states_of_a_model_are_values() -> None:
    """However states are forked, kept, selected and joined: each predicts what its own past says, to the bit."""
    stepper = model("lstm", "gru")
    random = np.random.default_rng(0)
    kept: list[tuple[list[list[int]], Any]] = [([[] for _ in range(3)], stepper.start(3))]
    for _ in range(300):
        pasts, state = kept[random.integers(len(kept))]
        move = random.integers(4)
        if move == 0:
            rows = random.integers(0, len(pasts), random.integers(1, 5))
            kept.append(([list(pasts[r]) for r in rows], state.select(rows)))
        elif move == 1:
            other, theirs = kept[random.integers(len(kept))]
            if len(pasts) + len(other) < 9:
                kept.append(([*pasts, *other], state.join([theirs])))
        else:
            tokens = random.integers(0, 6, len(pasts))
            _, after = stepper.step(tokens, state)
            kept.append(([[*past, int(t)] for past, t in zip(pasts, tokens, strict=True)], after))
        if len(kept) > 12:
            kept.pop(random.integers(len(kept)))
    for pasts, state in kept:
        scores, _ = stepper.step(np.zeros(len(pasts), np.int64), state)
        for row, past in enumerate(pasts):
            assert scores[row].tobytes() == predictions(stepper, [*past, 0], [])[0].tobytes()


@pytest.mark.parametrize("symbols", [63, 64, 65, 97, 256])
def test_a_row_has_the_same_bits_in_every_batch(symbols: int) -> None:
    stepper = model("lstm", "gru", symbols="".join(map(chr, range(200, 200 + symbols))), hidden=33)
    tokens = np.random.default_rng(0).integers(0, symbols, (37, 4))
    state, alone = stepper.start(37), [stepper.start(1) for _ in range(37)]
    for column in tokens.T.copy():
        scores, state = stepper.step(column, state)
        for row in range(37):
            mine, alone[row] = stepper.step(column[row : row + 1], alone[row])
            assert mine[0].tobytes() == scores[row].tobytes()
        some, _ = stepper.step(column[:5], stepper.start(37).select(np.arange(5)))
        again, _ = stepper.step(column[:3], stepper.start(3))
        assert some[:3].tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("tokens", "batch", "message"),
    [
        ([6], 1, "tokens must be 0 … 5, got 6 … 6"),
        ([-1, 0], 2, "tokens must be 0 … 5, got -1 … 0"),
        ([0, 1], 3, "3 sequences, at least 1, need as many tokens; got 2"),
        ([], 0, "0 sequences, at least 1"),
    ],
)
def test_what_a_model_cannot_step(tokens: list[int], batch: int, message: str) -> None:
    stepper = model()
    with pytest.raises(ShapeError, match=message):
        stepper.step(np.array(tokens, np.int64), stepper.start(batch))


def test_a_table_knows_its_tokens() -> None:
    stepper = markov(3, 0)
    with pytest.raises(ShapeError, match="tokens must be 0 … 2, got 3 … 3"):
        stepper.step(np.array([3]), stepper.start(1))


def test_damaged_weights() -> None:
    file = model_file(("lstm",))
    file.tensors["head.bias"][2] = np.nan
    with pytest.raises(DataError, match="the model gives NaN for sequence 0: its weights are damaged"):
        decode(ModelStepper(Model(file)), [[0]])


def test_a_model_without_a_head() -> None:
    from dataclasses import replace

    file = model_file(("lstm",))
    tensors = {name: t for name, t in file.tensors.items() if not name.startswith("head")}
    with pytest.raises(ConfigError, match="decoding needs a model that predicts tokens; this one has no head"):
        ModelStepper(Model(replace(file, head=None, vocabulary=None, tensors=tensors)))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_on_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[bytes]:
        stepper = model("lstm", "lstm", hidden=70)
        results = decode(stepper, [[k % 6] for k in range(20)], Options(strategy="sample", max_length=30))
        return [r.best.log_probabilities.tobytes() for r in results]

    monkeypatch.setenv("ELMAN_NUM_THREADS", "1")
    alone = found()
    monkeypatch.setenv("ELMAN_NUM_THREADS", str(threads))
    assert found() == alone


def test_network_is_batch_independent() -> None:
    stepper = network(4, 0)
    scores, _ = stepper.step(np.array([0, 1, 2]), stepper.start(3))
    assert scores[2].tobytes() == stepper.step(np.array([2]), stepper.start(1))[0][0].tobytes()
