"""Learning curves."""

from __future__ import annotations

from pathlib import Path

from elman.compare.curves import Curve, draw, plot, read_curve

METRICS = """{"kind":"training","step":1,"bits":7.0,"seconds":0.1}
{"kind":"validation","step":1,"bits_per_character":6.5,"seconds":0.2}
{"kind":"validation","step":9,"bits_per_character":2.5,"seconds":4.0}
"""


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(METRICS)
    assert read_curve("lstm", path) == Curve("lstm", ((0.2, 6.5), (4.0, 2.5)))


def test_plot_puts_marks_where_they_belong() -> None:
    lines = plot(
        [Curve("falling", ((0.0, 8.0), (10.0, 2.0))), Curve("flat", ((5.0, 5.0),))], width=21, height=7
    ).splitlines()
    rows = [line[8:] for line in lines[1:8]]
    assert rows[0].index("*") == 0
    assert rows[6].index("*") == 20
    assert rows[3].index("o") == 10
    assert lines[1].split()[0] == "8.00"
    assert lines[7].split()[0] == "2.00"
    assert lines[-2].split() == ["0", "10", "seconds"]
    assert lines[-1].split() == ["*", "falling", "o", "flat"]


def test_plot_of_one_point() -> None:
    assert "*" in plot([Curve("one", ((0.0, 3.0),))])


def test_draw(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw(path, [Curve("lstm", ((0.2, 6.5), (4.0, 2.5)))], {"1-gram": 4.5, "3-gram": 2.9}, "title")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]
