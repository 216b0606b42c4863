"""Who may use what at once: weights are shared and never change, memory to step in is of one call at a time."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError
from elman.kernels import BoundKernel, default_threads
from elman.runtime import Model
from elman.runtime.pipeline import PipelineStepper
from elman.runtime.rows import RowStepper
from elman.runtime.team import WORTH_A_TEAM
from tests.decode.small import model_file

NAMES = ("lstm", "gru")


@pytest.fixture
def model() -> Model:
    return Model(model_file(NAMES, hidden=33))


def at_once(work: Callable[[int], Any], jobs: Iterable[int], threads: int = 4) -> list[Any]:
    """What each job gives, all of them done by a few threads, which change places as often as they can."""
    import sys

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, jobs))
    finally:
        sys.setswitchinterval(before)


def test_threads_share_a_stepper(model: Model) -> None:
    stepper = RowStepper(model)

    def walk(seed: int) -> list[bytes]:
        random = np.random.default_rng(seed)
        batch = 1 + seed % 3
        state, found = stepper.start(batch), []
        for _ in range(40):
            logits, state = stepper.step(random.integers(0, 6, batch), state, np.copy)
            found.append(logits.tobytes())
            if random.integers(5) == 0:
                state = state.select(random.integers(0, batch, batch))
        return found

    assert at_once(walk, range(24)) == [walk(seed) for seed in range(24)]


def test_threads_go_on_from_one_state(model: Model) -> None:
    """A state is a value, in whichever thread's memory it lives."""
    stepper = RowStepper(model)
    _, shared = stepper.step(np.array([2]), stepper.start(1), np.copy)

    def walk(token: int) -> list[bytes]:
        found = []
        for _ in range(30):
            logits, after = stepper.step(np.array([token]), shared, np.copy)
            found.append(logits.tobytes())
            found += [array.tobytes() for array in after.arrays]
        return found

    assert at_once(walk, [0, 1, 2, 3, 4, 5] * 3) == [walk(token) for token in [0, 1, 2, 3, 4, 5] * 3]


