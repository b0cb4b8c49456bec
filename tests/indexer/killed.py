"""A program for `test_interruption.py` to kill: it indexes a folder slowly, committing often."""

import sys
from pathlib import Path

from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import open_source
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder


def say(batch: int) -> None:
    print(batch, flush=True)


if __name__ == "__main__":
    store, folder = Path(sys.argv[1]), Path(sys.argv[2])
    settings = IndexOptions(batch_size=4, commit_rows=8, commit_seconds=1e9)
    encoder = FakeEncoder(before=say, slow=0.05)
    report = index_source(Store.create(store), open_source(folder), encoder, settings)
    print(f"done {report.added}", flush=True)
