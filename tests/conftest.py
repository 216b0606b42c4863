"""What every test may use: repeatable hypothesis, and the data that may lie beside the project."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# No deadline: a first example pays for imports and thread pools. Repeatable, so that a red test stays red;
# HYPOTHESIS_PROFILE=explore looks further, with other examples each time.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50, database=None)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data(name)`: the file or folder of that name beside the project; without it the test is skipped."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"shared data {name!r} is not beside the project")
        return path

    return find
