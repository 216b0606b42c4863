"""`elman demo`, with a fraction of its time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from elman.cli import demo
from elman.cli.progress import describe
from elman.train.report import Report
from tests.cli.conftest import Program


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(demo, "PARAMETERS", 5000)
    monkeypatch.setattr(demo, "LENGTH", 150)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_demo(elman: Program, short: None, tmp_path: Path) -> None:
    ended = elman("demo", "--seconds", 0.5)
    assert ended.status == 0
    for name in ("1-gram", "3-gram", "5-gram", "elman", "gru", "lstm", "bits per character"):
        assert name in ended.out
    assert "of its words occur in the text; the longest span copied from it has" in ended.out
    assert (tmp_path / "runs/demo/curves.png").read_bytes().startswith(b"\x89PNG")
    again = elman("demo", "--seconds", 0.5, "--json")
    assert again.status == 0
    found = json.loads(again.out)
    sizes = {network["cell"]: network["parameters"] for network in found["networks"]}
    assert list(sizes) == ["elman", "gru", "lstm"]
    assert max(sizes.values()) / min(sizes.values()) < 1.05
    assert found["ngrams"]["1-gram"] > found["ngrams"]["3-gram"] > found["ngrams"]["5-gram"] > 1
    assert len(found["sample"]) == 150
    assert 0 <= found["known_words"] <= 1
    assert 1 <= found["longest_copy"] <= 150


def test_demo_refuses_no_time(elman: Program) -> None:
    ended = elman("demo", "--seconds", 0)
    assert ended.status == 1
    assert ended.err == "elman: --seconds must be above 0, got 0.0\n"


def test_a_run_in_one_line() -> None:
    report = Report(
        step=1234,
        progress=0.5,
        seconds=100.0,
        seconds_left=3723.0,
        tokens_per_second=56789.4,
        bits=2.3456,
        learning_rate=1e-3,
        gradient_norm=0.5,
        validation=None,
        best=2.1,
    )
    assert (
        describe(report)
        == "step 1,234 · 1:02:03 left · 56,789 tokens/s · training 2.346 · held out 2.100 bits per character"
    )
