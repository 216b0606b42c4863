"""The driver's programs are those that the package makes now."""

from __future__ import annotations

from tests.kernels.write_programs import FILE, text


def test_programs_are_current() -> None:
    assert FILE.read_text() == text(), "run: python -m tests.kernels.write_programs"
