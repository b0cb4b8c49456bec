"""Whose turn it is to open the catalog, with real processes and threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from shotdex.store import gate, opening
from shotdex.store.errors import StoreError, StoreLocked
from shotdex.store.store import Store

posix = pytest.mark.skipif(sys.platform == "win32", reason="locks that readers share are those of POSIX")

BUSY = """
import sys, time
from pathlib import Path
from shotdex.store.store import Store
store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
turns, end = 0, time.monotonic() + 60
while time.monotonic() < end and not Path(sys.argv[2]).exists():
    with Store.at(store.root).reading() as con:
        con.rows("SELECT count(*) FROM images")
    turns += 1
print(turns, flush=True)
"""

HOLDER = """
import sys
from pathlib import Path
from shotdex.store.store import Store
store = Store.open(Path(sys.argv[1]))
with getattr(store, sys.argv[2])():
    print("held", flush=True)
    sys.stdin.readline()
"""

WAITER = """
import sys
from pathlib import Path
from shotdex.store.store import Store
store = Store.open(Path(sys.argv[1]))
print("waiting", flush=True)
with store.writing():
    print("in", flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process, and return it when it has said its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test, whatever happens."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def seconds_to_read(store: Store) -> float:
    started = time.monotonic()
    with store.reading() as con:
        con.rows("SELECT count(*) FROM images")
    return time.monotonic() - started


def wait_until(what: str, holds: object) -> None:
    deadline = time.monotonic() + 20
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@posix
def test_a_writer_gets_its_turn_next_to_twelve_busy_readers(
    store: Store, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    stop = tmp_path / "stop"
    processes += [start(BUSY, store.root, stop) for _ in range(12)]
    for process in processes:  # all at once, when all are there
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    waits = []
    for number in range(3):
        started = time.monotonic()
        with store.writing() as con:
            waits.append(time.monotonic() - started)
            con.run("INSERT INTO meta VALUES ('turn', $n)", {"n": str(number)})
        time.sleep(0.1)
    stop.touch()
    turns = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert max(waits) < 5, waits
    assert min(turns) > 0, "readers get their turn, too"


@posix
def test_new_readers_let_a_waiting_writer_go_first_until_it_ends(
    store: Store, processes: list[subprocess.Popen[str]]
) -> None:
    processes += [start(HOLDER, store.root, "reading"), start(WAITER, store.root)]
    wait_until("nobody waits", lambda: is_held(store))
    assert gate.PATIENCE <= seconds_to_read(store) < gate.PATIENCE + 5, "for a while only: the writer may wait for long"
    processes[1].kill()
    processes[1].wait()
    assert not is_held(store)
    assert seconds_to_read(store) < gate.PATIENCE


def is_held(store: Store) -> bool:
    leave = gate.hold_turnstile(store.catalog)
    if leave is not None:
        leave()
    return leave is None


@posix
@pytest.mark.parametrize("put", ["link", "folder"])
def test_what_is_not_a_file_of_the_store_in_its_place_is_left_alone(store: Store, tmp_path: Path, put: str) -> None:
    thesis, turnstile = tmp_path / "thesis.txt", store.root / "turnstile.lock"
    thesis.write_text("the only copy")
    turnstile.symlink_to(thesis) if put == "link" else turnstile.mkdir()
    assert gate.hold_turnstile(store.catalog) is None
    assert seconds_to_read(store) < gate.PATIENCE
    with store.writing() as con:
        con.run("INSERT INTO meta VALUES ('a', 'b')")
    assert thesis.read_text() == "the only copy"


def test_a_thread_that_reads_may_read_again_while_a_writer_waits(store: Store) -> None:
    written = threading.Event()

    def write() -> None:
        with store.writing():
            written.set()

    seconds_to_read(store)
    with store.reading():
        writer = threading.Thread(target=write)
        writer.start()
        wait_until("no writer waits", lambda: gate.gate_of(store.catalog)._queued)
        assert seconds_to_read(store) < gate.PATIENCE
        assert not written.is_set()
    writer.join(10)
    assert written.is_set()


REFUSED = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'reading')"


@pytest.mark.parametrize(("held", "tried"), [("writing", "reading"), ("reading", "writing"), ("writing", "writing")])
def test_what_a_thread_tries_in_vain_leaves_the_lock_on_the_file(
    store: Store, held: str, tried: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that opens and closes a file loses its locks on it, and another process then writes next to ours."""
    seconds_to_read(store)
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.3)
    with getattr(store, held)() as con:
        caught: list[BaseException] = []

        def attempt() -> None:
            try:
                with getattr(store, tried)():
                    pass
            except StoreLocked as error:
                caught.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(20)
        assert "held by another part of this program" in str(caught[0])
        writer = subprocess.run(
            [sys.executable, "-c", REFUSED, str(store.catalog), "writing"], capture_output=True, text=True, check=False
        )
        assert "Could not set lock" in writer.stderr or "being used by another process" in writer.stderr
        con.rows("FROM meta")


@posix
def test_readers_of_a_catalog_that_was_replaced_make_way_for_the_new_one(store: Store) -> None:
    code = (
        "import sys; from pathlib import Path; from shotdex.store.store import Store\n"
        "store = Store.open(Path(sys.argv[1]))\n"
        "with store.indexing(): assert store.compact()\n"
        "with store.writing() as con: con.run(\"INSERT INTO meta VALUES ('new', 'x')\")\n"
    )
    query = "SELECT count(*) FROM meta WHERE key = 'new'"
    seconds_to_read(store)
    found: list[int] = []

    def read() -> None:
        with store.reading() as con:
            found.append(con.value(query))

    with store.reading() as con:
        subprocess.run([sys.executable, "-c", code, str(store.root)], check=True)
        assert con.value(query) == 0, "what was open stays what it was"
        late = threading.Thread(target=read)
        late.start()
        time.sleep(0.3)
        assert not found
    late.join(10)
    assert found == [1]


def test_an_error_that_somebody_keeps_keeps_no_writer_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(opening, "SEALING", ("SET no_such_setting = 1",))
        with pytest.raises(StoreError) as kept:
            opening.to_read(store.catalog, allow_external=False)
    with closing(opening.to_write(store.catalog, 2.0)) as con:
        con.run("CREATE TABLE written(number INTEGER)")
    assert kept.value


class _Interrupted:
    """What DuckDB raises where Ctrl-C comes while it works on a statement."""

    def execute(self, sql: str, *_: object) -> None:
        raise RuntimeError("Query interrupted")

    def close(self) -> None:
        pass


def test_ctrl_c_while_a_catalog_is_being_opened_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "store")
    monkeypatch.setattr(duckdb, "connect", lambda *_, **__: _Interrupted())
    with pytest.raises(KeyboardInterrupt), store.reading():
        pass
    with pytest.raises(KeyboardInterrupt), store.writing():
        pass
