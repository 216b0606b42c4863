"""Random numbers by counting."""

from __future__ import annotations

import numpy as np
import pytest

from elman.decode.random import Uniforms, grid, philox, uniforms

MOST = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the known answers of the paper's own library
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((MOST,) * 4, (MOST,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(counter, key, expected):
    assert tuple(int(word) for word in philox(counter, key)) == expected


def seeds(*values):
    return np.array(values, np.uint64)


def test_a_number_is_a_function_of_seed_stream_and_place():
    table = uniforms(seeds(7, 7, 8, (1 << 64) - 1), np.array([0, 5, 5, 1 << 40]), 0, 300)
    assert len(np.unique(table)) == table.size
    for row, (seed, stream) in enumerate([(7, 0), (7, 5), (8, 5), ((1 << 64) - 1, 1 << 40)]):
        for begin in (0, 1, 63, 64, 65, 130):
            alone = Uniforms(seeds(seed), np.array([stream]), np.array([begin]))
            assert [float(alone.next()[0]) for _ in range(100)] == table[row, begin : begin + 100].tolist()


def test_any_batch_and_any_cut():
    streams, begin = np.arange(5), np.array([0, 3, 64, 7, 1])
    together = Uniforms(seeds(*[3] * 5), streams, begin)
    expected = uniforms(seeds(*[3] * 5), streams, 0, 300)
    for step in range(70):
        np.testing.assert_array_equal(together.next(), expected[np.arange(5), begin + step])
    chosen = together.select(np.array([4, 1]))
    assert chosen.position.tolist() == [71, 73]
    for step in range(70, 200):
        np.testing.assert_array_equal(chosen.next(), expected[[4, 1], begin[[4, 1]] + step])


def test_many_streams_are_made_in_small_blocks():
    streams = np.arange(5000)
    many = Uniforms(np.zeros(5000, np.uint64), streams, np.ones(5000, np.int64))
    expected = uniforms(np.zeros(5000, np.uint64), streams, 0, 6)
    for step in range(1, 5):
        np.testing.assert_array_equal(many.next(), expected[:, step])


def test_evenly_spread():
    numbers = np.sort(uniforms(seeds(0), np.array([0]), 0, 1_000_000)[0])
    assert 0 <= numbers[0] < numbers[-1] < 1
    # Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
    assert np.abs(numbers - np.arange(1_000_000) / 1_000_000).max() < 1.95 / 1000


def test_the_grid_shares_no_number_with_the_streams():
    search = grid(seeds(1, 1), 2, np.array([0, 3]), 5)
    assert search.shape == (2, 5)
    np.testing.assert_array_equal(search, grid(seeds(1, 1), 2, np.array([0, 3]), 8)[:, :5])
    assert not np.isin(search, uniforms(seeds(1, 1), np.array([2, 3]), 0, 5000)).any()
