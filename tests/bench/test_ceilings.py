"""The machine's limits: that the loops do what they say, and which limit holds for a working set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elman.bench.ceilings import MEMORY, cache_sizes, cores, measure
from elman.kernels import _kernels
from elman.kernels.ceilings import compute_rate, read_rate
from tests.bench.cases import CEILINGS


@pytest.mark.parametrize("bfloat16", [False, True])
def test_operations_are_counted_by_round_and_thread(bfloat16: bool) -> None:
    once = _kernels.ceiling_compute(bfloat16, 1, 1)
    assert _kernels.ceiling_compute(bfloat16, 7, 1) == 7 * once
    assert bfloat16 or once > 0
    assert _kernels.ceiling_compute(bfloat16, 7, 2) in (7 * once, 14 * once)  # a team may be smaller than asked


def test_bytes_are_counted_by_round_and_thread() -> None:
    memory = np.ones(4096 + 64, np.uint8)
    aligned = memory[-memory.ctypes.data % 64 :]
    assert _kernels.ceiling_read(aligned, 2048, 3, 1) == 3 * 2048
    assert _kernels.ceiling_read(aligned, 2048, 3, 2) in (3 * 2048, 6 * 2048)


def test_rates_are_positive() -> None:
    assert compute_rate(1, seconds=0.0) > 0
    assert read_rate(1, 1, seconds=0.0) > 0  # less than the loop's grain: rounded up to it


def test_all_is_measured_for_each_number_of_threads() -> None:
    found = measure((1,), seconds=0.0)
    assert set(found.bandwidth) == {*found.caches, MEMORY}
    assert "float32" in found.compute
    for rates in (*found.compute.values(), *found.bandwidth.values()):
        assert set(rates) == {1}
        assert all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize(
    ("size", "threads", "level"),
    [
        (1000, 1, "L1"),
        (1001, 1, "L2"),
        (2000, 2, "L1"),  # each core has its own, and half of the work
        (20_000, 2, "L2"),
        (50_000, 2, "L3"),  # one for all
        (50_001, 2, MEMORY),
    ],
)
def test_a_working_set_lies_in_the_smallest_cache_that_holds_it(size: int, threads: int, level: str) -> None:
    assert CEILINGS.level(size, threads) == level


def test_cache_sizes_are_read_from_the_system(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate([(1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2M")]):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    assert cache_sizes(tmp_path) == {"L1": 48 << 10, "L2": 2 << 20}


def test_usual_cache_sizes_stand_in_where_the_system_is_silent(tmp_path: Path) -> None:
    found = cache_sizes(tmp_path / "nowhere")
    assert list(found) == ["L1", "L2", "L3"]
    assert sorted(found.values()) == list(found.values())


def test_there_is_a_core() -> None:
    assert cores() >= 1
