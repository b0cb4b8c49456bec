import numpy as np
import pytest

from shotdex.analysis.probe.problem import Problem, unit_rows

from .made import blobs


def test_rows_become_unit_and_zeros_stay():
    rows = np.array([[3, 4], [0, 0], [1e-3, 0]], np.float32)
    rows.flags.writeable = False
    made = unit_rows(rows)
    assert made.dtype == np.float32
    assert made == pytest.approx(np.array([[0.6, 0.8], [0, 0], [1, 0]]), abs=1e-7)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (x, y[:-1], x, y, 3),
        lambda x, y: (x, y, x, y - 2, 3),
        lambda x, y: (x, y - 1, x, y, 3),
        lambda x, y: (x, y, x, y, 2),
        lambda x, y: (x[:0], y[:0], x, y, 3),
        lambda x, y: (x, y, x[:, :2], y, 3),
        lambda x, y: (x[0], y, x, y, 3),
    ],
)
def test_what_does_not_fit_is_refused(change):
    with pytest.raises(ValueError, match=r"classes|cannot train"):
        Problem(*change(*blobs(9)))


def test_a_class_that_training_does_not_have_is_minus_one():
    vectors, codes = blobs(9)
    assert Problem(vectors, codes, vectors, codes - 1, 3).test_codes.min() == -1
