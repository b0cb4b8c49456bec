"""One indexing at a time, with a real second process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shotdex.store import store as store_module
from shotdex.store.errors import StoreLocked
from shotdex.store.store import Store

HOLDER = """
import sys
from pathlib import Path
from shotdex.store.store import Store
with Store.open(Path(sys.argv[1])).indexing():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Start a process that holds the indexing lock of the store at tmp_path until its standard input closes."""
    Store.create(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_indexer_is_told_who_is_at_work(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "INDEXING_WAIT_SECONDS", 0.2)
    store = Store.open(tmp_path)
    with pytest.raises(StoreLocked, match=f"process {holder.pid} is indexing"), store.indexing():
        pass
    with store.reading() as con:  # readers are not kept out
        assert con.value("SELECT count(*) FROM images") == 0
    holder.communicate()
    with store.indexing():
        pass


def test_a_killed_indexer_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    with Store.open(tmp_path).indexing():
        pass
