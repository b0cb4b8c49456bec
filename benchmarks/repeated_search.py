"""How long does a search take in a process that has searched before?

    python benchmarks/repeated_search.py [STORE] [--runs 200]

Searches the store with its own model, as a notebook or a server does: a `Session` is kept. Without STORE the 320 images
that ship are indexed first. The vector search alone is what `SearchResult.seconds` says of the same searches.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from measuring import heading, line, ratio

import shotdex
from shotdex import demo

TEXTS = ("a duck", "a photo of a hat", "a red car", "a line drawing")
FILTERS = (None, "condition = 'realistic'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", nargs="?", type=Path, help="an existing store; default: the demo's")
    parser.add_argument("--runs", type=int, default=200, help="how often each query is searched")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = shotdex.open(options.store or Path(folder) / "store", create=options.store is None)
        if options.store is None:
            session.index(demo.EVALUATION, model="demo", layout="{condition}/{category}*")
        heading(f"Repeated search: {len(session):,} images, one session")
        for where in FILTERS:
            measure(session, where, options.runs)


def measure(session: shotdex.Session, where: str | None, runs: int) -> None:
    first = timed(session, "a bird", where)[0]
    for text in TEXTS * 3:
        timed(session, text, where)
    time.sleep(0.1)  # the catalog has just been written to
    timed(session, TEXTS[0], where)
    times = [timed(session, text, where) for _ in range(runs) for text in TEXTS]
    whole, alone = median(one[0] for one in times), median(one[1] for one in times)
    line("filter", where or "none")
    line("first search", f"{first * 1e3:.2f} ms")
    line("repeated search", f"{whole * 1e3:.3f} ms", f"at most {2 * alone * 1e3 + 5:.2f} ms")
    line("  its vector search", f"{alone * 1e3:.3f} ms")
    ratio("  to its vector search", whole, alone, "at most 2, plus 5 ms")


def timed(session: shotdex.Session, text: str, where: str | None) -> tuple[float, float]:
    """Return the seconds of a search, and those of its vector search."""
    started = time.perf_counter()
    found = session.search(text, where=where)
    return time.perf_counter() - started, found.seconds


if __name__ == "__main__":
    main()
