import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ConfigError, DtypeError, FormatError, ShapeError
from elman.formats import safetensors
from elman.state import State

torch = pytest.importorskip("torch")


def numpy_state(batch=4, start=None):
    rng = np.random.default_rng(0)
    arrays = {"h": rng.normal(size=(2, batch, 3)).astype(np.float32), "c": rng.normal(size=(2, batch, 5))}
    return State(arrays, axis=1, start=start or {})


def torch_state(batch=4, start=None):
    state = numpy_state(batch, start)
    return State({name: torch.tensor(array) for name, array in state.items()}, axis=1, start=start or {})


both = pytest.mark.parametrize("make", [numpy_state, torch_state])


def same(state, arrays):
    assert list(state) == list(arrays)
    for name in arrays:
        np.testing.assert_array_equal(np.asarray(state[name]), np.asarray(arrays[name]))


@both
@pytest.mark.parametrize(
    ("indices", "rows"),
    [
        ([2, 0, 2], [2, 0, 2]),
        (-1, [3]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([True, False, False, True], [0, 3]),
        (torch.tensor([1]), [1]),
        ([], []),
    ],
)
def test_select_gives_the_sequences_asked_for(make, indices, rows):
    state = make()
    chosen = state.select(indices)
    assert chosen.batch == len(rows)
    same(chosen, {name: np.asarray(array)[:, rows] for name, array in state.items()})
    assert isinstance(chosen["h"], type(state["h"]))


@both
def test_no_verb_touches_the_state_it_is_called_on(make):
    state = make()
    before = {name: np.asarray(array).copy() for name, array in state.items()}
    for other in (state.fork(), state.reset([0]), state.select(slice(None)), state.select([0, 1, 2, 3])):
        for array in other.values():
            array[...] = -7
    same(state, before)


@both
def test_reset_begins_the_chosen_sequences_anew(make):
    state = make(start={"c": -2.0})
    begun = state.reset([False, True, False, True])
    expected = {name: np.asarray(array).copy() for name, array in state.items()}
    expected["h"][:, [1, 3]] = 0
    expected["c"][:, [1, 3]] = -2
    same(begun, expected)
    assert begun.start == state.start
    given_start = state.reset(slice(1, 2), {"h": np.arange(3) if make is numpy_state else torch.arange(3)})
    assert np.asarray(given_start["h"])[:, 1].tolist() == [[0, 1, 2]] * 2
    assert (np.asarray(given_start["c"])[:, 1] == -2).all()


def test_gradients_pass_through_fork_select_and_reset_and_stop_at_detach():
    h = torch.ones(1, 3, 2, requires_grad=True)
    state = State({"h": h})
    (2 * state.fork().reset([0]).select([0, 1, 1])["h"]).sum().backward()
    assert h.grad[0].tolist() == [[0, 0], [4, 4], [0, 0]]
    assert not state.detach()["h"].requires_grad


@both
def test_a_state_survives_bytes_files_and_pickles(make, tmp_path):
    state = make(start={"h": 1.5})
    state.save(tmp_path / "state")
    for copy in (State.from_bytes(state.to_bytes()), State.load(tmp_path / "state")):
        same(copy, state)
        assert (copy.axis, copy.start, copy["h"].dtype) == (1, state.start, np.float32)
    same(pickle.loads(pickle.dumps(state)), state)


@given(st.permutations(["h", "c", "n", "m"]), st.integers(0, 2))
def test_names_keep_their_order_and_the_axis_is_kept(names, axis):
    state = State({name: np.full((2, 2, 2), i) for i, name in enumerate(names)}, axis)
    copy = State.from_bytes(state.to_bytes())
    assert list(copy) == names
    assert copy.axis == axis


def test_a_cell_without_states_has_an_empty_one():
    empty = State({})
    assert (empty.batch, len(empty), len(State.from_bytes(empty.to_bytes()))) == (0, 0, 0)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: State({"h": np.zeros(3)}), "batch axis 1"),
        (lambda: State({"h": np.zeros((1, 2, 3)), "c": np.zeros((1, 3, 3))}), "one size along axis 1"),
        (lambda: State({"h": np.zeros(3)}, axis=-1), "batch axis -1"),
        (lambda: numpy_state().select([4]), "batch of 4"),
        (lambda: numpy_state().select([True]), "batch of 4"),
        (lambda: numpy_state().reset([0], {"q": 1.0}), "no q to reset"),
    ],
)
def test_what_makes_no_sense_is_refused(act, words):
    with pytest.raises(ShapeError, match=words):
        act()


@both
@pytest.mark.parametrize("indices", ["a", 0.5, [0.5], None, True, [[0, 1]], ["a"], [[1], [1, 2]], slice("a", None), {}])
def test_what_does_not_choose_is_refused(make, indices):
    for verb in (make().select, make().reset):
        with pytest.raises(DtypeError, match=r"State: .*choose"):
            verb(indices)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: State(3), ConfigError, "State: arrays must be arrays by name, got 3"),
        (lambda: State({"h": [[1.0]]}), DtypeError, r"State: h must be an array of numbers, got \[\[1.0\]\]"),
        (
            lambda: State({"h": np.array([["a"]])}),
            DtypeError,
            "h must be an array of numbers, got an array of <U1",
        ),
        (lambda: State({3: np.zeros((1, 1))}), ConfigError, "State: names must be text, got 3"),
        (lambda: State({"h": np.zeros((1, 1))}, "1"), ConfigError, "State: axis must be a whole number of at least 0"),
        (lambda: State({"h": np.zeros((1, 1))}, start=3), ConfigError, "State: start must be numbers by name, got 3"),
        (lambda: State({"h": np.zeros((1, 1))}, start={"h": "a"}), ConfigError, "h must start with a number, got 'a'"),
        (lambda: numpy_state().reset([0], 3), ConfigError, "start must be values by name, or None, got 3"),
        (lambda: numpy_state().reset([0], {"h": "a"}), ShapeError, "State: h cannot begin with 'a'"),
        (lambda: torch_state().reset([0], {"h": "a"}), ShapeError, "State: h cannot begin with 'a'"),
        (lambda: numpy_state().reset([0], {"h": np.zeros(9)}), ShapeError, "State: h cannot begin with array"),
        (lambda: State.from_bytes("a"), ConfigError, "data must be bytes, got 'a'"),
        (lambda: State.load(None), ConfigError, "path must be a path, got None"),
        (lambda: State.load("\ud800"), ConfigError, r"path must be a path, got '\\ud800'"),
        (lambda: numpy_state().save(3), ConfigError, "path must be a path, got 3"),
    ],
)
def test_wrong_kinds_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_elements_that_the_layout_lacks_are_refused_by_name():
    with pytest.raises((DtypeError, TypeError)):
        State({"h": np.zeros((1, 1, 1), complex)}).to_bytes()


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"elman.state": "{"},
        {"elman.state": "[]"},
        {"elman.state": '{"version": 2}'},
        {"elman.state": '{"version": 1, "axis": 1, "names": ["c"], "start": {}}'},
        {"elman.state": '{"version": 1, "axis": 9, "names": ["h"], "start": {}}'},
        {"elman.state": '{"version": 1, "axis": "1", "names": ["h"], "start": {}}'},
    ],
)
def test_files_of_something_else_are_refused(metadata):
    with pytest.raises(FormatError, match="state"):
        State.from_bytes(safetensors.dumps({"h": np.zeros((1, 2, 3))}, metadata))


def test_states_need_no_torch():
    program = "import sys, elman.state; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
