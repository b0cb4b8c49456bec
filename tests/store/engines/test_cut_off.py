"""A FAISS file that is cut off in the milliseconds of a search, after it was last looked at."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shotdex.store.store import Store
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

PROGRAM = """
import os, sys
from pathlib import Path
from shotdex.store.engines import faiss_file, flat
from shotdex.query.search import search
from shotdex.store.store import Store
from shotdex.store.queries import Query
from tests.support.fakes import FakeEncoder
import faulthandler
faulthandler.enable(2)
root, most = Path(sys.argv[1]), int(sys.argv[2])
faiss_file.IN_MEMORY = most
real = flat.FlatEngine.check
def cut(self):
    real(self)
    for file in (root / "index").glob("*.faiss"):
        os.truncate(file, 0)
flat.FlatEngine.check = cut
found = search(Store(root), Query(("red",), k=3), lambda _: FakeEncoder())
print([hit.image_id for hit in found.hits])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be cut off there")
@pytest.mark.parametrize("most", [0, 1 << 25])
def test_a_search_answers_or_the_process_ends_with_a_word(store: Store, tmp_path: Path, most: int) -> None:
    for i in range(40):
        save_noise(tmp_path / "p" / f"{i}.png", seed=i)
    index(store, tmp_path / "p", FakeEncoder())
    command = [sys.executable, "-c", PROGRAM, str(store.root), str(most)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if most:
        assert (ran.returncode, ran.stdout.count(",")) == (0, 2), ran.stderr
    else:
        assert ran.returncode == -signal.SIGBUS
        assert "Bus error" in ran.stderr
