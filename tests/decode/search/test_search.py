"""Beam and exact search against the list of all sequences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elman.decode import Decoding, Fusion, Options, Rank, Reason, Regex, Spelling, TableStepper, UserRank, decode
from tests.decode.small import STEPPERS, everything, markov, network

LIMIT, STOP = 5, 1
ROUNDING = 1e-9  # sums of a few float64 numbers in another order; float32 models are summed in float64 too


def ranked(listed: dict[tuple[int, ...], float], alpha: float, bonus: float) -> list[tuple[float, tuple[int, ...]]]:
    scores = {t: p / ((5 + len(t)) / 6) ** alpha + bonus * len(t) for t, p in listed.items()}
    return sorted(((score, tokens) for tokens, score in scores.items()), reverse=True)


@pytest.mark.parametrize("strategy", ["beam", "exact"])
@pytest.mark.parametrize("kind", STEPPERS)
@pytest.mark.parametrize(("alpha", "bonus"), [(0.0, 0.0), (0.6, 0.0), (1.5, 0.0), (-0.5, 0.0), (0.0, 0.7), (1.0, -0.2)])
def test_the_best_of_all(strategy: str, kind: str, alpha: float, bonus: float) -> None:
    for seed in range(3):
        stepper = STEPPERS[kind](seed)
        listed = ranked(everything(stepper, [0, 2], LIMIT, [STOP]), alpha, bonus)
        wide = {"width": stepper.size**LIMIT} if strategy == "beam" else {}
        options = Options(
            strategy=strategy,
            max_length=LIMIT,
            count=4,
            stop_tokens=(STOP,),
            ranker=Rank(alpha=alpha, bonus=bonus),
            **wide,
        )  # type: ignore[arg-type]
        (result,) = decode(stepper, [[0, 2]], options)
        found = [output.rank for output in result.outputs]
        assert found == pytest.approx([score for score, _ in listed[:4]], abs=ROUNDING)
        rank_of = {tokens: score for score, tokens in listed}
        assert [rank_of[tuple(o.tokens.tolist())] for o in result.outputs] == pytest.approx(found, abs=ROUNDING)
        assert len({tuple(o.tokens.tolist()) for o in result.outputs}) == len(listed[:4])
        for output in result.outputs:
            assert output.reason is (Reason.STOP_TOKEN if output.tokens[-1] == STOP else Reason.LENGTH)
        assert result.proved is (True if strategy == "exact" else None)


@pytest.mark.parametrize("seed", range(5))
def test_long_sequences_of_many_tokens(seed: int) -> None:
    stepper = markov(6, seed, sharp=0.3)
    options = Options(strategy="exact", max_length=8, stop_tokens=(STOP,))
    (result,) = decode(stepper, [[0]], options)
    assert result.best.log_probability == pytest.approx(best_path(stepper, 8), abs=ROUNDING)
    assert result.proved


def best_path(stepper: TableStepper, limit: int) -> float:
    """Viterbi: the best way to each token, and the best end."""
    table, best = stepper.log_probabilities, -np.inf
    ways = np.full(stepper.size, -np.inf)
    ways[0] = 0.0
    for _ in range(limit):
        ways = (ways[:, None] + table).max(axis=0)
        best = max(best, ways[STOP])
        ways[STOP] = -np.inf
    return max(best, ways.max())


def test_early_stopping_never_changes_the_best() -> None:
    """What is proved early is what the search to the end finds, for narrow beams too, and takes fewer steps."""
    saved = 0
    for seed in range(30):
        stepper = markov(5, seed, sharp=0.4)
        for alpha in (0.0, 0.8, -0.4):
            proved, never = (
                decode(
                    stepper,
                    [[0]],
                    Options(
                        strategy="beam",
                        width=3,
                        count=2,
                        max_length=12,
                        stop_tokens=(STOP,),
                        early=early,
                        ranker=Rank(alpha),
                    ),
                )[0]
                for early in ("proved", "never")
            )
            assert [o.tokens.tolist() for o in proved.outputs] == [o.tokens.tolist() for o in never.outputs]
            saved += never.steps - proved.steps
    assert saved > 500


def test_a_beam_of_one_is_greedy() -> None:
    for seed in range(10):
        stepper = network(5, seed)
        greedy = decode(stepper, [[2], [0, 1]], Options(max_length=20))
        beam = decode(stepper, [[2], [0, 1]], Options(strategy="beam", max_length=20))
        assert [r.best.tokens.tolist() for r in greedy] == [r.best.tokens.tolist() for r in beam]
        for result in greedy:
            assert result.best.log_probability == pytest.approx(result.best.rank)


def test_wider_beams_than_the_vocabulary() -> None:
    stepper = markov(3, 0)
    (result,) = decode(stepper, [[0]], Options(strategy="beam", width=50, count=50, max_length=2))
    assert [tuple(o.tokens.tolist()) for o in result.outputs] == [
        tokens for _, tokens in ranked(everything(stepper, [0], 2), 0.0, 0.0)
    ]


def test_the_state_follows_the_hypothesis() -> None:
    """A stepper whose predictions depend on its whole past: every hypothesis is scored by its own."""
    stepper = network(4, 3)
    listed = everything(stepper, [1], 4)
    (result,) = decode(stepper, [[1]], Options(strategy="beam", width=7, count=7, max_length=4))
    for output in result.outputs:
        assert output.log_probability == pytest.approx(listed[tuple(output.tokens.tolist())], abs=ROUNDING)


def test_a_stop_token_must_be_among_the_best() -> None:
    """The stop token of a prefix outside the beam's width is not set aside: 0 → 1, 2 or stop 3."""
    stepper = TableStepper([[0.0, 0.5, 0.4, 0.1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])
    options = Options(strategy="beam", width=2, count=2, max_length=4, stop_tokens=(3,))
    assert [o.tokens.tolist() for o in decode(stepper, [[0]], options)[0].outputs] == [[1, 3], [2, 3]]


def test_exact_search_without_the_budget() -> None:
    stepper = network(5, 1)
    listed = everything(stepper, [0], 5)
    (result,) = decode(stepper, [[0]], Options(strategy="exact", max_length=5, budget=40))
    assert result.proved is False
    assert result.steps <= 40
    assert result.upper is not None
    assert result.upper >= max(listed.values()) > -np.inf
    (whole,) = decode(stepper, [[0]], Options(strategy="exact", max_length=5))
    assert (whole.proved, whole.upper) == (True, None)
    assert whole.steps < sum(5**k for k in range(5)) / 2, "pruning spares most prefixes"


def test_exact_search_without_any_finished_sequence() -> None:
    (result,) = decode(network(3, 1), [[0]], Options(strategy="exact", max_length=9, budget=1))
    assert (result.proved, result.best.finished) == (False, False)


def test_diverse_groups() -> None:
    stepper = markov(6, 4, sharp=3.0)
    same = Options(strategy="beam", width=4, groups=2, count=4, max_length=4)
    (result,) = decode(stepper, [[0]], same)
    tokens = [tuple(o.tokens.tolist()) for o in result.outputs]
    assert tokens[0] == tokens[1], "without a penalty both groups find the same"
    assert tokens[0] == tuple(
        decode(stepper, [[0]], Options(strategy="beam", width=2, max_length=4))[0].best.tokens.tolist()
    )
    apart = Options(strategy="beam", width=4, groups=2, count=4, max_length=1, diversity=50.0)
    assert len({int(o.tokens[0]) for o in decode(stepper, [[0]], apart)[0].outputs}) == 4
    (varied,) = decode(stepper, [[0]], replace(apart, max_length=4))
    assert len({tuple(o.tokens.tolist()) for o in varied.outputs}) == 4
    listed = everything(stepper, [0], 4)
    for output in varied.outputs:  # the penalty chooses, and is not carried on
        assert output.rank == pytest.approx(listed[tuple(output.tokens.tolist())])


def test_fusion_is_the_sum_of_both() -> None:
    one, two = markov(4, 0), network(4, 1)
    first, second = everything(one, [0], 4), everything(two, [0], 4)
    best = max(first, key=lambda t: first[t] + 0.4 * second[t])
    for strategy in ("beam", "exact"):
        wide = {"width": 256} if strategy == "beam" else {}
        (result,) = decode(Fusion(one, two, 0.4), [[0]], Options(strategy=strategy, max_length=4, **wide))  # type: ignore[arg-type]
        assert tuple(result.best.tokens.tolist()) == best
        assert result.best.rank == pytest.approx(first[best] + 0.4 * second[best])


def test_a_users_rank() -> None:
    stepper = markov(3, 2)
    listed = everything(stepper, [0], 4)
    rank = UserRank(lambda total, tokens: total + 2.0 * float((tokens == 2).sum()))
    (result,) = decode(stepper, [[0]], Options(strategy="beam", width=81, max_length=4, early="never", ranker=rank))
    assert result.best.rank == pytest.approx(max(p + 2.0 * t.count(2) for t, p in listed.items()))
    bounded = UserRank(
        rank.function, lambda total, tokens, limit: total + 2.0 * ((tokens == 2).sum() + limit - len(tokens))
    )
    (exact,) = decode(stepper, [[0]], Options(strategy="exact", max_length=4, ranker=bounded))
    assert exact.best.rank == pytest.approx(result.best.rank)
    assert exact.proved


@pytest.mark.parametrize("strategy", ["beam", "exact"])
def test_the_mean_per_token(strategy: str) -> None:
    stepper = network(4, 2)
    listed = everything(stepper, [0], 4, [STOP])
    wide = {"width": 256} if strategy == "beam" else {}
    rank = Rank(alpha=1.0, offset=0.0)
    (result,) = decode(
        stepper, [[0]], Options(strategy=strategy, max_length=4, stop_tokens=(STOP,), ranker=rank, **wide)
    )  # type: ignore[arg-type]
    assert result.best.rank == pytest.approx(max(total / len(tokens) for tokens, total in listed.items()))


def test_word_bonus_counts_its_tokens_alone() -> None:
    stepper = markov(3, 5)
    listed = everything(stepper, [0], 5)
    rank = Rank(bonus=1.5, bonus_tokens=(2,))
    for strategy, wide in (("beam", {"width": 243}), ("exact", {})):
        (result,) = decode(stepper, [[0]], Options(strategy=strategy, max_length=5, ranker=rank, **wide))  # type: ignore[arg-type]
        assert result.best.rank == pytest.approx(max(p + 1.5 * t.count(2) for t, p in listed.items()))


def test_coverage() -> None:
    """cp = Σ log min(attention, 1) over source positions. Reference: Wu et al. 2016, equation 14."""
    stepper = network(3, 0)
    attention = lambda state: 1 / (1 + np.exp(-state["h"]))  # noqa: E731
    rank = Rank(alpha=0.5, coverage=0.3, attention=attention)
    (result,) = decode(stepper, [[0]], Options(strategy="beam", width=27, count=27, max_length=3, ranker=rank))
    for output in result.outputs:
        state = stepper.start(1)
        for token in [0, *output.tokens[:-1].tolist()]:
            _, state = stepper.step(np.array([token]), state)
        expected = output.log_probability / (8 / 6) ** 0.5 + 0.3 * np.log(np.minimum(attention(state), 1)).sum()
        assert output.rank == pytest.approx(expected)


def test_what_nothing_can_follow_ends_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where length makes ranks worse, a bound must not count on a token more: behind b and c all tokens are used."""
    monkeypatch.setattr("elman.decode.search.exact._TOGETHER", 1)
    stepper = TableStepper([[0, 0.6, 0.4], [0.55, 0, 0.45], [0.1, 0.9, 0]], Spelling.of("abc"))
    options = Options(
        strategy="exact", max_length=5, no_repeat_ngram=1, constraints=(Regex("[abc]*"),), ranker=Rank(alpha=-2.0)
    )
    (result,) = decode(stepper, [[0]], options)
    assert (result.best.text, result.best.reason, result.proved) == ("cb", Reason.CONSTRAINT, True)
    assert result.best.rank == pytest.approx(np.log(0.36) * (7 / 6) ** 2)


def test_what_a_beam_has_shown_stands_even_in_a_dead_end() -> None:
    """b c a is stuck at once and likelier than b c c b b, which is stuck later: none of that is shown."""
    stepper = TableStepper([[0, 1, 0], [0, 0.23, 0.77], [0.39, 0.2, 0.41]], Spelling.of("abc"))
    options = Options(strategy="beam", width=2, max_length=9, constraints=(Regex("[abc]{9}"),), no_repeat_ngram=2)
    decoding = Decoding(stepper, [[0]], options)
    shown = [token for decided in decoding for token in decided.tokens.tolist()]
    best = decoding.results()[0].best
    assert (best.text, best.reason) == ("bca", Reason.DEAD_END)
    assert shown == best.tokens.tolist()
