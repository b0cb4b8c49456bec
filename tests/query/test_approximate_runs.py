"""What looking classes up through an inverted file would change, against a loop over images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shotdex.query.approximate import changed_predictions
from shotdex.store.encoders import choose_encoder
from shotdex.store.engines.flat import FlatEngine, Rows
from shotdex.store.engines.inverted_file import Changed, train_inverted_file
from shotdex.store.engines.ivf import IvfEngine
from shotdex.store.engines.vector_index import VectorIndex, open_index
from shotdex.store.store import Store
from shotdex.store.vectors import remembered_texts
from tests.support.evaluated import rows, run


def rows_in(index: VectorIndex) -> Rows:
    engine = index.engine()
    flat = engine.flat if isinstance(engine, IvfEngine) else engine
    assert isinstance(flat, FlatEngine)
    return flat.rows


TEXTS = {"red": ("red", "tomato"), "green": ("green",), "blue": ("navy", "purple")}


@pytest.mark.parametrize("probes", [1, 3, 8])
def test_against_a_loop(own: Store, probes: int) -> None:
    run(own, TEXTS, name="means")
    with own.reading() as con:
        number, encoder = choose_encoder(con, None)
        rows_of_index = rows_in(open_index(own, con, number, encoder))
        texts = remembered_texts(con, number, [text for some in TEXTS.values() for text in some])
    made = train_inverted_file(rows_of_index.vectors, np.arange(len(rows_of_index.ids)), 8, 0, lambda _: None)
    inverted = replace(made, nprobe=probes)
    sums = {name: sum(texts[text] / np.linalg.norm(texts[text]) for text in some) for name, some in TEXTS.items()}
    classes = {name: total / np.linalg.norm(total) for name, total in sums.items()}
    changed = 0
    predicted = dict(
        rows(own, "SELECT image_id, category FROM predictions p JOIN runs r USING (run_id) "
        "WHERE r.name = 'means' AND rank = 1")
    )  # fmt: skip
    placed = zip(rows_of_index.ids, rows_of_index.vectors, inverted.centroid_of_rows(), strict=True)
    for image_id, vector, centroid in placed:
        found = {
            name: float(vector @ text)
            for name, text in classes.items()
            if centroid in np.argsort(-(inverted.centroids @ text))[:probes]
        }
        changed += not found or max(found, key=found.__getitem__) != predicted[int(image_id)]
    counted = {one.run: one for one in changed_predictions(own, number, inverted, rows_of_index)}
    assert counted["means"] == Changed("means", 75, changed)
    assert (changed == 0) == (probes == 8)
    assert len(counted) == 4, "the latest run of each prompt set"


def test_texts_that_are_forgotten_leave_a_run_out(own: Store) -> None:
    with own.reading() as con:
        number, encoder = choose_encoder(con, None)
        rows_of_index = rows_in(open_index(own, con, number, encoder))
    made = train_inverted_file(rows_of_index.vectors, np.arange(75), 4, 0, lambda _: None)
    with own.writing() as con:
        con.run(f"DELETE FROM text_vectors_{number}")
    assert changed_predictions(own, number, made, rows_of_index) == ()
