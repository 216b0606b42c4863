"""`elman demo`, with a fraction of its time."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from elman.cli import demo
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seconds", 0), "--seconds must be above 0 and finite, got 0.0"),
        (("--seconds", "inf"), "--seconds must be above 0 and finite, got inf"),
        (("--temperature", -1), "--temperature must be 0 or above and finite, got -1.0"),
        (("--temperature", "nan"), "--temperature must be 0 or above and finite, got nan"),
        (("--seed", -1), "--seed must be at least 0 and below 2**63, got -1"),
    ],
)
def test_demo_refuses_before_it_trains(
    elman: Program, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    ended = elman("demo", *arguments)
    assert (ended.status, ended.out, ended.err) == (1, "", f"elman: {message}\n")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_the_demo(elman: Program, short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.cli.progress import ProgressLine

    monkeypatch.setattr(ProgressLine, "__call__", lambda self, report: signal.raise_signal(signal.SIGINT))
    ended = elman("demo", "--seconds", 60)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err.splitlines()[-1] == "elman: interrupted; the next demo begins anew"
