"""Send signals to `shotdex index` at random moments, look at what it says and keeps, and let it go on.

python -m tests.reliability.signals [TIMES] [SEED] [PICTURES]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shotdex.store.store import Store

from .child import fork, warm_up, watch_all
from .command import prepare, run
from .corpus import LAYOUT, Corpus
from .crash import ask, look
from .states import BATCH, difference, everything

KEPT = "interrupted; everything done so far is kept. Run the same command again to continue."
GRACE = 20.0
"""Seconds within which a process must end after Ctrl-C, on a machine that does ten other things."""


@dataclass
class Tally:
    """What was sent and what came of it. `said` counts the last lines on standard error."""

    sent: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    slowest_end: float = 0.0
    ignored: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """How one process ended: exit status (negative: a signal), standard error, images it had encoded."""

    status: int
    error: str
    encoded: int
    waited: float


def index(photos: Path, store: Path, log: Path) -> None:
    """Index, in a process of its own, with standard error to `log`."""
    aside = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(aside, 1)
    os.dup2(aside, 2)
    os.environ["SLOW"] = "0.02"
    prepare()
    watch_all(os.open(log.with_suffix(".told"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND))
    status = run("index", photos, "--store", store, "--layout", LAYOUT, "--batch-size", BATCH)
    sys.stderr.flush()
    os._exit(status)


def disturbed(home: Path, corpus: Corpus, send: Callable[[int], None]) -> Ended:
    """Index in a child, let `send` do something to it, and wait for its end."""
    log = home / "log"
    child = fork(partial(index, corpus.photos, home / "store", log))
    send(child)
    began = time.monotonic()
    _, status = os.waitpid(child, 0)
    told = log.with_suffix(".told").read_text() if log.with_suffix(".told").exists() else ""
    encoded = sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("encoded"))
    error = log.read_text(errors="replace") if log.exists() else ""
    return Ended(os.waitstatus_to_exitcode(status), error, encoded, time.monotonic() - began)


class Signals:
    """Sends, looks, and compares."""

    def __init__(self, folder: Path, seed: int, images: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._corpus = Corpus(folder / "corpus", seed, images, sources=1)
        self.tally = Tally()
        began = time.monotonic()
        self._home = folder
        ended = disturbed(folder, self._corpus, lambda _: None)
        self._seconds = time.monotonic() - began
        self._check("undisturbed", ended.status == 0, ended.error)
        self._want = folder / "store"

    def run(self, times: int) -> Tally:
        """Go through the kinds in turn."""
        kinds = {"SIGINT": self._once, "SIGTERM": self._terminate, "SIGINT twice": self._twice, "SIGSTOP": self._stop}
        for i in range(times):
            name = list(kinds)[i % len(kinds)]
            self._home = self._folder / f"time{i}"
            self._home.mkdir()
            kinds[name]()
            self.tally.sent[name] += 1
            self._go_on(name)
            if self.tally.wrong:
                break
            shutil.rmtree(self._home)
        return self.tally

    def _once(self) -> None:
        ended = self._disturb(signal.SIGINT)
        if self._interrupted("SIGINT", ended) and KEPT in ended.error:
            # A Ctrl-C while the model is loaded comes before there is a store.
            catalog = self._home / "store" / "catalog.duckdb"
            there = catalog.exists() and catalog.stat().st_size > 0
            kept = ask(partial(_contents, self._home / "store")) if there else 0
            # Ctrl-C between the model's answer and taking it in loses that one batch.
            self._check("SIGINT", kept >= ended.encoded - BATCH, f"{ended.encoded} encoded, {kept} kept")

    def _twice(self) -> None:
        ended = self._disturb(signal.SIGINT, signal.SIGINT)
        self._interrupted("SIGINT twice", ended)

    def _terminate(self) -> None:
        ended = self._disturb(signal.SIGTERM)
        self._check("SIGTERM", ended.status in (-signal.SIGTERM, 0), f"status {ended.status}: {ended.error}")

    def _stop(self) -> None:
        ended = self._disturb(signal.SIGSTOP, signal.SIGCONT)
        self._check("SIGSTOP", ended.status == 0, f"status {ended.status}: {ended.error}")

    def _disturb(self, *signals: signal.Signals) -> Ended:
        moments = [self._random.uniform(0, self._seconds), *(self._random.uniform(0, 0.3) for _ in signals[1:])]

        def send(child: int) -> None:
            for number, moment in zip(signals, moments, strict=True):
                time.sleep(moment)
                try:
                    os.kill(child, number)
                except ProcessLookupError:
                    return

        return disturbed(self._home, self._corpus, send)

    def _interrupted(self, name: str, ended: Ended) -> bool:
        """Check the end of a process that got Ctrl-C; True where it did not end before."""
        self.tally.slowest_end = max(self.tally.slowest_end, ended.waited)
        self._check(name, ended.waited < GRACE, f"it took {ended.waited:.1f} s to end")
        # A second Ctrl-C while the first one's decoding processes are ended may be shown by Python as ignored.
        shown = ended.error.split("Exception ignored in")
        self.tally.ignored += len(shown) - 1
        self._check(name, "Traceback" not in shown[0] and (len(shown) == 1 or name != "SIGINT"), ended.error)
        self._check(name, ended.status in (0, 130), f"status {ended.status}: {ended.error}")
        if ended.status == 0:
            return False
        last = (ended.error.strip().splitlines() or [""])[-1]
        self.tally.said[last] += 1
        self._check(name, last in (KEPT, "interrupted"), ended.error)
        return True

    def _go_on(self, name: str) -> None:
        wrong = ask(partial(look, self._home / "store", 0))
        self._check(name, not wrong, f"right after: {wrong}")
        ended = disturbed(self._home, self._corpus, lambda _: None)
        self._check(name, ended.status == 0, f"again: status {ended.status}: {ended.error}")
        wrong = ask(partial(_difference, self._home / "store", self._want))
        self._check(name, not wrong, f"at the end: {wrong}")

    def _check(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            self.tally.wrong.append(f"{name}: {what}")


def _contents(store: Path) -> int:
    with Store(store).reading() as con:
        return int(con.value("SELECT count(DISTINCT content_sha256) FROM images"))


def _difference(got: Path, want: Path) -> str | None:
    return difference(everything(Store.open(got)), everything(Store.open(want)))


def main() -> None:
    """Print what was tried, and end with 1 where something did not hold."""
    times, seed, images = [int(argument) for argument in sys.argv[1:]] + [12, 0, 24][len(sys.argv) - 1 :]
    warm_up()
    folder = Path(tempfile.mkdtemp(prefix="shotdex-signals-"))
    tally = Signals(folder, seed, images).run(times)
    if not tally.wrong:
        shutil.rmtree(folder)
    print(json.dumps(vars(tally), indent=2))
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
