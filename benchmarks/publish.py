"""Puts what `elman bench --json docs/benchmarks.json` measured into the documentation: chart, page and README.

    python benchmarks/publish.py

writes docs/benchmarks.svg, and in docs/benchmarks.md and README.md what stands between the lines that begin and end
what was measured. Nothing in there is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from elman.bench import chart, report
from elman.bench.goals import GOALS
from elman.bench.judge import Verdict, comparisons, judge, losses, reaches
from elman.bench.rows import Row
from elman.formats.atomic import atomic_write

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_CAPTION = "How many times faster than PyTorch and ONNX Runtime, by hidden size"


def publish(root: Path) -> None:
    """Write chart, page and README of the checkout `root`. Raises FormatError where there are no rows to read."""
    docs = root / "docs"
    found = report.load(docs / "benchmarks.json")
    chart.draw(docs / "benchmarks.svg", found.rows, found.about())
    put(root / "README.md", "\n".join(readme(found)))
    put(docs / "benchmarks.md", "\n".join(page(found)))


def put(path: Path, text: str) -> None:
    """Replace what stands between the two marks of a file."""
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: {BEGIN} and {END} expected, around what was measured")
    with atomic_write(path) as file:
        file.write(f"{before}{begin}\n{text}\n{end}{after}".encode())


def readme(found: report.Measurements) -> Iterator[str]:
    """The chart, and what it leaves out."""
    lost = losses(found.rows)
    yield f"![{_CAPTION}](docs/benchmarks.svg)"
    yield ""
    yield (
        f"Measured on {found.about()}. In {len(lost)} of {len(comparisons(found.rows))} comparisons a peer is faster; "
        "[all of them](docs/benchmarks.md#measured)."
    )


def page(found: report.Measurements) -> Iterator[str]:
    """Everything in tables: ceilings, groups beside their goals, each loss."""
    yield "## Measured"
    yield ""
    yield f"![{_CAPTION}](benchmarks.svg)"
    yield ""
    yield f"On {found.about()}; every row is in [benchmarks.json](benchmarks.json)."
    yield ""
    yield "```"
    yield from list(found.heading())[1:]
    yield "```"
    yield ""
    yield from table(
        "group | cell | threads | cases | median | goal | least | goal", map(_verdict, judge(found.rows, GOALS))
    )
    lost = losses(found.rows)
    yield ""
    yield f"### Where a peer is faster: {len(lost)} of {len(comparisons(found.rows))} comparisons"
    yield ""
    yield from table("times | against | case | threads", map(_lost, lost))
    refused = [row for row in found.rows if row.refused]
    if refused:
        yield ""
        yield "### Without a time"
        yield ""
        yield from table("case | threads | whose | why", map(_refused, refused))


def table(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {title} |"
    yield "|" + "---|" * (title.count("|") + 1)
    yield from (f"| {line} |" for line in lines)


def _verdict(verdict: Verdict) -> str:
    cases = f"{verdict.count}" + (f", {verdict.refused} without a time" if verdict.refused else "")
    median = _held(verdict.median, verdict.limits.median)
    least = _held(verdict.least, verdict.limits.least)
    return f"{verdict.title} | {verdict.cell} | {verdict.threads} | {cases} | {median} | {least}"


def _held(value: float, limit: float | None) -> str:
    goal = "" if limit is None else f"{limit:.2f} {'✓' if reaches(value, limit) else '✗'}"
    return f"{value:.2f} | {goal}"


def _lost(row: Row) -> str:
    return f"{row.ratio:.2f} | {row.peer} | {row} | {row.threads}"


def _refused(row: Row) -> str:
    return f"{row} | {row.threads} | {row.peer or 'ours'} | {row.refused}"


if __name__ == "__main__":
    publish(Path(__file__).parents[1])
