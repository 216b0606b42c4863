"""The n-grams against a plain twin, against what probabilities must be, and against known text."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.baselines.ngram import NGram
from elman.data import Vocabulary
from elman.data.demo_text import demo_text
from elman.errors import ConfigError, DataError

TEXTS = st.lists(st.integers(0, 3), min_size=1, max_size=60)
SIZE = 4


class Plain:
    """The recursion of the module's docstring over dictionaries of tuples."""

    def __init__(self, tokens, order, size):
        self.order, self.size, self.after = order, size, defaultdict(Counter)
        for i, token in enumerate(tokens):
            for k in range(min(order, i + 1)):
                self.after[tuple(tokens[i - k : i])][token] += 1

    def probability(self, token, context):
        lower = self.probability(token, context[1:]) if context else 1 / self.size
        seen = self.after.get(tuple(context), Counter())
        if not seen:
            return lower
        return (seen[token] + len(seen) * lower) / (seen.total() + len(seen))

    def probabilities(self, tokens):
        return [self.probability(t, tokens[max(0, i - self.order + 1) : i]) for i, t in enumerate(tokens)]


@given(TEXTS, TEXTS, st.integers(1, 5))
def test_the_plain_twin_gives_the_same_probabilities(train, held_out, order):
    model = NGram.fit(train, order, SIZE)
    np.testing.assert_allclose(
        model.probabilities(held_out), Plain(train, order, SIZE).probabilities(held_out), rtol=1e-12
    )


@given(TEXTS, TEXTS, st.integers(1, 5))
def test_the_next_token_s_probabilities_sum_to_one(train, context, order):
    model = NGram.fit(train, order, SIZE)
    total = sum(model.probabilities([*context, token])[-1] for token in range(SIZE))
    assert total == pytest.approx(1, abs=1e-12)


@given(TEXTS, TEXTS, st.integers(1, 4))
def test_a_shorter_model_is_part_of_a_longer_one(train, held_out, order):
    long, short = NGram.fit(train, 5, SIZE), NGram.fit(train, order, SIZE)
    np.testing.assert_array_equal(long.probabilities(held_out, order), short.probabilities(held_out))


def test_a_case_worked_out_by_hand():
    # a b a: p(b) = (1 + 2 / 3) / (3 + 2); after a, seen once before b: p(b | a) = (1 + p(b)) / (1 + 1)
    model = NGram.fit([0, 1, 0], 2, 3)
    assert model.probabilities([0, 1])[-1] == pytest.approx((1 + 1 / 3) / 2)


def test_tokens_that_training_lacked_keep_some_probability():
    assert NGram.fit([0, 0, 0], 3, 5).probabilities([0, 4, 4]).min() > 0


def test_long_grams_of_large_vocabularies_do_not_overflow():
    tokens = np.random.default_rng(0).integers(0, 2**31, 50)
    model = NGram.fit(np.tile(tokens, 3), 12, 2**31)
    assert model.probabilities(tokens)[-1] > 0.7


def test_on_the_demo_text_each_longer_model_predicts_better_and_none_beats_what_it_has_seen():
    text = demo_text()[:60_000]
    vocabulary = Vocabulary.characters(text)
    tokens = vocabulary.encode(text)
    model = NGram.fit(tokens[:54_000], 5, len(vocabulary))
    bits = [model.bits_per_character(tokens[54_000:], order) for order in (1, 2, 3, 5)]
    assert np.log2(len(vocabulary)) > bits[0] > bits[1] > bits[2] > bits[3]
    assert model.bits_per_character(tokens[:54_000]) < bits[3]


def test_bits_are_the_mean_of_the_logarithms():
    model = NGram.fit([0, 1, 1, 0], 2)
    assert model.bits_per_character([1, 0]) == pytest.approx(-np.log2(model.probabilities([1, 0])).mean())


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: NGram.fit([0, 1], 0), ConfigError, "order must be >= 1"),
        (lambda: NGram.fit([], 2), DataError, "at least one"),
        (lambda: NGram.fit([0.5], 2), DataError, "integer"),
        (lambda: NGram.fit([0, 3], 2, 3), DataError, r"0 \.\.\. 2, got 0 \.\.\. 3"),
        (lambda: NGram.fit([-1, 1], 2), DataError, "got -1"),
        (lambda: NGram.fit([0, 1], 2).probabilities([2]), DataError, r"got 2 \.\.\. 2"),
        (lambda: NGram.fit([0, 1], 2).probabilities([0], 3), ConfigError, r"1 \.\.\. 2 were counted"),
    ],
)
def test_what_makes_no_sense_is_refused(act, error, words):
    with pytest.raises(error, match=words):
        act()
