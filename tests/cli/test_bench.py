"""elman bench, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from elman.bench import ceilings, run
from elman.bench.rows import Case, Row
from tests.bench.cases import CEILINGS, row
from tests.cli.conftest import Program

TINY = ("--suites", "layers", "--cells", "elman", "--hidden", 4, "--batch", 2, "--steps", 3, "--dtypes", "float32")
TINY += ("--threads", 1, "--seconds", 1e-9, "--peers", "torch")


@pytest.fixture(autouse=True)
def quick_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "measure", lambda threads: CEILINGS)


def test_rows_summary_file_and_chart(elman: Program, tmp_path: Path) -> None:
    ended = elman("bench", *TINY, "--json", "rows.json", "--chart", "chart.svg")
    assert ended.status == 0, ended.err
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["cell"], row["mode"], row["peer"]) for row in rows] == [
        ("elman", "infer", "torch"),
        ("elman", "train", "torch"),
    ]
    assert all(row["ratio"] > 0 and row["refused"] is None for row in rows)
    assert "layers elman              train     4   2    3 float32   1 torch" in ended.out
    assert "inference against the better of torch and ONNX Runtime" in ended.out
    assert "measuring the machine's ceilings" in ended.err
    assert (tmp_path / "chart.svg").read_text().startswith("<?xml")


def test_rows_are_read_back_rather_than_measured(elman: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    elman("bench", *TINY, "--json", "rows.json")
    monkeypatch.setattr(run, "measure", None)
    ended = elman("bench", "--read", "rows.json", "--chart", "chart.svg")
    assert ended.status == 0, ended.err
    assert "training against torch, H 32 … 64 or B 1 … 8" in ended.out
    assert ended.err == "the chart: chart.svg\n"


def test_quick_leaves_compiling_out_unless_it_is_asked_for(elman: Program, tmp_path: Path) -> None:
    def peers(*arguments: str) -> set[str]:
        assert elman("bench", "--quick", *TINY[:-2], *arguments, "--json", "rows.json").status == 0
        return set(json.loads((tmp_path / "rows.json").read_text())["peers"])

    assert "torch" in peers()
    assert "torch.compile" not in peers()
    assert peers("--peers", "torch.compile", "torch") == {"torch", "torch.compile"}


def test_an_interrupted_run_leaves_what_it_measured(
    elman: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure(case: Case, options: object, found: object) -> Iterator[Row]:
        yield row(mode=case.mode)
        if case.mode == "train":
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "measure", measure)
    ended = elman("bench", *TINY, "--json", "rows.json")
    assert ended.status == 130
    assert ended.err.endswith("elman: interrupted after 1 of 2 cases; rows.json holds what was measured\n")
    assert [row["mode"] for row in json.loads((tmp_path / "rows.json").read_text())["rows"]] == ["infer", "train"]


def test_an_interrupted_run_without_a_file_says_no_more_than_that(
    elman: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(case: Case, options: object, found: object) -> Iterator[Row]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(run, "measure", measure)
    ended = elman("bench", *TINY)
    assert (ended.status, ended.err.splitlines()[-1]) == (130, "elman: interrupted after 0 of 2 cases")


def test_a_machine_that_slows_down_is_told_of(elman: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.cli import bench

    monkeypatch.setattr(bench, "compute_rate", lambda threads: 50.0)  # half of what CEILINGS say
    ended = elman("bench", *TINY)
    assert ended.status == 0
    assert "at the beginning and is" in ended.err
    monkeypatch.setattr(bench, "compute_rate", lambda threads: 99.0)
    assert "at the beginning and is" not in elman("bench", *TINY).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--peers", "keras"), "--peers: keras is not known; choose from torch, torch.compile, onnxruntime, jax"),
        (("--hidden", "0"), "--hidden must be at least 1, got 0"),
        (("--seconds", "-1"), "--seconds must be above 0 and finite, got -1.0"),
        (
            ("--suites", "ragged", "--modes", "stream"),
            "no suite has such cases: --suites, --cells, --modes and --dtypes leave nothing to measure",
        ),
        (("--seconds", "inf"), "--seconds must be above 0 and finite, got inf"),
        (("--read", "nowhere.json"), "nowhere.json: cannot be read: No such file or directory"),
        (
            ("--read", "rows.json", "--json", "other.json"),
            "--read takes all rows of a file and measures nothing: beside it only --chart has a meaning",
        ),
        (
            ("--read", "rows.json", "--cells", "gru"),
            "--read takes all rows of a file and measures nothing: beside it only --chart has a meaning",
        ),
        (("--json", "nowhere/rows.json"), "--json nowhere/rows.json: there is no folder nowhere"),
        (("--json", ".."), "--json ..: a file to write expected, got a folder"),
        (("--chart", "nowhere/chart.svg"), "--chart nowhere/chart.svg: there is no folder nowhere"),
        (("--chart", "chart.gif"), "--chart must end in .svg, .png, .pdf, got chart.gif"),
        (("--chart", "chart.svg", "--suites", "text"), "--chart draws the layers: add layers to --suites"),
    ],
)
def test_mistakes(elman: Program, arguments: tuple[str, ...], message: str) -> None:
    ended = elman("bench", *arguments)
    assert (ended.status, ended.out, ended.err) == (1, "", f"elman: {message}\n")


def test_help_names_every_option(elman: Program) -> None:
    ended = elman("bench", "--help")
    assert ended.status == 0
    for name in ("suites", "threads", "cells", "modes", "hidden", "batch", "steps", "dtypes", "peers", "seconds"):
        assert f"--{name}" in ended.out
    for name in ("--quick", "--json", "--read", "--chart"):
        assert name in ended.out
