"""What the README and the documentation show is run: Python blocks in order, and the commands between them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from elman import cells
from elman.equations.language.unknown import FUNCTIONS

# A block of Python or of commands, and what Python prints where the page shows it.
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\.venv/bin/)?elman (.*)$", re.MULTILINE)
SMALL = ["--steps", "2", "--hidden", "8", "--batch", "2", "--chunk", "8"]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/quickstart.md",
        "docs/torch.md",
        "docs/cells.md",
        "docs/memory.md",
        "docs/bfloat16.md",
        "docs/decoding.md",
    ],
)
def test_examples_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    (tmp_path / "book.txt").write_text("It was a dark and stormy night. " * 40, "utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((root / page).read_text("utf-8"))
    assert blocks, f"{page} shows nothing to run"
    names: dict[str, Any] = {"__name__": "example"}
    for number, (language, text, printed) in enumerate(blocks):
        if language == "python":
            capsys.readouterr()
            exec(compile(text, f"{page}, block {number}", "exec"), names)
            assert printed in ("", capsys.readouterr().out), f"{page}, block {number} prints something else"
        else:
            run_commands(text)


def run_commands(text: str) -> None:
    """Run the lines that call `elman`, with a small model where they train one."""
    from elman.cli import main

    for line in COMMAND.findall(text):
        arguments = shlex.split(line)
        small = SMALL if arguments[0] == "train" else []
        assert main([*arguments, *small]) == 0, f"elman {line}"


def test_all_functions_and_cells_are_documented(root: Path) -> None:
    page = (root / "docs/cells.md").read_text("utf-8")
    table = page.partition("## What equations may say")[2].partition("\n\nAll run on")[0]
    named = set(re.findall(r"`(\w+)", table))
    assert set(FUNCTIONS) <= named, f"without a row: {set(FUNCTIONS) - named}"
    built_in = set(re.findall(r"`(\w+)`", page.partition("## Built in")[2]))
    assert set(cells.names()) <= built_in, f"not listed: {set(cells.names()) - built_in}"
