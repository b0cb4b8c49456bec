import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from shotdex.analysis.figures.map_thumbnails import EMPTY, place

coordinate = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
points = st.lists(st.tuples(coordinate, coordinate), max_size=40).map(lambda rows: np.array(rows).reshape(-1, 2))
sides = st.integers(1, 8)


@settings(deadline=None)
@given(points, sides, sides, st.one_of(st.none(), st.integers(0, 50)))
def test_no_two_share_a_cell_and_nobody_is_left_out_without_need(xy, columns, rows, most):
    xy.flags.writeable = False
    layout = place(xy, columns, rows, most)
    cells = layout.cells[layout.placed]
    assert layout.cells.shape == (len(xy), 2) and layout.cells.dtype == np.int64
    assert (cells >= 0).all() and (cells < [columns, rows]).all()
    assert len({tuple(cell) for cell in cells.tolist()}) == len(cells)
    room = columns * rows if most is None else min(most, columns * rows)
    assert len(cells) == min(len(xy), room)
    assert layout.left_out == len(xy) - len(cells)
    assert (layout.cells[~layout.placed] == EMPTY).all()
    assert np.array_equal(layout.cells, place(xy, columns, rows, most).cells)


def cost(layout):
    return np.square(layout.cells - layout.wanted)[layout.placed].sum()


@pytest.mark.parametrize("seed", range(6))
def test_the_places_are_close_to_the_best_there_are(seed):
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(4, 2))[rng.integers(0, 4, 150)] * 3 + rng.normal(scale=0.5, size=(150, 2))
    layout = place(xy, 20, 15)
    column, row = np.meshgrid(np.arange(20), np.arange(15))
    cells = np.column_stack([column.ravel(), row.ravel()])
    all_costs = np.square(layout.wanted[:, None] - cells[None]).sum(-1)
    best = all_costs[linear_sum_assignment(all_costs)].sum()
    assert best <= cost(layout) <= best * 1.25 + 1


def test_places_that_do_not_meet_are_kept_exactly():
    xy = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [1.1, 1.1]])
    # Row 0 is at the top, so y = 2 is row 0 and y = 0 is row 2.
    assert place(xy, 5, 3).cells.tolist() == [[0, 2], [4, 2], [4, 0], [1, 1]]


def test_the_crowd_loses_some_and_the_outlier_stays():
    xy = np.vstack([np.zeros((10, 2)), [[1.0, 1.0]]])
    layout = place(xy, 2, 2)
    assert layout.placed[-1] and layout.cells[-1].tolist() == [1, 0]
    assert layout.left_out == 7
    assert layout.placed[:3].all(), "ties go to the lower index"


def test_a_single_image_and_a_line_go_to_the_middle():
    assert place(np.array([[5.0, 5.0]]), 7, 5).cells.tolist() == [[3, 2]]
    assert place(np.array([[0.0, 1.0], [1.0, 1.0]]), 7, 5).cells.tolist() == [[0, 2], [6, 2]]


@pytest.mark.parametrize(
    ("xy", "columns", "rows"),
    [(np.zeros((3, 3)), 2, 2), (np.array([[0, np.nan]]), 2, 2), (np.zeros((1, 2)), 0, 2), (np.zeros((1, 2)), 2, -1)],
)
def test_what_cannot_be_placed_is_refused(xy, columns, rows):
    with pytest.raises(ValueError, match=r"finite|no cells"):
        place(xy, columns, rows)
