"""The choice of the instruction set: the widest by default, another by name, and an error that says what there is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def run(build):
    program: Path = build("dispatch_check.cc", "host/dispatch.cc")

    def run(env: dict[str, str] | None = None) -> dict:
        return json.loads(
            subprocess.run([str(program)], capture_output=True, text=True, check=True, env=env or {}).stdout
        )

    return run


def test_the_widest_is_used_by_default(run):
    said = run()
    assert said["default"] == said["available"][-1]
    assert said["error"] == ""


def test_what_is_available_agrees_with_the_processor(available):
    info = Path("/proc/cpuinfo")
    flags = (
        next((line for line in info.read_text().splitlines() if line.startswith("flags")), "") if info.exists() else ""
    )
    if not flags:
        pytest.skip("/proc/cpuinfo does not list features here")
    words = set(flags.split())
    expected = ["generic"]
    if {"avx2", "fma"} <= words:
        expected.append("avx2")
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= words:
            expected.append("avx512")
            if "avx512_bf16" in words:
                expected.append("avx512_bf16")
    assert available == expected


def test_each_can_be_asked_for(run, available):
    for name in available:
        said = run({"ELMAN_ISA": name})
        assert (said["default"], said["error"]) == (name, "")


def test_an_unknown_name_changes_nothing_and_lists_what_there_is(run, available):
    said = run({"ELMAN_ISA": "AVX9"})
    assert said["default"] == available[-1]
    assert said["error"].startswith("ELMAN_ISA: ")
    assert "'AVX9'" in said["error"]
    assert said["error"].endswith(" ".join(available))


def test_an_empty_variable_is_no_choice(run, available):
    said = run({"ELMAN_ISA": ""})
    assert (said["default"], said["error"]) == (available[-1], "")
