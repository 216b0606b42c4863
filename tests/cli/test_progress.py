"""How a run is shown while it goes on."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from elman.cli.progress import ProgressLine, describe
from elman.train.reports import StepReport

REPORT = StepReport(
    step=1234,
    progress=0.5,
    seconds=100.0,
    seconds_left=3723.0,
    tokens_per_second=56789.4,
    loss=2.3456,
    unit="bits",
    learning_rate=1e-3,
    gradient_norm=0.5,
    validation=None,
    best=2.1,
)


def test_a_run_in_one_line() -> None:
    assert describe(REPORT) == "held out 2.100 · training 2.346 bits · 1:02:03 left · 56,789 tokens/s · step 1,234"
    first = replace(REPORT, best=None, seconds_left=float("inf"))
    assert describe(first) == "training 2.346 bits · ? left · 56,789 tokens/s · step 1,234"


def test_plain_lines_at_once_at_each_measuring_and_after_a_silence(capsys: pytest.CaptureFixture[str]) -> None:
    now = 1000.0
    with ProgressLine("lstm", Console(file=io.StringIO()), clock=lambda: now) as progress:
        said = []
        for step, (passed, validation) in enumerate([(0, None), (1, None), (1, 2.1), (14, None), (1, None), (1, None)]):
            now += passed
            progress(replace(REPORT, step=step, validation=validation))
            said.append(capsys.readouterr())
    assert all(out == "" for out, _ in said)
    assert [err != "" for _, err in said] == [True, False, True, False, True, False]
    assert said[2][1] == f"lstm:  50% · {describe(replace(REPORT, step=2))}\n"


def test_a_terminal_keeps_a_line_for_each_measuring() -> None:
    file = io.StringIO()
    with ProgressLine("lstm", Console(file=file, force_terminal=True, width=100)) as progress:
        progress(replace(REPORT, validation=2.1))
        progress(REPORT)
        progress(replace(REPORT, step=2000, validation=2.2))
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).splitlines()]
    kept = [line for line in lines if line.endswith(("in training", "in training best"))]
    assert kept == [
        "lstm:  50% · step 1,234 · 2.100 bits held out, 2.346 in training best",
        "lstm:  50% · step 2,000 · 2.200 bits held out, 2.346 in training",
    ]


@pytest.mark.parametrize("width", [60, 120])
def test_a_live_line_on_a_terminal(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width)
    with ProgressLine("lstm", console) as progress:
        progress(REPORT)
    text = file.getvalue()
    assert "held out 2.100" in text
    assert ("step 1,234" in text) == (width == 120)
    lines = text.replace("\r", "\n").split("\n")
    assert sum("held out" in line for line in lines[-3:]) == 1
