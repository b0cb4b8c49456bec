"""Vectors and projections in the catalog: what goes in comes out, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shotdex.store import vectors as vectors_module
from shotdex.store.arrow import vectors_from_arrow, vectors_to_arrow
from shotdex.store.encoders import add_encoder, choose_encoder, list_encoders
from shotdex.store.errors import EmptyStore, EncoderMismatch, OptionError
from shotdex.store.image_columns import PLACES, move_table
from shotdex.store.images import known_query, mark_removed, next_image_id
from shotdex.store.projections import ProjectionKey, digest_ids, load_projection, save_projection
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, ImageVectors, Pooling, Precision, Space
from shotdex.store.vectors import load_in_chunks, load_vectors, owners_query, stream_vectors
from tests.support.fakes import fake_id
from tests.support.rows import ImageRow, add_images, add_vectors

ID = fake_id(dim=5, vision_dim=3)


def record(image_id: int, **changes: object) -> ImageRow:
    made = ImageRow(image_id, f"/p/{image_id}.png", "/p", "dog", None, None, f"{image_id:064}", 7, 9, 11, 13)
    return replace(made, **changes)  # type: ignore[arg-type]


def vectors(count: int, encoder: EncoderId = ID, seed: int = 0) -> ImageVectors:
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(count, encoder.dim)).astype(np.float32)
    return ImageVectors(joint, rng.normal(size=(count, encoder.vision_dim)).astype(np.float32) * 1e-30)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(width=32)))
def test_arrow_round_trip(array: np.ndarray) -> None:
    import pyarrow as pa

    back = vectors_from_arrow(pa.chunked_array([vectors_to_arrow(array)]), array.shape[1])
    assert back.tobytes() == array.tobytes()


def test_vectors_come_back_bit_for_bit_by_rising_id(store: Store) -> None:
    ids, made = [9, 2, 5, 7], vectors(4)
    with store.writing() as con:
        number = add_encoder(con, ID)
        add_images(con, [record(i) for i in ids])
        add_vectors(con, number, ids, made)
    order = np.argsort(ids)
    with store.reading() as con:
        for space, want in ((Space.JOINT, made.joint), (Space.VISION, made.vision)):
            found, got = load_vectors(con, number, ID, space)
            assert found.tolist() == [2, 5, 7, 9]
            assert got.dtype == np.float32
            assert got.tobytes() == want[order].tobytes()
        found, got = load_vectors(con, number, ID, Space.JOINT, np.array([9, 5, 1234]))
        assert found.tolist() == [5, 9]
        assert got.tobytes() == made.joint[[2, 0]].tobytes()
        parts = list(load_in_chunks(con, number, ID, np.array([2, 5, 7]), 2))
        assert [part[0].tolist() for part in parts] == [[2, 5], [7]]
        none, empty = load_vectors(con, number, ID, Space.JOINT, np.array([], dtype=np.int64))
        assert (len(none), empty.shape) == (0, (0, 5))


def test_many_vectors_survive_many_row_groups(store: Store) -> None:
    count = 5000
    made = vectors(count)
    with store.writing() as con:
        number = add_encoder(con, ID)
        add_vectors(con, number, list(range(1, count + 1)), made)
    with store.reading() as con:
        assert load_vectors(con, number, ID, Space.JOINT)[1].tobytes() == made.joint.tobytes()


def test_commits_leave_small_pieces_behind(store: Store) -> None:
    """The file keeps the room of the piece that was last rewritten, so pieces are as small as DuckDB makes them."""
    with store.writing() as con:
        number = add_encoder(con, ID)
    for start in range(0, 5000, 1000):
        with store.writing() as con:
            add_vectors(con, number, list(range(start + 1, start + 1001)), vectors(1000))
    query = "SELECT row_group_id, sum(count) FROM pragma_storage_info('vectors_1') "
    with store.reading() as con:
        pieces = con.rows(query + "WHERE column_name = 'image_id' AND segment_type = 'BIGINT' GROUP BY 1 ORDER BY 1")
    assert sum(rows for _, rows in pieces) == 5000
    assert max(rows for _, rows in pieces) <= 2048


@pytest.mark.parametrize("wanted", [None, "all", "few", "every ninth", "unsorted"])
def test_a_stream_is_what_is_loaded_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch, wanted: str | None) -> None:
    monkeypatch.setattr(vectors_module, "READ_ROWS", 700)
    count, made = 5000, vectors(5000)
    with store.writing() as con:
        number = add_encoder(con, ID)
        add_vectors(con, number, list(range(1, count + 1)), made)
    every = np.arange(1, count + 1)
    chosen = {
        None: None,
        "all": every,
        "few": np.array([17, 4000, 99_999]),
        "every ninth": every[::9],
        "unsorted": every[::-1],
    }[wanted]
    with store.reading() as con:
        parts = list(stream_vectors(con, number, ID, Space.JOINT, chosen))
        monkeypatch.setattr(vectors_module, "FEW_ROWS", 3)
        ids, joint = load_vectors(con, number, ID, Space.JOINT, chosen)
    want = every if chosen is None else np.intersect1d(every, chosen)
    assert ids.tolist() == want.tolist()
    assert joint.tobytes() == made.joint[want - 1].tobytes()
    assert np.concatenate([part[0] for part in parts]).tolist() == want.tolist()
    assert np.concatenate([part[1] for part in parts]).tobytes() == joint.tobytes()
    assert max(len(part[0]) for part in parts) <= 2048, "as DuckDB cuts them"


def test_what_was_mended_comes_by_rising_id_all_the_same(store: Store) -> None:
    made = vectors(6)
    with store.writing() as con:
        number = add_encoder(con, ID)
        for ids in ([4, 5, 6], [1, 2, 3]):
            add_vectors(con, number, ids, ImageVectors(made.joint[np.array(ids) - 1], made.vision[np.array(ids) - 1]))
    with store.reading() as con:
        streamed = [part[0] for part in stream_vectors(con, number, ID, Space.VISION, np.array([2, 5]))]
        found, got = load_vectors(con, number, ID, Space.VISION)
    assert sorted(np.concatenate(streamed).tolist()) == [2, 5]
    assert found.tolist() == [1, 2, 3, 4, 5, 6]
    assert got.tobytes() == made.vision.tobytes()


def test_owners_are_the_first_with_a_content(store: Store) -> None:
    with store.writing() as con:
        number = add_encoder(con, ID)
        add_images(con, [record(1), record(2), record(3, content_sha256=f"{2:064}")])
        add_vectors(con, number, [1, 2, 3], vectors(3))
        owners = con.rows(f"{owners_query(number)} ORDER BY content_sha256")
    assert owners == [(f"{1:064}", 1, 7, 9), (f"{2:064}", 2, 7, 9)]


def test_encoders_by_what_makes_a_vector(store: Store) -> None:
    different = [
        ID,
        fake_id(weights="2" * 64, dim=5, vision_dim=3),
        fake_id(dim=5, vision_dim=3, preprocessing_sha256="3" * 64),
        fake_id(dim=5, vision_dim=3, precision=Precision.BF16),
        fake_id(dim=5, vision_dim=3, pooling=Pooling.CLS),
    ]
    with store.writing() as con:
        assert [add_encoder(con, encoder) for encoder in different] == [1, 2, 3, 4, 5]
        assert add_encoder(con, replace(ID, name="another name", revision="x")) == 1
        assert list_encoders(con) == dict(enumerate(different, 1))


def test_choosing_an_encoder(store: Store) -> None:
    with store.reading() as con, pytest.raises(EmptyStore):
        choose_encoder(con, None)
    with store.writing() as con:
        add_encoder(con, fake_id("org/one"))
    with store.reading() as con:
        assert [choose_encoder(con, name)[0] for name in (None, "1", "one", "org/one")] == [1] * 4
        with pytest.raises(EncoderMismatch, match="org/one"):
            choose_encoder(con, "two")
    with store.writing() as con:
        add_encoder(con, fake_id("org/two", weights="4" * 64))
    with store.reading() as con:
        assert choose_encoder(con, "two")[0] == 2
        with pytest.raises(OptionError, match=r"org/one.*org/two"):
            choose_encoder(con, None)


def test_ids_are_never_given_twice(store: Store) -> None:
    with store.writing() as con:
        assert next_image_id(con) == 1
        add_images(con, [record(1), record(2)])
        mark_removed(con, [2])
        assert next_image_id(con) == 3


def test_moving_brings_back_and_relabels(store: Store) -> None:
    place = {"image_id": 1, "path": "/q/n.png", "source": "/q", "size_bytes": 5, "modified_ns": 6}
    place |= {"category": "cat", "condition": "x", "split": "test"}
    with store.writing() as con:
        add_images(con, [record(1), record(2)])
        mark_removed(con, [1])
        move_table(con, pa.Table.from_pylist([place], PLACES))
        known = con.table(f"{known_query(None)} ORDER BY path").to_pylist()
    assert [row["path"] for row in known] == ["/p/2.png", "/q/n.png"]
    moved = known[1]
    assert (moved["image_id"], moved["source"], moved["size_bytes"], moved["modified_ns"]) == (1, "/q", 5, 6)
    assert (moved["category"], moved["condition"], moved["split"]) == ("cat", "x", "test")
    assert (moved["present"], moved["encoded"]) == (True, False)


def test_what_is_known_of_an_image_depends_on_the_encoder(store: Store) -> None:
    with store.writing() as con:
        first, second = add_encoder(con, ID), add_encoder(con, fake_id(weights="2" * 64, dim=5, vision_dim=3))
        add_images(con, [record(1, metadata='{"a": 1}'), record(2)])
        add_vectors(con, first, [1], vectors(1))
        mark_removed(con, [2])
        queries = [
            f"SELECT path, encoded, present, metadata FROM ({known_query(n)}) ORDER BY path"
            for n in (first, second, None)
        ]
        known = [con.rows(query) for query in queries]
    assert known[0] == [("/p/1.png", True, True, '{"a": 1}'), ("/p/2.png", False, False, None)]
    assert known[1] == known[2] == [("/p/1.png", False, True, '{"a": 1}'), ("/p/2.png", False, False, None)]


def test_projections_are_kept_under_all_that_made_them(store: Store) -> None:
    ids = np.array([3, 5, 8])
    points = np.array([[0.1, -1e300], [2.0, 3.0], [1 / 3, 4.0]])
    key = ProjectionKey(1, Space.JOINT, "umap", {"seed": 0, "min_dist": 0.1}, None, digest_ids(ids))
    with store.writing() as con:
        save_projection(con, key, ids, points)
    with store.reading() as con:
        got = load_projection(con, key)
        assert got is not None
        assert got.tolist() == points.tolist()
        same = replace(key, settings={"min_dist": 0.1, "seed": 0})
        assert load_projection(con, same) is not None
        for other in (
            replace(key, encoder_id=2),
            replace(key, space=Space.VISION),
            replace(key, method="tsne"),
            replace(key, settings={"seed": 1, "min_dist": 0.1}),
            replace(key, images_sha256=digest_ids(ids[:2])),
        ):
            assert load_projection(con, other) is None
