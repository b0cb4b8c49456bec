"""How fast are searches through Milvus, next to FAISS, over the same vectors, and are the hits the same?

    python benchmarks/engines.py --uri http://127.0.0.1:19530 [--rows 20000] [--kind FLAT]

Makes a store of clustered unit vectors of 512 numbers, sends it to the server, and asks both in turns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import heading, in_turns, line, ratio

from shotdex.store.engines import milvus
from shotdex.store.engines.milvus_upload import add_milvus, remove_milvus

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.same_answers import Filled, filled

DIM = 512

FILTERS = {"no filter": None, "one condition in three": "condition = 'blurred'", "1 image in 50": "image_id % 50 = 0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--kind", default="FLAT")
    options = parser.parse_args()
    heading(f"Searches through Milvus, {options.kind}, {options.rows:,} contents of {DIM} numbers")
    milvus.FEW = -1  # ask it whatever few images a filter keeps
    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder) / "store", options.rows, DIM, options.rows // 7, near=0)
        started = time.perf_counter()
        add_milvus(store.store, 1, store.encoder, options.uri, options.kind)
        line("sent and indexed", f"{time.perf_counter() - started:.1f} s")
        try:
            compare(store)
        finally:
            remove_milvus(store.store, 1)


def compare(store: Filled) -> None:
    index, exact, queries = store.open_milvus(), store.open(), store.queries(10)
    engine = index.engine()
    assert isinstance(engine, milvus.MilvusEngine)
    ready = in_turns({"ready": engine.check_ready}, 15)["ready"]
    line("asking whether it is ready", ready)
    for name, where in FILTERS.items():
        kept = store.filter(where)
        found = [(index.search(q, 10, kept), exact.search(q, 10, kept, exact=True)) for q in queries]
        same = sum(a[0].tolist() == b[0].tolist() and a[1].tolist() == b[1].tolist() for a, b in found)
        hits = np.mean([(a[1] >= b[1][-1] - 1e-6).mean() for a, b in found])
        line(f"{name}: equal lists and cosines", f"{same} of {len(queries)}; recall@10 {hits:.3f}")
        turn = iter(range(10**6))
        times = in_turns(
            {
                "milvus": lambda kept=kept, turn=turn: index.search(queries[next(turn) % len(queries)], 10, kept),
                "faiss": lambda kept=kept, turn=turn: exact.search(queries[next(turn) % len(queries)], 10, kept),
            },
            15,
        )
        for which, taken in times.items():
            line(f"  {which}", taken)
        ratio("  milvus / faiss", times["milvus"].median, times["faiss"].median)
    line("answered by FAISS, as Milvus had not proposed enough", str(engine.missed))


if __name__ == "__main__":
    main()
