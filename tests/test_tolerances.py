"""The measure that other tests rest on must be able to fail them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import TOLERANCES, assert_close, assert_same_bits, distance

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("actual", "reference", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([1e-9, 4.0], [0.0, 4.0], 2.5e-10),
        ([0.0], [0.0], 0.0),
        ([1e-30], [0.0], INF),
        ([], [], 0.0),
        ([1.0], [1.0, 1.0], INF),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([NAN], [NAN], 0.0),
        ([NAN, 1.0], [1.0, 1.0], INF),
        ([INF], [INF], 0.0),
        ([INF, 3.0], [INF, 2.0], 0.5),
        (2.0, 1.0, 1.0),
        ([-INF, 1.0], [INF, 1.0], INF),
    ],
)
def test_distance(actual, reference, expected):
    assert distance(actual, reference) == pytest.approx(expected)


def test_a_result_just_outside_is_refused():
    limit = TOLERANCES["layer"]["float32"]
    reference = np.array([1.0, -2.0])
    assert_close(reference + [0.0, 1.9 * limit], reference, "layer", "float32")
    with pytest.raises(AssertionError, match="h_n: off by"):
        assert_close(reference + [0.0, 2.1 * limit], reference, "layer", "float32", "h_n")


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_a_wrong_special_value_is_refused(wrong):
    with pytest.raises(AssertionError):
        assert_close([wrong, 1.0], [1.0, 1.0], "layer", "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits(dtype):
    reference = np.array([[0.0, 1.0], [NAN, INF]], dtype)
    assert_same_bits(reference.copy(order="F"), reference)
    assert_same_bits(np.empty((0, 3), dtype), np.empty((0, 3), dtype))
    for wrong in (reference.T, reference[:1], -reference, reference + [[0.0, np.finfo(dtype).eps], [0.0, 0.0]]):
        with pytest.raises(AssertionError, match="output: "):
            assert_same_bits(wrong.astype(dtype), reference, "output")
    with pytest.raises(AssertionError, match="expected"):
        assert_same_bits(reference.astype("float16"), reference)
