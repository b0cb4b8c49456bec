"""How long does a writer wait next to busy readers, and they for it?

    python benchmarks/contention.py [--seconds 20] [--rows 2000]

Processes open the catalog, count the images by category, close it, and begin again at once, as many searches do. Next
to 4 and to 12 of them one writer commits a row ten times a second. Printed are how long it waited until it could write,
and how long the readers took for a turn, median and longest. DuckDB lets a writer in only when no reader has the file
open: without a rule of whose turn it is, a writer next to busy readers waits for a moment that may never come.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measuring import heading, line
from synthetic import fill

from shotdex.store.errors import StoreLocked
from shotdex.store.store import Store

READERS = (4, 12)
PAUSE = 0.1
"""Seconds between two commits of the writer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each number of readers is measured")
    parser.add_argument("--rows", type=int, default=2000, help="images in the store")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read, given.seconds)
        return
    heading(f"One writer next to readers that never pause; {given.rows:,} images")
    with tempfile.TemporaryDirectory() as folder:
        store = fill(Path(folder) / "store", given.rows)
        for count in READERS:
            contend(store, count, given.seconds)


def contend(store: Store, count: int, seconds: float) -> None:
    """Write next to `count` processes that read, and print the waits of both."""
    command = [sys.executable, __file__, "--read", str(store.root), "--seconds", str(seconds)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for reader in readers:
        assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
    waits, refused, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            with store.writing() as con:
                waits.append(time.monotonic() - started)
                con.run("INSERT INTO meta VALUES ('contention', 'x')")
        except StoreLocked:
            refused += 1
        time.sleep(PAUSE)
    turns = [float(row) for reader in readers for row in reader.communicate()[0].split()]
    line(f"{count} readers: the writer waited, median and longest", shown(waits) + f"; gave up {refused} times")
    line(f"{count} readers: a reader's turn, median and longest", shown(turns) + f" ({len(turns):,} turns)")


def shown(seconds: list[float]) -> str:
    """Return the median and the longest of some times."""
    return f"{median(seconds):.3f} s, {max(seconds):.3f} s" if seconds else "never"


def read(root: Path, seconds: float) -> None:
    """Read again and again, and print how long each turn took."""
    print("reading", flush=True)
    end, taken = time.monotonic() + seconds, []
    while time.monotonic() < end:
        started = time.monotonic()
        with Store.at(root).reading() as con:
            con.rows("SELECT category, count(*) FROM images GROUP BY category")
        taken.append(time.monotonic() - started)
    print(*taken, sep="\n")


if __name__ == "__main__":
    main()
