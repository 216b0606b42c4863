"""Groups, their medians and least values, and the lines that tell of them."""

from __future__ import annotations

import pytest

from elman.bench.goals import GOALS
from elman.bench.judge import RatioLimits, Verdict, fastest_peer, judge, losses
from elman.bench.rows import Row
from elman.bench.summary import summary
from tests.bench.cases import row


def verdict(rows: list[Row], title: str) -> Verdict:
    """The one verdict of a group."""
    (found,) = [verdict for verdict in judge(rows, GOALS) if verdict.title.startswith(title)]
    return found


def test_median_and_least_of_a_group() -> None:
    rows = [row(ratio, batch=batch) for batch, ratio in ((16, 1.1), (32, 1.6), (128, 1.3))]
    found = verdict(rows, "training against torch, H 128")
    assert (found.cell, found.threads, found.count, found.median, found.least) == ("lstm", 1, 3, 1.3, 1.1)
    assert found.met


@pytest.mark.parametrize(
    ("ratios", "threads", "met"),
    [((1.15, 1.15), 1, True), ((1.15, 1.15), 2, False), ((1.25, 1.25), 2, True), ((0.99, 3.0), 2, False)],
)
def test_one_thread_has_a_goal_of_its_own(ratios: tuple[float, float], threads: int, met: bool) -> None:
    rows = [row(ratio, batch=batch, threads=threads) for batch, ratio in zip((32, 64), ratios, strict=True)]
    assert verdict(rows, "training against torch, H 128").met is met


def test_cells_and_thread_counts_are_judged_apart() -> None:
    rows = [row(cell=cell, threads=threads) for cell in ("lstm", "gru") for threads in (1, 2)]
    found = [v for v in judge(rows, GOALS) if v.title.startswith("training against torch, H 128")]
    assert [(v.threads, v.cell) for v in found] == [(1, "lstm"), (2, "lstm"), (1, "gru"), (2, "gru")]


def test_inference_is_held_against_the_better_peer() -> None:
    rows = [row(3.0, mode="infer"), row(1.2, mode="infer", peer="onnxruntime"), row(0.5, mode="infer", peer="jax")]
    assert verdict(rows, "inference").least == 1.2
    assert fastest_peer(rows[:2]) == [rows[1]]


def test_a_peer_without_a_time_leaves_the_case_to_the_other() -> None:
    rows = [row(None, mode="infer"), row(1.2, mode="infer", peer="onnxruntime")]
    found = verdict(rows, "inference")
    assert (found.refused, found.least) == (0, 1.2)


def test_a_case_without_any_time_does_not_count_as_met() -> None:
    found = verdict([row(9.0, batch=16), row(None, batch=32)], "training against torch, H 128")
    assert (found.count, found.refused, found.median, found.met) == (2, 1, 9.0, False)


def test_shares_of_the_peak_are_judged_at_large_sizes_only() -> None:
    rows = [row(fraction_of_peak=share, hidden_size=size) for size, share in ((128, 0.1), (256, 0.85), (512, 0.9))]
    found = verdict(rows, "forward + backward, share")
    assert (found.count, found.median, found.least, found.limits) == (2, 0.875, 0.85, RatioLimits(0.8, 0.8))


@pytest.mark.parametrize(
    ("rows", "title"),
    [
        ([row(hidden_size=64)], "training against torch, H 32"),
        ([row(batch=8, hidden_size=1024)], "training against torch, H 32"),
        ([row(suite="ragged", peer="torch padded")], "ragged training against padded torch"),
        ([row(suite="ragged", peer="torch packed")], "ragged training against packed torch"),
        ([row(suite="ragged", peer="elman dense")], "ragged training against our own dense rate"),
        (
            [row(suite="cells", cell="my_layer_norm_lstm", hidden_size=512)],
            "layer-norm LSTM against eager torch, H 512",
        ),
        (
            [row(suite="cells", cell="my_layer_norm_lstm", hidden_size=128)],
            "layer-norm LSTM against eager torch, H 128",
        ),
        ([row(dtype="bfloat16", peer="elman float32")], "bfloat16 training against our float32"),
        ([row(dtype="bfloat16")], "bfloat16 training against torch's"),
        ([row(suite="steps", mode="infer", fraction_of_bandwidth=0.5)], "batch 1 inside a sequence"),
        ([row(suite="steps", mode="stream")], "a call for each step"),
        ([row(suite="text")], "training on characters"),
        ([row(suite="decode", cell="sample", peer="elman steps", batch=1)], "decoding, of the rate of bare steps"),
        ([row(suite="decode", cell="regex", peer="elman unconstrained", batch=1)], "constrained"),
        ([row(suite="decode", cell="beam 8", peer="elman 8 streams", batch=1)], "a beam of 8"),
        ([row(suite="decode", peer="elman steps", batch=64, fraction_of_peak=0.8)], "64 prompts at once"),
        ([row(suite="decode", cell="greedy", batch=1)], "decoding one prompt against a torch loop"),
    ],
)
def test_each_kind_of_row_has_its_group(rows: list[Row], title: str) -> None:
    assert verdict(rows, title).count == 1


def test_no_goal_is_without_a_name_or_twice() -> None:
    titles = [goal.title for goal in GOALS]
    assert all(titles)
    assert len(set(titles)) == len(titles)


def test_losses_are_told_the_worst_first_and_our_own_rates_are_none() -> None:
    rows = [row(0.9), row(1.1), row(0.4, peer="onnxruntime"), row(0.5, peer="elman dense"), row(None)]
    assert [(lost.peer, lost.ratio) for lost in losses(rows)] == [("onnxruntime", 0.4), ("torch", 0.9)]


def test_the_summary_marks_what_falls_short() -> None:
    text = "\n".join(summary([row(1.3, batch=16), row(0.9, batch=32, threads=2)]))
    assert "  lstm               on 1 thread    median  1.30 goal 1.10 ✓   least  1.30 goal 1.00 ✓   (1 case)" in text
    assert "  lstm               on 2 threads   median  0.90 goal 1.20 ✗   least  0.90 goal 1.00 ✗   (1 case)" in text
    assert "where a peer is faster: 1 of the comparisons, the worst first\n  0.90 of torch" in text


def test_the_summary_tells_what_has_no_time_once_for_each_reason() -> None:
    text = "\n".join(summary([row(None, batch=16), row(None, batch=32), row(2.0)]))
    assert (
        "without a time\n  layers lstm train H 256 B 16 float32 on 1 thread and 1 more: torch: its results differ"
        in text
    )


def test_the_summary_gives_throughput() -> None:
    text = "\n".join(summary([row(2.0, suite="text", rows=2048), row(2.5, suite="steps", mode="stream", rows=1)]))
    assert "  lstm   H  256 B  32 on 1 thread         2,048 torch              1,024" in text
    assert "  lstm   H  256 B  32 on 1 thread     1000000.0 torch          2500000.0" in text


def test_long_lists_of_losses_are_cut() -> None:
    text = list(summary([row(0.5, batch=batch) for batch in range(1, 26)]))
    assert text[-1] == "  … and 5 more"


def test_nothing_to_tell() -> None:
    assert list(summary([])) == []
