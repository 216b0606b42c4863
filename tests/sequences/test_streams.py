import json
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ConfigError, DataError
from elman.sequences import Streams


def streams_of(tokens, batch, steps):
    """Streams whose targets are the tokens that follow."""
    tokens = np.asarray(tokens)
    return Streams(tokens[:-1], tokens[1:], batch, steps)


SIZES = st.tuples(st.integers(1, 60), st.integers(1, 7), st.integers(1, 9)).filter(lambda s: s[0] > s[1])


@given(SIZES)
def test_an_epoch_gives_each_stream_in_order_with_its_next_tokens(sizes):
    count, batch, steps = sizes
    tokens = np.arange(count) * 3
    streams = streams_of(tokens, batch, steps)
    chunks = list(streams)
    assert len(chunks) == len(streams)
    assert [chunk.first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert all(len(chunk.inputs) == steps for chunk in chunks[:-1])
    inputs = np.concatenate([chunk.inputs for chunk in chunks])
    targets = np.concatenate([chunk.targets for chunk in chunks])
    length = (count - 1) // batch
    assert inputs.T.ravel().tolist() == tokens[: batch * length].tolist()
    assert (targets == inputs + 3).all()
    assert inputs.dtype == targets.dtype == np.int64
    assert (streams.epoch, streams.position) == (1, 0)


@given(SIZES, st.integers(0, 30))
def test_a_restored_position_goes_on_with_the_same_chunks(sizes, seen):
    count, batch, steps = sizes
    tokens = np.random.default_rng(count).integers(0, 9, count)

    def endless(streams):
        while True:
            yield from streams

    first = streams_of(tokens, batch, steps)
    whole = endless(first)
    list(islice(whole, seen))
    saved = json.loads(json.dumps(first.state_dict()))
    second = streams_of(tokens, batch, steps)
    second.load_state_dict(saved)
    for expected, got in islice(zip(whole, endless(second), strict=False), 5):
        assert expected.first == got.first
        assert np.array_equal(expected.inputs, got.inputs)
        assert np.array_equal(expected.targets, got.targets)
        assert first.state_dict() == second.state_dict()


def test_steps_of_numbers_and_their_targets_keep_their_shapes():
    inputs, targets = np.arange(24.0).reshape(12, 2), np.arange(12) % 5
    chunks = list(Streams(inputs, targets, 3, 3))
    assert [chunk.inputs.shape for chunk in chunks] == [(3, 3, 2), (1, 3, 2)]
    assert np.concatenate([chunk.inputs for chunk in chunks]).swapaxes(0, 1).reshape(12, 2).tolist() == inputs.tolist()
    assert np.concatenate([chunk.targets for chunk in chunks]).T.ravel().tolist() == targets.tolist()


def test_breaking_off_keeps_the_place():
    streams = streams_of(np.arange(9), 1, 2)
    for chunk in streams:
        if chunk.inputs[0, 0] == 2:
            break
    assert [chunk.inputs[:, 0].tolist() for chunk in streams] == [[4, 5], [6, 7]]


def test_a_position_in_another_text_is_refused():
    saved = streams_of(np.arange(20), 2, 4).state_dict()
    for at in (0, 18):
        changed = np.arange(20)
        changed[at] += 1
        with pytest.raises(DataError, match="checksum"):
            streams_of(changed, 2, 4).load_state_dict(saved)
    with pytest.raises(DataError, match="batch 2, this one has 3"):
        streams_of(np.arange(20), 3, 4).load_state_dict(saved)
    with pytest.raises(DataError, match="lacks batch, checksum, epoch, length"):
        streams_of(np.arange(20), 2, 4).load_state_dict({"position": 0})
    with pytest.raises(DataError, match="from 0 to 8 expected, got 9"):
        streams_of(np.arange(20), 2, 4).load_state_dict(saved | {"position": 9})


def test_the_number_of_steps_may_change_on_the_way():
    streams, other = streams_of(np.arange(20), 2, 4), streams_of(np.arange(20), 2, 3)
    next(iter(streams))
    other.load_state_dict(streams.state_dict())
    assert next(iter(other)).inputs[:, 0].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: streams_of(np.arange(4), 4, 2), DataError, "at least 4 steps to train on, got 3"),
        (lambda: streams_of([], 1, 2), DataError, "at least 1 steps to train on, got 0"),
        (lambda: Streams(np.zeros(9), np.zeros(8), 1, 2), DataError, r"one length expected, got \[9\] and \[8\]"),
        (lambda: Streams(np.zeros(()), np.zeros(()), 1, 2), DataError, "one length expected"),
        (lambda: streams_of(np.arange(4), 0, 2), ConfigError, ">= 1"),
        (lambda: streams_of(np.arange(4), 1, 0), ConfigError, ">= 1"),
    ],
)
def test_bad_arguments_are_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()
