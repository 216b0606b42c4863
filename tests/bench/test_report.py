"""The table, the JSON file and the chart."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from elman.bench import chart, report
from elman.bench.report import Report, line, load, machine, title
from elman.bench.rows import Row
from elman.errors import DataError, FormatError
from tests.bench.cases import CEILINGS, case, row

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    row(1.5, fraction_of_peak=0.81, spread=0.02),
    row(None, batch=16),
    row(0.7, suite="steps", fraction_of_bandwidth=0.4),
]


def made(rows: list[Row]) -> Report:
    return Report(CEILINGS, {"processor": "one", "cores": 2}, {"torch": "2.13"}, rows)


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
    scaled = Report(CEILINGS, {"processor": "one", "cores": 2}, {"torch": "2.13"})
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


def drawn(path: Path, rows: list[Row]) -> ElementTree.Element:
    chart.draw(path, rows)
    return ElementTree.fromstring(path.read_text(encoding="utf-8"))


def grid(threads: int = 2) -> list[Row]:
    return [
        row(ratio * batch, cell=cell, mode=mode, hidden_size=size, batch=batch, threads=threads)
        for cell, ratio in (("lstm", 1.0), ("gru", 3.0))
        for mode in ("train", "infer")
        for size in (128, 512)
        for batch in (1, 2, 3)
    ]


def test_the_chart_has_a_panel_a_cell_and_a_line_a_mode(tmp_path: Path) -> None:
    root = drawn(tmp_path / "c.svg", grid())
    titles = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "title middle"]
    assert titles == ["LSTM", "GRU"]
    for kind in ("polyline", "polygon"):
        styles = [shape.get("class", "").split()[0] for shape in root.iter(f"{SVG}{kind}")]
        assert styles == ["train", "infer"] * 2
    assert len(list(root.iter(f"{SVG}circle"))) == 2 * 2 * 2
    words = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert any("batches of 1 to 3, float32, 2 threads" in text for text in words)
    assert words.count("hidden size") == 2


def test_the_chart_names_what_it_was_measured_on(tmp_path: Path) -> None:
    chart.draw(tmp_path / "c.svg", grid(), "a & b")
    words = [text.text for text in ElementTree.fromstring((tmp_path / "c.svg").read_text()).iter(f"{SVG}text")]
    assert words[1] == "a & b"


def test_what_is_slower_is_marked_by_fractions(tmp_path: Path) -> None:
    root = drawn(tmp_path / "c.svg", [row(0.1), row(2.5, hidden_size=512)])
    marks = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "end"]
    assert marks == ["1/8×", "1/4×", "1/2×", "1×", "2×"]


def test_the_chart_is_legible_on_dark(tmp_path: Path) -> None:
    style = drawn(tmp_path / "c.svg", grid()).find(f"{SVG}style")
    assert style is not None
    assert "prefers-color-scheme: dark" in (style.text or "")


def test_lines_hold_least_median_and_most() -> None:
    train, infer = chart.lines(grid(), "gru")
    assert train.points == infer.points == ((128, 3.0, 6.0, 9.0), (512, 3.0, 6.0, 9.0))


def test_inference_is_drawn_against_the_better_peer() -> None:
    rows = [row(4.0, mode="infer"), row(2.0, mode="infer", peer="onnxruntime")]
    (infer,) = chart.lines(rows, "lstm")
    assert infer.points == ((256, 2.0, 2.0, 2.0),)


def test_the_legend_names_the_peers_that_were_there(tmp_path: Path) -> None:
    def words(rows: list[Row]) -> str:
        return " | ".join(text.text or "" for text in drawn(tmp_path / "c.svg", rows).iter(f"{SVG}text"))

    rows = [row(), row(mode="infer"), row(mode="infer", peer="jax")]
    assert words(rows).endswith("training, against PyTorch | inference, against PyTorch")
    rows.append(row(mode="infer", peer="onnxruntime"))
    assert words(rows).endswith("inference, against the faster of PyTorch and ONNX Runtime")


def test_higher_is_faster_and_the_larger_number_of_threads_is_drawn(tmp_path: Path) -> None:
    rows = [row(1.0, threads=1, hidden_size=999), row(1.0, threads=2), row(4.0, threads=2, hidden_size=512)]
    root = drawn(tmp_path / "c.svg", rows)
    first, second = (float(dot.get("cy", "nan")) for dot in root.iter(f"{SVG}circle"))
    assert second < first
    even = next(rule for rule in root.iter(f"{SVG}line") if rule.get("class") == "even")
    assert float(even.get("y1", "nan")) == first


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.svg"
    with pytest.raises(
        DataError, match=r"^`chart`: no row of the layers in float32 has a time; add layers to `suites`$"
    ):
        chart.draw(path, [row(None), row(suite="text"), row(dtype="bfloat16")])
    assert not path.exists()
