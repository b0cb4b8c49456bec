"""Which image a trial is about: against a search by hand, and on names as the model-vs-human toolbox has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.baselines.matching import (
    AMBIGUOUS,
    ELSEWHERE,
    UNKNOWN,
    RunImages,
    file_name,
    match,
    own_name,
    stem,
)


def images(*placed: tuple[str, str | None]) -> RunImages:
    n = len(placed)
    paths, conditions = (tuple(row[i] for row in placed) for i in (0, 1))
    return RunImages(np.arange(n), paths, ("dog",) * n, conditions, np.ones(n, bool))  # type: ignore[arg-type]


def found(trial: tuple[str, str | None], *placed: tuple[str, str | None]) -> int:
    return int(match([trial[0]], [trial[1]], images(*placed))[0])


@pytest.mark.parametrize(
    ("path", "name", "base", "own"),
    [
        ("/a/b/Dog01.png", "Dog01.png", "Dog01", "Dog01"),
        ("C:\\images\\Dog01.JPG", "Dog01.JPG", "Dog01", "Dog01"),
        ("/a/b.zip!in/Dog01.png", "Dog01.png", "Dog01", "Dog01"),
        ("/a/train-images-idx3-ubyte.gz!17", "17", "17", "17"),
        ("Dog01", "Dog01", "Dog01", "Dog01"),
        ("dog1.5", "dog1.5", "dog1.5", "dog1.5"),
        ("dog1.5.png", "dog1.5.png", "dog1.5", "dog1.5"),
        (".png", ".png", ".png", ".png"),
        ("", "", "", ""),
        (
            "0001_cop_s01_c30_knife_10_n03041632_7380.png",
            "0001_cop_s01_c30_knife_10_n03041632_7380.png",
            "0001_cop_s01_c30_knife_10_n03041632_7380",
            "n03041632_7380",
        ),
        (
            "0007_ske_dnn_0_bird_00_bird-1721-sketch-46.png",
            "0007_ske_dnn_0_bird_00_bird-1721-sketch-46.png",
            "0007_ske_dnn_0_bird_00_bird-1721-sketch-46",
            "bird-1721-sketch-46",
        ),
        ("dog_1.png", "dog_1.png", "dog_1", "dog_1"),
        ("2024_trip_to_rome_1.png", "2024_trip_to_rome_1.png", "2024_trip_to_rome_1", "2024_trip_to_rome_1"),
    ],
)
def test_names(path: str, name: str, base: str, own: str) -> None:
    assert (file_name(path), stem(path), own_name(path)) == (name, base, own)


def test_the_files_name_then_the_stem() -> None:
    assert found(("Dog01.png", None), ("/a/Dog01.jpg", None), ("/a/Dog01.png", None)) == 1
    assert found(("stimuli/Dog01.png", None), ("/a/Cat01.png", None), ("/a/Dog01.jpg", None)) == 1
    assert found(("Dog01", None), ("/a.zip!x/Dog01.jpg", None)) == 0
    assert found(("Dog02.png", None), ("/a/Dog01.png", None)) == UNKNOWN
    assert found(("dog_7.png", None), ("/a/cat_7.png", None)) == UNKNOWN


def test_people_and_models_see_one_image_under_two_names() -> None:
    human, model = "0001_cop_s01_c30_knife_10_n03041632_7380.png", "/x/0452_cop_dnn_c30_knife_10_n03041632_7380.png"
    assert found((human, "c30"), (model, "c30")) == 0
    assert found((human, "c30"), (model, "c10"), (model.replace("c30", "c30"), "c30")) == 1
    assert found((human, "c30"), ("/x/n03041632_7380.JPEG", None)) == 0
    assert found((human, "c30"), ("/x/n03041632_73.JPEG", None)) == UNKNOWN


def test_the_condition_tells_images_of_one_name_apart() -> None:
    placed = [("/a/realistic/Dog01.png", "realistic"), ("/a/blurred/Dog01.png", "blurred"), ("/b/Dog01.png", None)]
    assert found(("Dog01.png", "blurred"), *placed) == 1
    assert found(("Dog01.png", "geons"), *placed) == 2
    assert found(("Dog01.png", "geons"), *placed[:2]) == ELSEWHERE
    assert found(("Dog01.png", None), *placed) == AMBIGUOUS
    assert found(("Dog01.png", "blurred"), *placed, ("/c/Dog01.png", "blurred")) == AMBIGUOUS
    assert found(("Dog01.png", None), placed[1]) == 0


def test_one_name_in_another_condition_is_not_taken_even_where_it_is_the_only_one() -> None:
    assert found(("Dog01.png", "blurred"), ("/a/realistic/Dog01.png", "realistic")) == ELSEWHERE
    assert found(("Dog01.png", "blurred"), ("/a/Dog01.png", "realistic"), ("/a/Dog01.jpg", "blurred")) == 1


def by_hand(name: str, condition: str | None, placed: Sequence[tuple[str, str | None]]) -> int:
    result = UNKNOWN
    for key in (file_name, stem, own_name):
        named = [i for i, (path, _) in enumerate(placed) if key(path) == key(name)]
        same = [i for i in named if condition is None or placed[i][1] == condition]
        unlabelled = [i for i in named if placed[i][1] is None]
        for fitting in (same, unlabelled):
            if fitting:
                return fitting[0] if len(fitting) == 1 else AMBIGUOUS
        if named:
            result = ELSEWHERE
    return result


names = st.sampled_from(
    ["a.png", "a.jpg", "a", "b.png", "0001_x_s01_c_n01_2.png", "0002_x_dnn_c_n01_2.png", "n01_2.png"]
)
conditions = st.sampled_from([None, "one", "two"])


@given(st.lists(st.tuples(names, conditions), max_size=8), st.lists(st.tuples(names, conditions), max_size=8))
def test_matching_equals_a_search_by_hand(
    trials: list[tuple[str, str | None]], placed: list[tuple[str, str | None]]
) -> None:
    result = match([name for name, _ in trials], [condition for _, condition in trials], images(*placed))
    assert result.dtype == np.int64
    assert result.tolist() == [by_hand(name, condition, placed) for name, condition in trials]
