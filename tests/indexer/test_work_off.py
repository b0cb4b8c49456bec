"""Tasks handed out to workers that die, come late or never start: all done or given up, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotdex.indexer import work_off as module
from shotdex.indexer.work_off import LEAST, TRIES, Event, Task, work_off
from shotdex.store.errors import StoreError


@dataclass
class FakeCrew:
    """A cluster without machines: what happens next is drawn. `poison` are images that kill whoever takes them.

    `deaths` are how many workers die by chance, `room` is how many can run at once.
    """

    random: Random
    room: int
    deaths: int
    poison: frozenset[tuple[int, int]] = frozenset()
    waiting: list[int] = field(default_factory=list)
    running: dict[int, Task | None] = field(default_factory=dict)
    begun: Counter[Task] = field(default_factory=Counter)
    ended: Counter[Task] = field(default_factory=Counter)
    number: int = 0

    def start(self) -> int:
        self.number += 1
        self.waiting.append(self.number)
        return self.number

    def give(self, worker: int, task: Task) -> None:
        assert self.running[worker] is None, "it has ended what it began"
        self.running[worker] = task
        self.begun[task] += 1

    def wait(self, seconds: float) -> Sequence[Event]:
        if self.waiting and len(self.running) < self.room and self.random.random() < 0.6:
            worker = self.waiting.pop(self.random.randrange(len(self.waiting)))
            if self.deaths and self.random.random() < 0.25:
                self.deaths -= 1
                return [Event(worker, "lost", "died as it started")]
            self.running[worker] = None
            return [Event(worker, "ready")]
        busy = [worker for worker, task in self.running.items() if task is not None]
        if not busy:
            return []
        worker = self.random.choice(busy)
        task = self.running[worker]
        assert task is not None
        poisoned = any(part == task.number and task.first <= image < task.last for part, image in self.poison)
        if poisoned or (self.deaths and self.random.random() < 0.33):
            self.deaths -= not poisoned
            del self.running[worker]
            return [Event(worker, "lost", "killed")]
        self.running[worker] = None
        self.ended[task] += 1
        return [Event(worker, "done", f"{task.number}:{task.first}-{task.last}")]

    def lacking(self) -> str:
        return "each worker needs 1 GPU, the cluster has none"


@settings(max_examples=20)
@given(st.lists(st.integers(1, 3 * LEAST), min_size=1, max_size=8), st.integers(0, 5), st.integers(1, 4), st.randoms())
def test_whatever_dies_everything_is_done_once_and_in_order(
    sizes: list[int], deaths: int, room: int, random: Random
) -> None:
    parts, crew = len(sizes), FakeCrew(random, room, deaths)
    tasks = [Task(number, 0, images) for number, images in enumerate(sizes)]
    found = list(work_off(tasks, crew, random.randint(1, 6), lambda _: None))
    assert [task for task, _ in found] == sorted(task for task, _ in found)
    covered = {
        number: [(task.first, task.last) for task, _ in found if task.number == number] for number in range(parts)
    }
    for number, task in enumerate(tasks):
        assert [first for first, _ in covered[number]] == [0, *(last for _, last in covered[number])][:-1]
        assert covered[number][-1][1] == task.last
    assert sum(crew.begun.values()) - sum(crew.ended.values()) <= deaths, "only what was in flight is repeated"
    assert all(count == 1 for count in crew.ended.values())
    for task, name in found:
        assert name in (None, f"{task.number}:{task.first}-{task.last}")


@settings(max_examples=10)
@given(st.integers(1, 8 * LEAST), st.randoms())
def test_poison_is_narrowed_down_and_the_rest_goes_on(images: int, random: Random) -> None:
    bad = random.randrange(images)
    crew = FakeCrew(random, 3, 0, frozenset({(1, bad)}))
    notes: list[str] = []
    tasks = [Task(number, 0, images) for number in range(4)]
    found = list(work_off(tasks, crew, 3, notes.append))
    lost = [task for task, name in found if name is None]
    assert len(lost) == 1
    assert (lost[0].number, lost[0].first <= bad < lost[0].last) == (1, True)
    assert lost[0].last - lost[0].first <= LEAST
    assert crew.begun[tasks[1]] == TRIES
    assert {task.number for task, name in found if name is not None} >= {0, 2, 3}
    assert any("part 1" in note and "try 3 of 3" in note for note in notes)


def test_no_room_is_said_with_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    crew = FakeCrew(Random(0), 0, 0)
    with pytest.raises(StoreError, match=r"no worker could start in 110 s: each worker needs 1 GPU"):
        list(work_off([Task(0, 0, 5)], crew, 2, lambda _: None))
    assert module.START_SECONDS <= 115


def test_workers_that_all_die_as_they_start() -> None:
    class Dying(FakeCrew):
        def wait(self, seconds: float) -> Sequence[Event]:
            return [Event(self.waiting.pop(), "lost", "no such library")] if self.waiting else []

    with pytest.raises(StoreError, match="die on startup: no such library"):
        list(work_off([Task(0, 0, 5)], Dying(Random(0), 1, 0), 2, lambda _: None))
