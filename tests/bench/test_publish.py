"""What was measured, in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.publish import BEGIN, END, publish, put
from elman.bench.report import Measurements
from tests.bench.cases import CEILINGS, row

MARKED = f"before\n{BEGIN}\nold\n{END}\nafter\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(MARKED, "utf-8")
    (tmp_path / "docs" / "benchmarks.md").write_text(MARKED, "utf-8")
    rows = [row(1.3, batch=16), row(0.9, batch=32), row(0.5, batch=32, peer="elman float32"), row(None, batch=128)]
    Measurements(CEILINGS, {"processor": "one"}, {"torch": "2.13"}, rows).save(tmp_path / "docs" / "benchmarks.json")
    return tmp_path


def test_chart_page_and_readme(checkout: Path) -> None:
    publish(checkout)
    assert (checkout / "docs" / "benchmarks.svg").read_text("utf-8").startswith("<?xml")
    readme = (checkout / "README.md").read_text("utf-8")
    assert "](docs/benchmarks.svg)" in readme
    assert "Measured on processor one, torch 2.13. In 1 of 2 comparisons a peer is faster" in readme
    lines = (checkout / "docs" / "benchmarks.md").read_text("utf-8").splitlines()
    assert "L2       0 GB/s on 1, 0 GB/s on 2 (9 KiB)" in lines
    assert (
        "| training against torch, H 128 … 1024, B 16 … 128 | lstm | 1 | 3, 1 without a time "
        "| 1.10 | 1.10 ✓ | 0.90 | 1.00 ✗ |"
    ) in lines
    assert "### Where a peer is faster: 1 of 2 comparisons" in lines
    assert "| 0.90 | torch | layers lstm train H 256 B 32 T 100 float32 | 1 |" in lines
    assert "| layers lstm train H 256 B 128 T 100 float32 | 1 | torch | its results differ |" in lines


def test_what_stands_around_stays_and_a_second_time_changes_nothing(checkout: Path) -> None:
    publish(checkout)
    once = (checkout / "README.md").read_text("utf-8")
    assert once.startswith(f"before\n{BEGIN}\n![")
    assert once.endswith(f"\n{END}\nafter\n")
    assert "old" not in once
    publish(checkout)
    assert (checkout / "README.md").read_text("utf-8") == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"page\.md: .* expected, around what was measured"):
        put(path, "new")
    assert path.read_text() == text


@pytest.mark.parametrize("page", ["README.md", "docs/benchmarks.md"])
def test_the_pages_have_their_marks(root: Path, page: str) -> None:
    text = (root / page).read_text("utf-8")
    assert text.index(BEGIN) < text.index(END)
