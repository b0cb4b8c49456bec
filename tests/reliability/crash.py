"""Kill an indexing at random moments, start it again, and compare with one that nobody disturbed.

    python -m tests.reliability.crash [KILLS] [SEED] [PICTURES] [SOURCES]

Every process is forked from one that has imported everything and used nothing, so that a kill costs a second, not five.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shotdex.store.errors import StoreNotFound
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder

from .child import BatchSensitive, fork, index_telling, warm_up
from .corpus import Corpus
from .states import BATCH, as_seen, difference, everything, fresh_store, problems

PHASES = ("start", "scan", "encoded", "encoded", "commit", "commit", "finish", "faiss")
"""What to wait for where a kill is not to come at any time at all; twice what matters most."""

MARK = f"SHOTDEX_CRASH_{os.getpid()}"

SLOW = 0.01
"""Seconds that a batch takes in the model, so that kills fall there too."""


@dataclass
class Ledger:
    """What happened so far. `hit` counts kills by what the process was doing, `longest_orphan` is in seconds."""

    kills: int = 0
    stores: int = 0
    changes: int = 0
    encoded_twice: int = 0
    most_twice: int = 0
    committed_images_checked: int = 0
    longest_orphan: float = 0.0
    hit: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Attempt:
    """One start of the child: what it said, and whether it was killed."""

    phase: str = "start"
    encoded: int = 0
    committed: int = 0
    killed: bool = False
    status: int = 0
    seconds: float = 0.0


def attempt(work: Callable[[int], Any], strike: Callable[[str, float], float | None]) -> Attempt:
    """Run `work` in a child. `strike` is asked at every phase, with the time since the start, for when to kill.

    It returns seconds from now, or None where it leaves things as they are.
    """
    reader, writer = os.pipe()
    child = fork(lambda: work(writer))
    os.close(writer)
    made, buffer, deadline, began = Attempt(), b"", None, time.monotonic()
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([reader], [], [], left)
        if not ready:
            os.kill(child, signal.SIGKILL)
            made.killed = True
            break
        data = os.read(reader, 65536)
        if not data:
            break
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            phase, number = line.decode().split()
            if phase == "encoded":
                made.encoded, made.phase = made.encoded + int(number), "encoding"
            elif phase == "committed":
                made.committed, made.phase = int(number), "between"
            else:
                made.phase = phase
            model_options = strike(phase, time.monotonic() - began)
            deadline = deadline if model_options is None else time.monotonic() + model_options
    _, status = os.waitpid(child, 0)
    rest = os.read(reader, 1 << 20) if made.killed else b""
    for line in (buffer + rest).split(b"\n")[:-1]:  # said between the decision to kill and the kill
        phase, number = line.decode().split()
        made.encoded += int(number) if phase == "encoded" else 0
        made.committed = int(number) if phase == "committed" else made.committed
        made.phase = {"encoded": "encoding", "committed": "between"}.get(phase, phase)
    os.close(reader)
    made.status, made.seconds = status, time.monotonic() - began
    return made


def ask(query: Callable[[], Any]) -> Any:
    """Return what a function gives in a forked process, through JSON."""
    reader, writer = os.pipe()

    def answer() -> None:
        with os.fdopen(writer, "w") as file:
            json.dump(query(), file)

    child = fork(answer)
    os.close(writer)
    with os.fdopen(reader) as file:
        told = file.read()
    os.waitpid(child, 0)
    return json.loads(told) if told else "the question itself failed"


def look(store_root: Path, committed: int) -> list[str]:
    """Return what is wrong with a store right after a kill."""
    try:
        store = Store.open(store_root)
    except StoreNotFound:
        return [] if committed == 0 else ["there is no store any more"]
    with store.reading() as con:
        count = con.value("SELECT count(*) FROM stored_images")
    lost = [f"{committed} rows were committed and {count} are there"] if count < committed else []
    return lost + problems(store)


def marked_processes() -> int:
    """Return how many processes carry the mark that only the children of our children have in their environment."""
    found = 0
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found += f"{MARK}=".encode() in place.read_bytes()
    return found


class Harness:
    """Kills and compares, round after round."""

    def __init__(self, folder: Path, seed: int, images: int, sources: int) -> None:
        self._folder = folder
        self._size = (images, sources)
        self._seed = seed
        self._random = random.Random(seed)
        self.ledger = Ledger()
        self._round = 0

    def run(self, kills: int) -> Ledger:
        """Go on until so many kills are done."""
        while self.ledger.kills < kills and not self.ledger.wrong:
            self._round += 1
            home = self._folder / f"round{self._round}"
            corpus = Corpus(home / "corpus", self._seed + self._round, *self._size)
            commit_rows = self._random.choice([BATCH, BATCH, 2 * BATCH, 3 * BATCH])
            changing = self._round % 3 == 0
            self._one_store(home, corpus, commit_rows, changing, kills)
            self.ledger.stores += 1
            shutil.rmtree(home)
        return self.ledger

    def _one_store(self, home: Path, corpus: Corpus, commit_rows: int, changing: bool, kills: int) -> None:
        # Where the source changes meanwhile, other images share the batches, and then so may the last bits differ.
        encoder = FakeEncoder(slow=SLOW) if changing else BatchSensitive(slow=SLOW)
        undisturbed = attempt(
            lambda pipe: index_telling(home / "undisturbed", corpus, commit_rows, pipe, encoder), lambda *_: None
        )
        self._check(undisturbed.status == 0, "the undisturbed run failed")
        encoded, killed, committed = 0, 0, 0
        while True:
            strike = self._by_time(undisturbed.seconds) if self._random.random() < 0.5 else self._by_phase()
            if self.ledger.kills >= kills:
                strike = lambda *_: None  # noqa: E731
            made = attempt(lambda pipe: index_telling(home / "store", corpus, commit_rows, pipe, encoder), strike)
            encoded += made.encoded
            committed = max(committed, made.committed)
            if not made.killed:
                break
            killed += 1
            self.ledger.kills += 1
            self.ledger.hit[made.phase] += 1
            self.ledger.committed_images_checked += committed
            wrong = ask(partial(look, home / "store", committed)) + self._left_over()
            self._check(not wrong, f"after a kill in {made.phase}: {wrong}")
            if changing and self._random.random() < 0.7:
                for _ in range(self._random.randint(1, 3)):
                    corpus.change()
                    self.ledger.changes += 1
        self._check(made.status == 0, "the last run failed")
        if changing:
            wrong = ask(lambda: self._compare_with_fresh(home, corpus))
        else:
            wrong = ask(
                lambda: difference(everything(Store.open(home / "store")), everything(Store.open(home / "undisturbed")))
            )
            twice = encoded - undisturbed.encoded
            self.ledger.encoded_twice += twice
            self.ledger.most_twice = max(self.ledger.most_twice, twice)
            # What waits for a commit is less than its rows, and a batch was just added.
            allowed = killed * (commit_rows - 1 + BATCH)
            self._check(0 <= twice <= allowed, f"{twice} encoded twice after {killed} kills; {allowed} would be right")
        self._check(not wrong, f"at the end: {wrong}")
        wrong = ask(lambda: problems(Store.open(home / "store")))
        self._check(not wrong, f"at the end: {wrong}")

    def _left_over(self) -> list[str]:
        """Wait for the decoding processes of a killed indexing to end by themselves."""
        began = time.monotonic()
        while (left := marked_processes()) and time.monotonic() < began + 10:
            time.sleep(0.02)
        self.ledger.longest_orphan = max(self.ledger.longest_orphan, round(time.monotonic() - began, 2))
        return [f"{left} decoding processes live on"] if left else []

    def _compare_with_fresh(self, home: Path, corpus: Corpus) -> str | None:
        return difference(as_seen(Store.open(home / "store")), as_seen(fresh_store(corpus, home / "fresh")))

    def _by_time(self, seconds: float) -> Callable[[str, float], float | None]:
        moment = self._random.uniform(0, seconds)
        return lambda phase, _: moment if phase == "start" else None

    def _by_phase(self) -> Callable[[str, float], float | None]:
        wanted = self._random.choice(PHASES)
        left = self._random.randint(1, {"start": 1, "commit": 9, "encoded": 6}.get(wanted, self._size[1]))
        delay = self._random.choice([0.0, self._random.uniform(0, 0.005), self._random.uniform(0, 0.08)])

        def strike(phase: str, _: float) -> float | None:
            nonlocal left
            left -= phase == wanted
            return delay if phase == wanted and left <= 0 else None

        return strike

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            self.ledger.wrong.append(f"round {self._round}, seed {self._seed}: {what}")


def main() -> None:
    """Print what was tried, and end with 1 where something did not hold."""
    kills, *others = [int(argument) for argument in sys.argv[1:]] + [20, 0, 24, 4][len(sys.argv) - 1 :]
    os.environ[MARK] = "1"  # seen in /proc only of what is started anew, not of what is forked
    warm_up()
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="shotdex-crash-"))
    ledger = Harness(folder, *others).run(kills)
    if not ledger.wrong:
        shutil.rmtree(folder)
    print(json.dumps({**vars(ledger), "seconds": round(time.monotonic() - began)}, indent=2))
    sys.exit(1 if ledger.wrong else 0)


if __name__ == "__main__":
    main()
