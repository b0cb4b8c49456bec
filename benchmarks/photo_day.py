"""A day with 50,000 photographs: filters by date, camera, place and folder, pages and folded bursts, timed.

The metadata is made: ten years, six cameras, forty places, bursts of five near-duplicates. No image file exists.

    python benchmarks/photo_day.py [--photos N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from synthetic import encoded, encoder

import shotdex
from shotdex.store.arrow import vectors_to_arrow
from shotdex.store.encoded_batch import commit
from shotdex.store.engines.writing import write_index
from shotdex.store.image_columns import PHOTO
from shotdex.store.store import Store

DIM, PART, BURST, RUNS = 512, 8192, 5, 3
CAMERAS = ["Canon EOS R5", "NIKON D750", "Apple iPhone 12", "SONY ILCE-7M3", "FUJIFILM X-T4", None]

QUESTIONS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "--after 2021-07 --before 2021-08-15": {"after": "2021-07", "before": "2021-08-15"},
    "--camera 'EOS R5'": {"camera": "EOS R5"},
    "--near 48.86,2.29 --within 50km": {"near": "48.86,2.29", "within": "50km"},
    "--after 2021 --camera iphone --near 48.86,2.29 --within 500km": {
        "after": "2021", "camera": "iphone", "near": "48.86,2.29", "within": "500km"
    },
    "--in FOLDER": {"folder": "/pictures/007"},
    "--category": {"category": "class 007"},
    "--skip 100 --sort taken_at": {"skip": 100, "sort": "taken_at"},
    "--collapse": {"collapse": True},
}  # fmt: skip


def fill(root: Path, count: int) -> None:
    """Make a store of `count` photographs."""
    store, rng, identity = Store.create(root), np.random.default_rng(0), encoder(DIM, 16)
    places = np.stack([rng.uniform(-60, 70, 40), rng.uniform(-180, 180, 40)], axis=1)
    places[0] = 48.86, 2.29
    for first in range(0, count, PART):
        rows = min(PART, count - first)
        bursts = np.repeat(rng.normal(size=(-(-rows // BURST), DIM)), BURST, axis=0)[:rows]
        joint = bursts + 0.02 * rng.normal(size=(rows, DIM))
        joint = (joint / np.linalg.norm(joint, axis=1, keepdims=True)).astype(np.float32)
        batch, placement = encoded(first + 1, joint, np.ones((rows, 16), np.float32), identity)
        where = places[rng.integers(0, 40, rows)] + rng.normal(0, 0.2, (rows, 2))
        columns = {
            "taken_at": [datetime(2015, 1, 1) + timedelta(minutes=105 * (first + i)) for i in range(rows)],
            "camera": [CAMERAS[i] for i in rng.integers(0, len(CAMERAS), rows)],
            "lens": [None] * rows,
            "latitude": where[:, 0].clip(-90, 90).tolist(),
            "longitude": where[:, 1].clip(-180, 180).tolist(),
            "exif": ['{"FNumber": 2.8, "ISOSpeedRatings": 400}'] * rows,
        }
        for field in PHOTO:
            column = pa.array(columns[field.name], field.type)
            batch = batch.set_column(batch.schema.get_field_index(field.name), field, column)
        assert batch.schema.field("joint").type == vectors_to_arrow(joint).type
        with store.writing() as con:
            commit(con, batch, placement)
    write_index(store, 1, identity)


def main() -> None:
    """Print the median seconds of each question, of a session that is open and of one that has just been opened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=int, default=50_000)
    count = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        fill(Path(folder) / "store", count)
        print(f"{count:,} photographs made in {time.perf_counter() - started:.1f} s")
        for name, question in QUESTIONS.items():
            cold, warm = [], []
            for _ in range(RUNS):
                session = shotdex.open(Path(folder) / "store")
                for times in (cold, [], warm):  # the second search reads what all later ones keep
                    started = time.perf_counter()
                    found = session.search(like=1, k=20, with_itself=True, **question)
                    times.append(time.perf_counter() - started)
            print(
                f"{name:62} {len(found):3} hits, {statistics.median(cold):.3f} s opened just now, "
                f"{statistics.median(warm):.3f} s again"
            )


if __name__ == "__main__":
    main()
