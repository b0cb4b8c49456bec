"""Filters that need no SQL: the condition that they mean, what it keeps, and what is said where nothing is."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.filters import where
from shotdex.store.encoded_batch import commit
from shotdex.store.errors import OptionError
from shotdex.store.ids import filtered_ids
from shotdex.store.image_columns import PHOTO
from shotdex.store.near import near_a_filter
from shotdex.store.store import Store
from tests.store.test_encoded_batch import rows

PLACES = [(48.858222, 2.2945), (48.86, 2.35), (-33.8568, 151.2153), (0.0, 179.999), (0.0, -179.999), (89.9, 10.0)]
CAMERAS = ["Canon EOS R5", "NIKON D750", "Apple iPhone 12"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """24 images, one a month from January 2020 on; the last has nothing."""
    store = Store.create(tmp_path_factory.mktemp("photos") / "store")
    changes: list[dict[str, Any]] = []
    for i in range(24):
        latitude, longitude = PLACES[i % len(PLACES)]
        said = {
            "taken_at": datetime(2020 + i // 12, 1 + i % 12, 15, 12), "camera": CAMERAS[i % 3],
            "latitude": latitude, "longitude": longitude,
        }  # fmt: skip
        changes.append(
            {"address": f"/p/{['home', 'trip'][i % 2]}/{i}.jpg", "sha256": f"{i:064x}"}
            | {"category": ["dog", "cat"][i % 2]}
            | (said if i < 23 else {})
        )
    with store.writing() as con:
        commit(con, rows(*changes))
    return store


def kept(store: Store, **filters: Any) -> list[int]:
    condition = where(**filters)
    assert condition is not None
    with store.reading() as con:
        return [int(number) - 1 for number in filtered_ids(con, condition)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"after": "2021-07"}, [18, 19, 20, 21, 22]),
        ({"after": "2020-02", "before": "2020-04-15"}, [1, 2]),
        ({"before": "2020-04-15T12:01"}, [0, 1, 2, 3]),
        ({"after": "2021/10/15 12:00"}, [21, 22]),
        ({"before": datetime(2020, 1, 16)}, [0]),
        ({"after": "2021", "camera": "eos r5"}, [12, 15, 18, 21]),
        ({"before": "2020-05", "camera": ["D750", "iphone"]}, [1, 2]),
        ({"before": "2020-05", "folder": "/p/trip"}, [1, 3]),
        ({"before": "2020-05", "folder": ["trip", "/p/home/"]}, [0, 1, 2, 3]),
        ({"folder": "/p/tri"}, []),
        ({"before": "2020-05", "category": "cat"}, [1, 3]),
        ({"before": "2020-05", "category": ["cat", "dog"], "sql": "image_id > 2 -- so"}, [2, 3]),
        ({"before": "2020-07", "near": "48.86,2.29"}, [0]),
        ({"before": "2020-07", "near": (48.86, 2.29), "within": "5 km"}, [0, 1]),
        ({"before": "2020-07", "near": "0 180", "within": "500m"}, [3, 4]),
    ],
)
def test_what_they_keep(photos: Store, filters: dict[str, Any], expected: list[int]) -> None:
    assert kept(photos, **filters) == expected


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0.001, 20_000))
def test_a_radius_is_that_of_the_haversine_formula(photos: Store, latitude: float, longitude: float, km: float) -> None:
    def distance(place: tuple[float, float]) -> float:
        a, b = math.radians(latitude), math.radians(place[0])
        across = math.radians(place[1] - longitude)
        # The spherical law of cosines, with vectors: another way to the same number.
        product = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(across)
        return 6371.0088 * math.acos(max(-1.0, min(1.0, product)))

    found = kept(photos, near=(latitude, longitude), within=km)
    for number in range(23):
        far = distance(PLACES[number % len(PLACES)])
        if abs(far - km) > 1e-3 + 1e-4 * far:
            assert (number in found) == (far < km)
    assert 23 not in found


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"after": "July"}, "not a time"),
        ({"before": "2021-13"}, "not a time"),
        ({"after": "2021", "before": "2020"}, "after 2021 and before 2020"),
        ({"near": "Paris"}, "not a latitude and a longitude"),
        ({"near": "148.86,2.29"}, "not on Earth"),
        ({"near": "1,nan"}, "not on Earth"),
        ({"within": "2km"}, "needs a place"),
        ({"near": "1,2", "within": "2 parsecs"}, "not a distance"),
        ({"near": "1,2", "within": "0km"}, "not a distance"),
        ({"wrong": True, "right": True}, "both"),
        ({"folder": " "}, "empty"),
    ],
)
def test_what_makes_no_sense(filters: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        where(**filters)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"category": "Dog"}, "no category `Dog` (dog)"),
        ({"camera": "EOS R4"}, "no camera `eos r4` (Canon EOS R5)"),
        ({"folder": "/p/trop"}, "no image in `/p/trop` (trip)"),
        ({"after": "2030"}, "no image was taken then (taken from 2020-01-15 12:00:00 to 2021-11-15 12:00:00)"),
        ({"near": "50,2.29"}, "the nearest image is 126.8 km away"),
        ({"run": "names"}, "no run `names` (there is none)"),
    ],
)
def test_what_was_near(photos: Store, filters: dict[str, Any], words: str) -> None:
    assert kept(photos, **filters) == []
    with photos.reading() as con:
        assert near_a_filter(con, where(**filters)) == f"{words}; "


def test_quotes_are_texts_and_no_filter_is_none(photos: Store) -> None:
    assert kept(photos, category="' OR true --", camera="'; DROP", folder="it's") == []
    assert where() is None
    assert where("width > 3") == "width > 3"


def test_outcomes_of_a_run() -> None:
    assert where(run=3, right=True) == (
        "image_id IN (SELECT image_id FROM outcomes WHERE (run = '3' OR run_id = 3) AND correct)"
    )
    assert where(wrong=True) == (
        "image_id IN (SELECT image_id FROM outcomes WHERE run_id = (SELECT max(run_id) FROM runs) AND NOT correct)"
    )


def test_a_batch_of_the_first_form_can_be_committed(tmp_path: Path) -> None:
    batch = rows({}).drop_columns(PHOTO.names)
    batch = batch.replace_schema_metadata(batch.schema.metadata | {b"shotdex.encoded_batch": b"1"})
    store = Store.create(tmp_path / "store")
    with store.writing() as con:
        commit(con, batch)
        assert con.rows("SELECT taken_at, camera, metadata FROM images") == [(None, None, None)]


def test_days_end_where_the_next_begins(photos: Store) -> None:
    noon = datetime(2020, 3, 15, 12)
    assert kept(photos, after=noon, before=noon + timedelta(seconds=1)) == [2]
