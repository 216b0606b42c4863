"""Writes hashes.json, the hash of every built-in cell: `python -m tests.cells.hashes`, where a change is meant."""

from __future__ import annotations

import json
from pathlib import Path

from elman import cells

FILE = Path(__file__).with_name("hashes.json")


def hashes() -> dict[str, str]:
    """The hash of every built-in cell by name."""
    return {name: cells.get(name).graph.hash for name in cells.names()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(hashes(), indent=2) + "\n")