def test_a_place_that_is_in_use_is_not_entered(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread is inside a step, another steps from the same state to the same logits in a place of its own."""
    stepper = RowStepper(model)
    _, state = stepper.step(np.array([2]), stepper.start(1), np.copy)
    expected, _ = stepper.step(np.array([3]), state, np.copy)
    _, state = stepper.step(np.array([2]), stepper.start(1), np.copy)
    inside, go_on = threading.Event(), threading.Event()
    first, step = threading.get_ident(), PipelineStepper.step
    places = []

    def slow(self: PipelineStepper, x: Any) -> Any:
        places.append(self)
        if threading.get_ident() != first:
            inside.set()
            assert go_on.wait(600)
        return step(self, x)

    monkeypatch.setattr(PipelineStepper, "step", slow)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(stepper.step, np.array([3]), state, np.copy)
        assert inside.wait(600)
        mine, _ = stepper.step(np.array([4]), stepper.start(1), np.copy)
        go_on.set()
        np.testing.assert_array_equal(other.result()[0], expected)
    assert len(set(map(id, places))) == 2
    assert not np.array_equal(mine, expected)


def test_a_stream_of_two_threads_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, alone = model.stream(), model.stream()
    expected = [alone.step(2), alone.step(3)]
    inside, go_on, step = threading.Event(), threading.Event(), PipelineStepper.step

    def slow(self: PipelineStepper, x: Any) -> Any:
        inside.set()
        assert go_on.wait(600)
        return step(self, x)

    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(PipelineStepper, "step", slow)
        first = pool.submit(stream.step, 2)
        assert inside.wait(600)
        for use in (lambda: stream.step(1), stream.reset, lambda: stream.state, lambda: set_state(stream, alone.state)):
            with pytest.raises(ConfigError, match=r"this stream is in use.*: give each thread a stream of its own"):
                use()
        go_on.set()
        np.testing.assert_array_equal(first.result(), expected[0])
    np.testing.assert_array_equal(stream.step(3), expected[1])


def set_state(stream: Any, state: Any) -> None:
    stream.state = state


def test_streams_of_many_threads_share_a_model(model: Model) -> None:
    def walk(seed: int) -> list[bytes]:
        stream, random = model.stream(), np.random.default_rng(seed)
        return [stream.step(int(token)).tobytes() for token in random.integers(0, 6, 50)]

    assert at_once(walk, range(12)) == [walk(seed) for seed in range(12)]


def test_a_refused_step_leaves_the_stream_free(model: Model) -> None:
    stream = model.stream()
    with pytest.raises(Exception, match="tokens must be"):
        stream.step(99)
    np.testing.assert_array_equal(stream.step(1), model.stream().step(1))


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_a_step_that_breaks_off_is_no_step(model: Model, reference: bool, place: int) -> None:
    """Ctrl-C or a lack of memory between two layers, or behind the last: all layers stay where they were."""
    stream, alone = model.stream(reference=reference), model.stream(reference=reference)
    for token in (2, 5, 1):
        stream.step(token)
        alone.step(token)
        broken, step = stream._stepper.layers[place], stream._stepper.layers[place].step
        broken.step = lambda x, step=step: (step(x), raise_(KeyboardInterrupt()))  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            stream.step(3)
        del broken.step
        for name, array in alone.state.items():
            np.testing.assert_array_equal(stream.state[name], array)
    np.testing.assert_array_equal(stream.step(4), alone.step(4))


def test_a_place_goes_on_after_a_step_that_broke_off(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    stepper = RowStepper(model)
    _, state = stepper.step(np.array([2]), stepper.start(1), np.copy)
    expected, _ = stepper.step(np.array([3]), state, np.copy)
    _, state = stepper.step(np.array([2]), stepper.start(1), np.copy)
    with monkeypatch.context() as patch:
        patch.setattr("elman.runtime.head.HeadStepper.step", lambda *_: raise_(MemoryError()))
        for _ in range(3):
            with pytest.raises(MemoryError):
                stepper.step(np.array([5]), state, np.copy)
    np.testing.assert_array_equal(stepper.step(np.array([3]), state, np.copy)[0], expected)


def raise_(error: BaseException) -> None:
    raise error


def test_weights_never_change() -> None:
    file = model_file(NAMES)
    model = Model(file)
    before = model.stream().step(3)
    for name, tensor in file.tensors.items():
        tensor[...] = 7.0  # the model has weights of its own
        with pytest.raises(ValueError, match="read-only"):
            model.file.tensors[name][...] = 7.0
    np.testing.assert_array_equal(model.stream().step(3), before)


def test_states_are_copied_and_pickled_as_values(model: Model) -> None:
    stepper = RowStepper(model)
    _, state = stepper.step(np.array([2, 4]), stepper.start(2), np.copy)
    expected = stepper.step(np.array([1, 1]), state, np.copy)[0]
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        np.testing.assert_array_equal(stepper.step(np.array([1, 1]), other, np.copy)[0], expected)


def asked(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> set[int]:
    """The sizes of the teams that kernels were asked to run on."""
    found, run = set(), BoundKernel.run

    def counted(self: BoundKernel, packed: Any, rows: Any, plan: Any, steps: int, threads: int, *more: Any) -> None:
        found.add(threads)
        run(self, packed, rows, plan, steps, threads, *more)

    with monkeypatch.context() as patch:
        patch.setattr(BoundKernel, "run", counted)
        act()
    return found


def test_a_team_is_asked_for_by_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_NUM_THREADS", "3")
    small = Model(model_file(("lstm",), hidden=256))
    assert asked(monkeypatch, lambda: small.stream().step(1)) == {1}
    assert asked(monkeypatch, lambda: small.stream(threads=2).step(1)) == {2}
    batch = int(WORTH_A_TEAM / (8 * 256 * 256)) + 1  # the recurrence is worth a team, the small head is not
    assert asked(monkeypatch, lambda: small.stream(batch).step(np.zeros(batch, int))) == {1, 3}
    assert asked(monkeypatch, lambda: small.stream(batch, threads=1).step(np.zeros(batch, int))) == {1}
    stepper = RowStepper(small, threads=2)
    assert asked(monkeypatch, lambda: stepper.step(np.array([1]), stepper.start(1), np.copy)) == {2}
    stepper = RowStepper(small)
    assert asked(monkeypatch, lambda: stepper.step(np.array([1]), stepper.start(1), np.copy)) == {1}


def test_the_system_is_asked_for_its_cores_once(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    calls = []
    monkeypatch.setattr("elman.runtime.team.default_threads", lambda: calls.append(1) or default_threads())
    stream = model.stream()
    before = len(calls)
    for _ in range(20):
        stream.step(1)
    assert before >= 1
    assert len(calls) == before
