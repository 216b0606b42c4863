"""Transition tables whose beams can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman.decode import CallableStepper, Options, Reason, TableStepper, decode

# 0 leads to 1, 2, 3, 4; each of them to the next, and 4 to the end, 5.
CHAIN = TableStepper(
    [
        [0.0, 0.4, 0.3, 0.2, 0.1, 0.0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
        [0.2, 0.1, 0.2, 0.2, 0.2, 0.1],
    ]
)


def found(stepper, prompts, **options):
    results = decode(stepper, prompts, Options(strategy="beam", **options))
    return [[(o.tokens.tolist(), math.exp(o.log_probability)) for o in result.outputs] for result in results]


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 9])
def test_the_chain(batch, width):
    expected = [([1, 2, 3, 4, 5], 0.4), ([2, 3, 4, 5], 0.3), ([3, 4, 5], 0.2), ([4, 5], 0.1)][:width]
    options = {"width": width, "count": width, "max_length": 10, "stop_tokens": (5,), "early": "never"}
    for outputs in found(CHAIN, [[0]] * batch, **options):
        assert [tokens for tokens, _ in outputs] == [tokens for tokens, _ in expected]
        assert [p for _, p in outputs] == pytest.approx([p for _, p in expected])


def test_cut_at_the_longest_length():
    (outputs,) = found(CHAIN, [[0]], width=3, count=3, max_length=3, stop_tokens=(5,))
    assert [tokens for tokens, _ in outputs] == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert [p for _, p in outputs] == pytest.approx([0.4, 0.3, 0.2])


def test_prompts_differ():
    results = found(CHAIN, [[0], [2], [1]], width=2, count=2, max_length=9, stop_tokens=(5,))
    assert [[tokens for tokens, _ in outputs] for outputs in results] == [
        [[1, 2, 3, 4, 5], [2, 3, 4, 5]],
        [[3, 4, 5]],
        [[2, 3, 4, 5]],
    ]


def test_the_state_is_reordered():
    """A state that counts its steps and sums its tokens goes along with the hypotheses that it belongs to."""
    seen = []

    def step(tokens, state):
        total = state["sum"] + tokens
        seen.append((tokens.tolist(), total.tolist()))
        return CHAIN.log_probabilities[tokens], {"sum": total}

    stepper = CallableStepper(step, 6, lambda batch: {"sum": np.zeros(batch, np.int64)})
    decode(stepper, [[0]], Options(strategy="beam", width=3, count=3, max_length=10, stop_tokens=(5,), early="never"))
    assert seen == [([0], [0]), ([1, 2, 3], [1, 2, 3]), ([2, 3, 4], [3, 5, 7]), ([3, 4], [6, 9]), ([4], [10])]


def test_least_length():
    stepper = TableStepper([[0.1, 0.9], [0.3, 0.7]])  # 0 is a letter, 1 the end
    for least in range(4):
        (outputs,) = found(stepper, [[0]], width=1, max_length=9, min_length=least, stop_tokens=(1,))
        assert outputs[0][0] == [0] * least + [1]
        assert outputs[0][1] == pytest.approx(0.1**least * 0.9)


# Cycles 0 → 1 → 0 …, unless it is blocked: 2 is always the second choice, 3 the third.
CYCLE = TableStepper([[0.0, 0.6, 0.3, 0.1], [0.6, 0.0, 0.3, 0.1], [0.5, 0.0, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1]])


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, [1, 0, 1, 0, 1, 0]),
        (1, [1, 2, 3]),
        (2, [1, 0, 2, 0, 3, 0]),  # 01 10 02 20 03 30
        (3, [1, 0, 1, 2, 0, 1]),  # 010 101 012 120 201
    ],
)
@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_blocked_repetitions(n, expected, strategy):
    (result,) = decode(CYCLE, [[0]], Options(strategy=strategy, max_length=len(expected), no_repeat_ngram=n))
    assert result.best.tokens.tolist() == expected


def test_nothing_left_that_would_not_repeat():
    (result,) = decode(CYCLE, [[0]], Options(max_length=9, no_repeat_ngram=1))
    assert (result.best.tokens.tolist(), result.best.reason) == ([1, 2, 3], Reason.DEAD_END)
