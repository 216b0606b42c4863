import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DtypeError, ShapeError
from elman.sequences import Ragged


@given(st.lists(st.lists(st.integers(-9, 9), max_size=6), min_size=1, max_size=8))
def test_a_list_goes_in_and_comes_out(sequences):
    ragged = Ragged.from_list([np.array(sequence, int) for sequence in sequences])
    assert [part.tolist() for part in ragged] == sequences
    assert ragged[-1].tolist() == sequences[-1]
    assert ragged.lengths.tolist() == [len(sequence) for sequence in sequences]
    assert len(ragged) == len(sequences)


def test_torch_tensors_stay_torch_tensors():
    torch = pytest.importorskip("torch")
    values = torch.arange(6.0, requires_grad=True)
    ragged = Ragged.from_lengths(values, torch.tensor([4, 2]))
    ragged[1].sum().backward()
    assert values.grad.tolist() == [0, 0, 0, 0, 1, 1]


def test_later_writes_to_the_offsets_do_not_reach_the_batch():
    offsets = np.array([0, 2, 3])
    ragged = Ragged(np.zeros(3), offsets)
    offsets[1] = 99
    assert ragged.offsets.tolist() == [0, 2, 3]


def test_an_empty_batch_has_no_sequences():
    ragged = Ragged.from_lengths(np.zeros((0, 3)), [])
    assert (len(ragged), list(ragged)) == (0, [])


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: Ragged(np.zeros(3), [0, 2]), ShapeError, "end at 2, but values has 3"),
        (lambda: Ragged(np.zeros(3), [3, 3]), ShapeError, "from_lengths"),
        (lambda: Ragged(np.zeros(3), [0, 4, 3]), ShapeError, "never fall"),
        (lambda: Ragged(np.zeros(3), [0.0, 3.0]), DtypeError, "integers"),
        (lambda: Ragged(np.zeros(3), [False, True]), DtypeError, "offsets must be integers, got bool"),
        (lambda: Ragged(np.zeros(3), [[0, 3]]), ShapeError, r"offsets must have one axis, .* got shape \[1, 2\]"),
        (lambda: Ragged(np.zeros(3), 3), ShapeError, r"offsets must have one axis, .* got shape \[\]"),
        (lambda: Ragged(np.zeros(3), []), ShapeError, "begin at 0"),
        (lambda: Ragged(np.zeros(3), [0, [3]]), DtypeError, r"offsets must be integers, .* got \[0, \[3\]\]"),
        (lambda: Ragged.from_lengths(np.zeros(3), [1, [2]]), DtypeError, "lengths must be integers"),
        (lambda: Ragged.from_list([[[1], [2, 3]]]), DtypeError, "makes no numpy array .*; torch tensors: torch.cat"),
        (lambda: Ragged.from_list(None), DtypeError, "a list of arrays expected, got NoneType"),
        (lambda: Ragged(np.zeros(3), [0, 3])["a"], DtypeError, "an index is a whole number, got 'a'; slice .values"),
        (lambda: Ragged(np.zeros(3), [0, 3])[0:1], DtypeError, "an index is a whole number, got slice"),
        (lambda: Ragged([1.0, 2.0], [0, 2]), DtypeError, "a numpy array or a torch tensor .* got list"),
        (lambda: Ragged(np.float64(1), [0, 1]), DtypeError, "got a single number"),
        (lambda: Ragged.from_lengths(np.zeros(6), [[2, 4]]), ShapeError, r"lengths must have one axis, .* \[1, 2\]"),
        (lambda: Ragged.from_lengths(np.zeros(6), 6), ShapeError, r"lengths must have one axis, .* got shape \[\]"),
        (lambda: Ragged.from_lengths(np.zeros(6), [2.0, 4.0]), DtypeError, "lengths must be integers, got float64"),
        (lambda: Ragged.from_lengths(np.zeros(2), [True, True]), DtypeError, "lengths must be integers, got bool"),
        (lambda: Ragged.from_lengths(np.zeros(2), [3, -1]), ShapeError, "lengths must be at least 0, got -1"),
        (lambda: Ragged.from_lengths(np.zeros(6), [2, 3]), ShapeError, "lengths add up to 5, but values has 6 rows"),
        (lambda: Ragged.from_lengths(3, [3]), DtypeError, "got int"),
        (lambda: Ragged.from_list([np.float64(1)]), ShapeError, "each sequence needs an axis of steps"),
        (lambda: Ragged.from_list([]), ShapeError, "at least one"),
        (lambda: Ragged.from_list([np.zeros((2, 3)), np.zeros((2, 4))]), ShapeError, r"\[\[3\], \[4\]\]"),
        (lambda: Ragged(np.zeros(3), [0, 3])[1], IndexError, "no sequence 1"),
    ],
)
def test_bad_arguments_are_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()
