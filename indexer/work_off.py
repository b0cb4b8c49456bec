"""Work that is handed out to workers which may die: each task in the end done, or given up and named.

This is the loop that Ray drives, without Ray: a `Crew` starts workers, gives them tasks and says what became of them. A
task whose worker dies is tried three times, then halved, and the halves are tried once each, until a half that is small
enough to be named is given up. Results come in the order of the tasks, whichever was done first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shotdex.store.errors import StoreError

TRIES = 3
"""How often a task may lose its worker before it is halved."""

LEAST = 64
"""Images of a part that is not halved any more."""

START_SECONDS = 110.0
"""Seconds to wait for a first worker to start, so that whoever waits knows within two minutes."""

POLL = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """Images `first` to `last` (not included) of part `number`; `tries` are left before it is halved or given up."""

    number: int
    first: int
    last: int
    tries: int = field(default=TRIES, compare=False)

    def halves(self) -> tuple[Task, Task]:
        """Return both halves, to be tried once each."""
        middle = (self.first + self.last) // 2
        return Task(self.number, self.first, middle, 1), Task(self.number, middle, self.last, 1)


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a worker: it is `ready`, has `done` its task with `value` as result, or is `lost`, and why."""

    worker: int
    kind: str
    value: str = ""


class Crew(Protocol):
    """Workers somewhere. A worker is known by a number."""

    def start(self) -> int:
        """Ask for a worker; it is used once it is ready, and never where there is no room for it."""

    def give(self, worker: int, task: Task) -> None:
        """Let a worker that is ready begin a task."""

    def wait(self, seconds: float) -> Sequence[Event]:
        """Return what happened, after up to so many seconds.

        Raises:
            ShotdexError: what went wrong would go wrong with any worker.
        """

    def lacking(self) -> str:
        """Return what was asked for, and what there is, as the end of an error message."""


@dataclass(slots=True)
class _State:
    """`order` are the tasks whose results have not been yielded, `finished` what came of those that are done.

    `deaths` counts workers that died as they started, in a row, the last of them because of `why`.
    """

    order: deque[Task]
    waiting: list[Task]
    finished: dict[Task, str | None] = field(default_factory=dict)
    starting: set[int] = field(default_factory=set)
    idle: list[int] = field(default_factory=list)
    busy: dict[int, Task] = field(default_factory=dict)
    deaths: int = 0
    why: str = ""

    def take(self, event: Event, note: Callable[[str], None]) -> None:
        """Take in what became of a worker."""
        task = self.busy.pop(event.worker, None)
        if event.kind == "lost":
            self.deaths, self.why = self.deaths + (event.worker in self.starting), event.value
            self.idle = [one for one in self.idle if one != event.worker]
            if task is not None:
                self.give_back(task, note, event.value)
        else:
            self.deaths = 0
            self.idle.append(event.worker)
            if task is not None:
                self.finished[task] = event.value
        self.starting.discard(event.worker)

    def give_back(self, task: Task, note: Callable[[str], None], why: str) -> None:
        """Take back a task whose worker died."""
        images = task.last - task.first
        left = task.tries - 1
        if left > 0:
            note(f"part {task.number}: its worker died ({why}); try {TRIES - left + 1} of {TRIES}")
            at = self.order.index(task)
            self.order[at] = again = Task(task.number, task.first, task.last, left)
            self.waiting.append(again)
        elif images > LEAST:
            note(f"part {task.number}: {images:,} images were given up after their workers died; trying both halves")
            at = self.order.index(task)
            halves = task.halves()
            del self.order[at]
            for half in reversed(halves):
                self.order.insert(at, half)
            self.waiting += halves
        else:
            note(f"part {task.number}: {images:,} images are given up because their workers died ({why})")
            self.finished[task] = None
        self.waiting.sort()


def work_off(
    tasks: Sequence[Task], crew: Crew, workers: int, note: Callable[[str], None], start_seconds: float = START_SECONDS
) -> Iterator[tuple[Task, str | None]]:
    """Yield each task with its result, in the order of the tasks; None for one that was given up.

    Raises:
        StoreError: no worker can start, or all die as they start.
        ShotdexError: whatever the crew raises.
    """
    state = _State(deque(tasks), sorted(tasks))
    last_ready = time.monotonic()
    while state.order:
        alive = len(state.starting) + len(state.idle) + len(state.busy)
        for _ in range(min(workers, len(state.waiting) + len(state.busy)) - alive):
            state.starting.add(crew.start())
        while state.idle and state.waiting:
            worker, task = state.idle.pop(), state.waiting.pop(0)
            state.busy[worker] = task
            crew.give(worker, task)
        for event in crew.wait(POLL):
            state.take(event, note)
        if state.deaths > TRIES * workers:
            raise StoreError(f"workers die on startup: {state.why}", "look at the cluster's logs")
        if state.idle or state.busy:
            last_ready = time.monotonic()
        elif state.waiting and time.monotonic() - last_ready > start_seconds:
            raise StoreError(
                f"no worker could start in {start_seconds:.0f} s: {crew.lacking()}",
                "reduce --gpus-per-worker and --cpus-per-worker, or add nodes; everything done so far is kept",
            )
        while state.order and state.order[0] in state.finished:
            task = state.order.popleft()
            yield task, state.finished.pop(task)
