import numpy as np
import pytest

from shotdex.analysis.projections import FEWEST, ProjectionOptions, _nearest, _nearest_of_many, _unit, project
from shotdex.store.errors import OptionError


def clusters(count, dim=64, groups=3, seed=0):
    """Return unit-free vectors in well-separated directions, of very different lengths, and their groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(count) % groups
    rows = rng.normal(size=(groups, dim))[group] + rng.normal(scale=0.15, size=(count, dim))
    return (rows * rng.uniform(0.1, 50, (count, 1))).astype(np.float32), group


def neighbours_agree(points, group):
    distance = np.square(points[:, None] - points[None]).sum(-1)
    np.fill_diagonal(distance, np.inf)
    return float((group[distance.argmin(axis=1)] == group).mean())


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_neighbours_by_cosine_stay_neighbours_and_only_direction_counts(method):
    vectors, group = clusters(60)
    vectors[7] = vectors[4]  # a duplicate
    vectors.flags.writeable = False
    settings = ProjectionOptions(method=method, perplexity=10, neighbours=10)
    points = project(vectors, settings)
    assert points.shape == (60, 2) and points.dtype == np.float64 and np.isfinite(points).all()
    assert neighbours_agree(points, np.where(np.arange(60) == 7, group[4], group)) == 1
    # The same again to the last bit, lengths being of no account: a power of two scales every float exactly.
    assert np.array_equal(points, project(vectors * np.float32(4), settings))


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_progress_counts_the_rounds_and_changes_nothing(method, capfd):
    class Counted:
        def __init__(self):
            self.totals, self.done = [], []

        def start(self, total):
            self.totals.append(total)

        def advance(self, count):
            self.done.append(count)

    vectors, _ = clusters(60)
    counted = Counted()
    settings = ProjectionOptions(method=method, perplexity=10, neighbours=10)
    points = project(vectors, settings, counted)
    assert tuple(capfd.readouterr()) == ("", "")
    (total,) = counted.totals
    assert min(counted.done) >= 0 and sum(counted.done) == total
    assert method == "tsne" or (total > 100 and counted.done[0] < total / 2)
    assert np.array_equal(points, project(vectors, settings))


@pytest.mark.parametrize("copies", [1, 30])
def test_the_neighbours_are_those_that_umap_finds_itself(copies):
    from umap.distances import named_distances

    rows = _unit(clusters(60)[0])
    rows[10 : 10 + copies] = rows[4]
    every = np.array([[named_distances["euclidean"](one, other) for other in rows] for one in rows])
    expected = every.argsort(axis=1, kind="stable")[:, :10]
    found, distances = _nearest(rows, 10)
    assert found.dtype == np.int32 and np.array_equal(found, expected)
    assert np.array_equal(distances, np.take_along_axis(every, expected, axis=1).astype(np.float32))


@pytest.mark.parametrize(("many", "count", "copies"), [(700, 15, 5), (700, 15, 60), (300, 299, 1)])
def test_the_neighbours_of_many_are_the_nearest(many, count, copies, monkeypatch):
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr("shotdex.analysis.projections.CELLS", 50_000)  # so that there are several parts
    rows = _unit(clusters(many)[0])
    rows[10 : 10 + copies] = rows[4]
    wide = rows.astype(np.float64)
    expected, naive = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(wide).kneighbors(wide)
    found, distances = _nearest_of_many(rows, count)
    assert (found.dtype, distances.dtype) == (np.int32, np.float32)
    assert np.abs(distances - expected).max() < 1e-6
    assert np.abs(np.linalg.norm(rows[found].astype(np.float64) - wide[:, None], axis=2) - expected).max() < 1e-6
    assert all(len(set(row)) == count for row in found.tolist())
    alone = np.setdiff1d(np.arange(many), np.r_[4, 10 : 10 + copies])
    assert np.array_equal(found[alone, 0], alone), "each is its own nearest"
    if copies == 1:
        assert (np.sort(found) == np.sort(naive)).all()


def test_many_have_the_same_map_every_time(monkeypatch):
    monkeypatch.setattr("shotdex.analysis.projections.ALL_PAIRS", 300)
    vectors, group = clusters(300)
    points = project(vectors)
    assert neighbours_agree(points, group) > 0.99
    assert np.array_equal(points, project(vectors))


def test_perplexity_is_clipped_to_what_few_images_allow():
    points = project(clusters(FEWEST)[0], ProjectionOptions(method="tsne", perplexity=500))
    assert points.shape == (FEWEST, 2) and np.isfinite(points).all()


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_lies_at_the_origin(count):
    assert project(np.ones((count, 5), np.float32)).tolist() == [[0, 0]] * count


def test_two_lie_on_a_line_as_far_apart_as_their_vectors():
    points = project(np.array([[3, 0, 0], [0, 5, 0]], np.float32))
    assert points[:, 1] == pytest.approx([0, 0], abs=1e-6)
    assert abs(points[0, 0] - points[1, 0]) == pytest.approx(np.sqrt(2), abs=1e-6)


def test_few_are_placed_by_principal_components():
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    points = project(corners, ProjectionOptions(method="tsne"))
    sides = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    assert sides == pytest.approx([np.sqrt(2)] * 3, abs=1e-5)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_images_that_are_all_the_same_lie_at_the_origin(count):
    same = np.tile(np.array([[1, 2, 3]], np.float32), (count, 1))
    assert not project(same, ProjectionOptions(method="tsne")).any()
    assert not project(same * 0).any()


@pytest.mark.parametrize("bad", [{"method": "pca"}, {"method": "UMAP"}, {"neighbours": 1}, {"perplexity": 1.0}])
@pytest.mark.parametrize("more", [{}, {"pca": 50}])
def test_settings_that_cannot_be_are_refused(bad, more):
    with pytest.raises(OptionError):
        ProjectionOptions(**bad, **more)


@pytest.mark.parametrize("bad", [{"pca": 1}, {"min_dist": 1.5}, {"seed": -1}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(OptionError):
        ProjectionOptions(**bad)


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(OptionError, match="'mds'") as caught:
        ProjectionOptions(method="mds")
    assert "umap, tsne" in caught.value.hint


@pytest.mark.parametrize("bad", [np.ones(3), np.array([[np.nan, 1.0]]), np.ones((2, 2, 2))])
def test_what_is_not_a_finite_matrix_is_refused(bad):
    with pytest.raises(ValueError, match="finite matrix"):
        project(bad)
