"""How a run is shown while it goes on."""

from __future__ import annotations

import io
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


def test_plain_lines_only_where_the_held_out_part_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("lstm", Console(file=io.StringIO())) as progress:
        progress(REPORT)
        progress(replace(REPORT, validation=2.1))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"lstm:  50% · {describe(REPORT)}\n"


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
