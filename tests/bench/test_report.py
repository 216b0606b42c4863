"""The table, the JSON file and the chart."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from elman.bench import chart, report
from elman.bench.report import Measurements, line, load, machine, title
from elman.bench.rows import Row
from elman.errors import ConfigError, DataError, FormatError
from tests.bench.cases import CEILINGS, case, row

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    row(1.5, fraction_of_peak=0.81, spread=0.02),
    row(None, batch=16),
    row(0.7, suite="steps", fraction_of_bandwidth=0.4),
]


def made(rows: list[Row]) -> Measurements:
    return Measurements(CEILINGS, {"processor": "one", "cores": 2}, {"torch": "2.13"}, rows)


def test_a_file_gives_the_same_report_back(tmp_path: Path) -> None:
    made(ROWS).save(tmp_path / "rows.json")
    assert load(tmp_path / "rows.json") == made(ROWS)


def test_rows_have_the_promised_columns(tmp_path: Path) -> None:
    made(ROWS).save(tmp_path / "rows.json")
    content = json.loads((tmp_path / "rows.json").read_text())
    promised = {
        "cell",
        "mode",
        "hidden_size",
        "batch",
        "steps",
        "dtype",
        "threads",
        "peer",
        "ratio",
        "fraction_of_peak",
    }
    assert all(promised <= set(row) for row in content["rows"])
    assert content["rows"][0]["ratio"] == 1.5
    assert content["rows"][1]["ratio"] is None
    assert content["ceilings"]["compute"]["float32"]["2"] == 200.0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{}]}', '{"rows": [], "ceilings": []}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(
        FormatError, match=r"rows\.json: not the rows of a benchmark \(.*\); elman bench writes them with `json`"
    ):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"rows\.json: cannot be read: No such file or directory$"):
        load(tmp_path / "rows.json")


def test_the_heading_names_machine_peers_and_ceilings() -> None:
    scaled = Measurements(CEILINGS, {"processor": "one", "cores": 2}, {"torch": "2.13"})
    text = list(scaled.heading())
    assert text[0] == "processor one, cores 2, torch 2.13"
    assert [words.split()[0] for words in text[1:]] == ["float32", "L1", "L2", "L3", "memory"]
    assert report._by_threads({1: 118e9, 2: 234e9}, "GFLOP/s") == "118 GFLOP/s on 1, 234 GFLOP/s on 2"


def test_machine_facts() -> None:
    found = machine()
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["isa"] in ("generic", "avx2", "avx512", "neon") or found["isa"].startswith("avx")


def test_lines_of_the_table() -> None:
    timed, refused, step = map(line, ROWS)
    assert timed.split()[-6:] == ["torch", "1500.000", "1000.000", "1.50", "2%", "81%"]
    assert refused.endswith("no time: its results differ")
    assert step.endswith("40%")  # the bandwidth is what counts
    assert len(title()) == len(timed)


def test_a_case_names_itself() -> None:
    assert str(case()) == "layers lstm train H 256 B 32 T 100 float32"


def grid(threads: int = 2) -> list[Row]:
    return [
        row(ratio * batch, cell=cell, mode=mode, hidden_size=size, batch=batch, threads=threads)
        for cell, ratio in (("lstm", 1.0), ("gru", 3.0))
        for mode in ("train", "infer")
        for size in (128, 512)
        for batch in (1, 2, 3)
    ]


def test_the_chart_has_a_panel_a_cell_and_a_line_a_mode() -> None:
    figure = chart.figure(grid(), "a & b")
    assert [axes.get_title() for axes in figure.axes] == ["LSTM", "GRU"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"hidden size"}
    for axes in figure.axes:
        lines = [[*map(float, line.get_ydata())] for line in axes.lines[1:]]  # behind that of equal speed
        assert lines == 2 * [[2.0, 2.0]] if axes.get_title() == "LSTM" else 2 * [[6.0, 6.0]]
        assert len(axes.collections) == 2  # bands
        assert [label.get_text() for label in axes.get_xticklabels()] == ["128", "512"]
    heading = figure.get_suptitle().splitlines()
    assert heading[0].endswith("batches of 1 to 3, float32, 2 threads")
    assert heading[1] == "a & b"


def test_what_is_slower_is_marked_by_fractions() -> None:
    (axes,) = chart.figure([row(0.1), row(2.5, hidden_size=512)]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1/8×", "1/4×", "1/2×", "1×", "2×"]


@pytest.mark.parametrize(("name", "begin"), [("c.svg", b"<?xml"), ("c.png", b"\x89PNG"), ("c.pdf", b"%PDF")])
def test_the_chart_as_a_file(tmp_path: Path, name: str, begin: bytes) -> None:
    path = tmp_path / name
    chart.draw(path, grid(), "a & b")
    assert path.read_bytes().startswith(begin)


def test_the_same_rows_make_the_same_file_of_words(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        chart.draw(tmp_path / name, grid(), "a & b")
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert text == (tmp_path / "b.svg").read_text("utf-8")
    assert "a &amp; b" in text
    assert ElementTree.fromstring(text).tag == f"{SVG}svg"


def test_another_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^`chart` must end in \.svg, \.png, \.pdf, got c\.gif$"):
        chart.draw(tmp_path / "c.gif", grid())
    assert not (tmp_path / "c.gif").exists()


def test_lines_hold_least_median_and_most() -> None:
    train, infer = chart.lines(grid(), "gru")
    assert train.points == infer.points == ((128, 3.0, 6.0, 9.0), (512, 3.0, 6.0, 9.0))


def test_inference_is_drawn_against_the_better_peer() -> None:
    rows = [row(4.0, mode="infer"), row(2.0, mode="infer", peer="onnxruntime")]
    (infer,) = chart.lines(rows, "lstm")
    assert infer.points == ((256, 2.0, 2.0, 2.0),)


def test_the_legend_names_the_peers_that_were_there() -> None:
    def words(rows: list[Row]) -> list[str]:
        return [text.get_text() for text in chart.figure(rows).legends[0].get_texts()]

    rows = [row(), row(mode="infer"), row(mode="infer", peer="jax")]
    assert words(rows) == ["training, against PyTorch", "inference, against PyTorch"]
    rows.append(row(mode="infer", peer="onnxruntime"))
    assert words(rows)[1] == "inference, against the faster of PyTorch and ONNX Runtime"


def test_the_larger_number_of_threads_is_drawn() -> None:
    rows = [row(1.0, threads=1, hidden_size=999), row(1.0, threads=2), row(4.0, threads=2, hidden_size=512)]
    (axes,) = chart.figure(rows).axes
    even, line = axes.lines
    assert {*map(float, even.get_ydata())} == {1.0}
    assert [*map(float, line.get_ydata())] == [1.0, 4.0]
    assert axes.get_yscale() == "log"


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.svg"
    with pytest.raises(
        DataError, match=r"^`chart`: no row of the layers in float32 has a time; add layers to `suites`$"
    ):
        chart.draw(path, [row(None), row(suite="text"), row(dtype="bfloat16")])
    assert not path.exists()
