"""A text and settings small enough that a run takes a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.train.config import Config

VERSE = "the quick brown fox jumps over the lazy dog, and the dog sleeps on.\n"


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "verse.txt"
    path.write_text(VERSE * 20, encoding="utf-8")
    return path


@pytest.fixture
def small(text_file: Path) -> Callable[..., Config]:
    """`small(steps=…, …)`: settings for a run on the verse."""

    def make(**settings: Any) -> Config:
        usual = {"hidden": 12, "batch": 3, "chunk": 7, "steps": 24, "validations": 4, "threads": 1}
        return Config.of("text", str(text_file), **(usual | settings))

    return make
