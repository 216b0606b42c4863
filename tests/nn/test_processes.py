"""Layers in several threads and processes at once: the same bits as alone."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

import elman.nn
from elman.nn import Recurrent
from tests.nn.child import results_and_gradients, work
from tests.tolerances import assert_same_bits

T, B, D, H = 20, 24, 16, 48  # enough work for a team of threads


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def cases() -> list[tuple[Any, Any]]:
    """Layers of several kinds, sizes and element types, each with an input."""
    return [
        (elman.nn.LSTM(D, H, 2, bidirectional=True), torch.randn(T, B, D)),
        (Recurrent("layer_norm_lstm", D, H), torch.randn(T, B, D)),
        (Recurrent("gru", 50, H), torch.randint(0, 50, (T, B))),
        (elman.nn.GRU(D, H, batch_first=True).double(), torch.randn(B, T, D).double()),
        (Recurrent("gru_reset_before", D, 2 * H), torch.randn(2 * T, 3, D)),
        (elman.nn.RNN(D, 7), torch.randn(T, 1, D)),
    ]


def assert_bits(found: list[Tensor], expected: list[Tensor]) -> None:
    for k, (a, r) in enumerate(zip(found, expected, strict=True)):
        assert_same_bits(a, r, f"tensor {k}")


@pytest.mark.parametrize("workers", [2, 6])
def test_python_threads_do_not_disturb_each_other(threads: int, workers: int) -> None:
    jobs = cases()
    alone = [results_and_gradients(layer, x) for layer, x in jobs]
    barrier = threading.Barrier(workers)

    def run(worker: int) -> list[list[Tensor]]:
        torch.set_num_threads(threads)
        barrier.wait()
        order = [(worker + k) % len(jobs) for k in range(len(jobs))]
        found = {j: results_and_gradients(*jobs[j]) for j in order * 3}
        return [found[j] for j in range(len(jobs))]

    with ThreadPoolExecutor(workers) as pool:
        for results in pool.map(run, range(workers)):
            for found, expected in zip(results, alone, strict=True):
                assert_bits(found, expected)


def test_one_layer_in_two_threads(threads: int) -> None:
    layer = Recurrent("lstm", D, H)
    inputs = [torch.randn(T, B, D) for _ in range(8)]
    alone = [results_and_gradients(layer, x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        for found, expected in zip(pool.map(lambda x: results_and_gradients(layer, x), inputs), alone, strict=True):
            assert_bits(found, expected)


def in_a_child(method: str, layer: torch.nn.Module, x: Tensor) -> Any:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(layer, x, theirs))
    process.start()
    if not ours.poll(600):
        process.kill()
        pytest.fail(f"a child made by {method} does not answer")
    answer = ours.recv()
    process.join(600)
    assert process.exitcode == 0
    return answer


@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_a_spawned_child(name: str) -> None:
    layer = elman.nn.LSTM(D, 4) if name == "LSTM" else Recurrent("gru", D, 4)
    x = torch.randn(3, 2, D)
    assert in_a_child("spawn", layer, x) == [t.tolist() for t in results_and_gradients(layer, x)]


@pytest.mark.skipif(sys.platform != "linux", reason="forking a process with threads is safe on Linux only")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_after_parallel_work(threads: int) -> None:
    layer, x = Recurrent("lstm", D, 16), torch.randn(T, B, D)
    expected = [t.tolist() for t in results_and_gradients(layer, x)]
    assert in_a_child("fork", layer, x) == expected
    assert [t.tolist() for t in results_and_gradients(layer, x)] == expected
