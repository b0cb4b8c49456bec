"""How near is search to bare FAISS, what do filters and opening cost, and what does an approximate index give?

    python benchmarks/search.py [--rows 1000000] [--keep FOLDER]

Makes a store of clustered 512-d vectors through the catalog, once where a folder is kept (a million take some minutes
and 5 GB), and remembers 200 texts: cluster centres under twice the noise of the images. Prints exact search against
`IndexFlatIP.search` on the same array, search under filters of 1, 10 and 50 % alone and with their SQL, what opening
takes, the memory of a search and of writing the FAISS file in fresh processes, and what `shotdex approximate` measures,
with its recall counted once more by searches really made.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from measuring import heading, in_turns, line, ratio
from synthetic import clustered, fill

from shotdex.query.approximate import build, drop
from shotdex.query.search import search
from shotdex.store.encoders import choose_encoder
from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import FlatEngine
from shotdex.store.engines.vector_index import VectorIndex, open_index
from shotdex.store.engines.writing import drop_index, write_index
from shotdex.store.ids import filtered_ids
from shotdex.store.progress import NoProgress
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.store.vectors import remember_texts

DIM = 512
TEXTS = 200
FILTERS = {"1 %": "image_id % 100 = 7", "10 %": "image_id % 10 = 7", "50 %": "image_id % 2 = 0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="where the store is made, and found the next time")
    parser.add_argument("--part", choices=["search", "write"], help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.part:
        print(json.dumps({"search": part_search, "write": part_write}[wanted.part](Store.open(wanted.keep))))
        return
    with tempfile.TemporaryDirectory() as folder:
        store = stored((wanted.keep or Path(folder)) / str(wanted.rows), wanted.rows)
        heading(f"Searching {wanted.rows:,} clustered vectors of {DIM} numbers")
        drop(store, None)
        exact_and_filtered(store)
        opening(store)
        memory(store, wanted.rows)
        approximate(store)


def stored(root: Path, rows: int) -> Store:
    """Return the store, made where it is not there; `texts` is the last to be written, so that it is whole then."""
    if (root / "whole").is_file():
        return Store.open(root)
    started = time.perf_counter()
    store = fill(root, rows, DIM, vision_dim=8)
    vectors = texts()
    with store.writing() as con:
        remember_texts(con, 1, [f"text {n}" for n in range(TEXTS)], vectors)
    (root / "whole").touch()
    line("made the store in", f"{time.perf_counter() - started:.0f} s")
    return store


def texts() -> np.ndarray:
    """Return the vectors of the texts, further from the centres than images are, as real ones are from images."""
    noise = np.random.default_rng(1).standard_normal((TEXTS, DIM), dtype=np.float32)
    spread = clustered(TEXTS, DIM, noise=0.0) + 1.4 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    unit: np.ndarray = spread / np.linalg.norm(spread, axis=1, keepdims=True)
    return unit


def opened(store: Store) -> VectorIndex:
    with store.reading() as con:
        return open_index(store, con, *choose_encoder(con, None))


def query(number: int = 3) -> Query:
    return Query((f"text {number}",))


def exact_and_filtered(store: Store) -> None:
    index = opened(store)
    text = texts()[3]
    bare = faiss.IndexFlatIP(DIM)
    engine = index.engine(exact=True)
    assert isinstance(engine, FlatEngine)
    bare.add(np.array(engine.rows.vectors))
    with store.reading() as con:
        filters = {name: Filter(where, filtered_ids(con, where)) for name, where in FILTERS.items()}
        threads = faiss.omp_get_max_threads()

        def with_sql(where: str) -> None:
            index.search(text, 10, Filter(where, filtered_ids(con, where)))

        def on_one_thread() -> None:
            faiss.omp_set_num_threads(1)
            index.search(text, 10)
            faiss.omp_set_num_threads(threads)

        work: dict[str, Any] = {
            "bare FAISS": lambda: bare.search(text[None], 10),
            "exact": lambda: index.search(text, 10),
            "exact on one thread": on_one_thread,
        }
        for name, where in FILTERS.items():
            work[f"{name} kept"] = lambda kept=filters[name]: index.search(text, 10, kept)
            work[f"{name} kept, with its SQL"] = lambda where=where: with_sql(where)
        times = in_turns(work)
    scores, found = bare.search(text[None], 10)
    ours, cosines = index.search(text, 10)
    line("same ten as bare FAISS, largest difference of a cosine", f"{(engine.covers[found[0]] == ours).all()}, "
         f"{np.abs(scores[0] - cosines).max():.1e}")  # fmt: skip
    for name, taken in times.items():
        line(name, taken)
    exact = times["exact"].median
    ratio("exact / bare FAISS", exact, times["bare FAISS"].median, "at most 1.1")
    ratio("exact on one thread / bare FAISS", times["exact on one thread"].median, times["bare FAISS"].median)
    for name in list(work)[3:]:
        ratio(f"{name} / exact", times[name].median, exact, "at most 1")


def opening(store: Store) -> None:
    def under_catalog() -> None:
        with store.reading() as con:
            open_index(store, con, *choose_encoder(con, None))

    times = in_turns({"opening": under_catalog, "whole query": lambda: search(store, query(), no_model)})
    line("opening catalog and index", times["opening"], "reads no vectors")
    line("a whole query, its text known", times["whole query"])


def memory(store: Store, rows: int) -> None:
    vectors = 4 * DIM * rows
    for path in store.index_folder.iterdir():
        _forget(path)
    _forget(store.catalog)
    cold, warm = (_in_process("search", store) for _ in range(2))
    for name, part in (("first answer, nothing in the page cache", cold), ("the same again", warm)):
        line(f"{name}: opening, search", f"{part['opening']:.3f} s, {part['search']:.3f} s")
    line("read from disk to open, and by the first answer", f"{cold['read_open'] / 1e6:.1f} MB, "
         f"{cold['read_all'] / 1e6:.1f} MB of {vectors / 1e6:.1f}")  # fmt: skip
    line("resident: before, opened", f"{warm['before'] / 1e6:.0f} MB, {warm['opened'] / 1e6:.0f} MB")
    ratio("peak memory of a search / vectors", warm["peak"], vectors, "at most 1.2 of many vectors")
    line("of it not mapped", f"{warm['own'] / 1e6:.0f} MB")
    written = _in_process("write", store)
    line(
        "writing the FAISS file again", f"{written['seconds']:.1f} s, peak {written['peak'] / 1e6:.0f} MB", "no vectors"
    )
    line("with nothing new", f"{written['again']:.2f} s")


def approximate(store: Store) -> None:
    figures = build(store, None, 0.98, NoProgress())
    line("built", f"{figures.built_seconds:.0f} s, {figures.cells:,} centroids, nprobe {figures.probes:,}")
    line("recall@10 of held-out images", f"{figures.images.value:.4f} of {figures.images.questions}", "at least 0.98")
    assert figures.texts is not None
    line("recall@10 of remembered texts", f"{figures.texts.value:.4f} of {figures.texts.questions}", "at least 0.98")
    index, asked = opened(store), texts()
    found = [len(np.intersect1d(index.search(t, 10)[0], index.search(t, 10, exact=True)[0])) for t in asked[:50]]
    line("the same, counted by searches, 50 texts", f"{np.mean(found) / 10:.4f}")
    times = in_turns({
        "exact": lambda: [index.search(text, 10, exact=True) for text in asked[:5]],
        "approximate": lambda: [index.search(text, 10) for text in asked[:5]],
    })  # fmt: skip
    for name, taken in times.items():
        line(f"{name}, five texts", taken)
    ratio("exact / approximate", times["exact"].median, times["approximate"].median, "at least 10")
    part = _in_process("search", store)
    line("in a fresh process: opening, search", f"{part['opening']:.3f} s, {part['search']:.3f} s")


def part_search(store: Store) -> dict[str, float]:
    before, text = _resident(), texts()[3]
    read, started = _read_bytes(), time.perf_counter()
    index = opened(store)
    opened_at, read_open, resident = time.perf_counter(), _read_bytes() - read, _resident()
    index.search(text, 10)
    return {
        "before": before,
        "opened": resident,
        "opening": opened_at - started,
        "search": time.perf_counter() - opened_at,
        "read_open": read_open,
        "read_all": _read_bytes() - read,
        "peak": _peak(),
        "own": _resident("RssAnon"),
    }


def part_write(store: Store) -> dict[str, float]:
    with store.reading() as con:
        number, encoder = choose_encoder(con, None)
    drop_index(store, number)
    started = time.perf_counter()
    write_index(store, number, encoder)
    written, peak = time.perf_counter(), _peak()
    write_index(store, number, encoder)
    return {"seconds": written - started, "peak": peak, "again": time.perf_counter() - written}


def no_model(_: object) -> Any:
    raise AssertionError("every text is known")


def _in_process(part: str, store: Store) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, "--keep", str(store.root)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def _forget(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _resident(what: str = "VmRSS") -> float:
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * float(next(row for row in text.splitlines() if row.startswith(what + ":")).split()[1])


def _peak() -> float:
    return _resident("VmHWM")


def _read_bytes() -> float:
    """Return the bytes that this process had read from disk; what was in the page cache does not count."""
    text = Path("/proc/self/io").read_text(encoding="utf-8")
    return float(next(row for row in text.splitlines() if row.startswith("read_bytes:")).split()[1])


if __name__ == "__main__":
    main()
