"""An indexing whose images are encoded in parts elsewhere: a plan becomes tasks, and their shards come in order."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from shotdex.store.encoded_batch import batch_schema
from shotdex.store.errors import StoreError
from shotdex.store.types import Reason

from .encode_parts import CANDIDATE, DIGEST, Recipe, file_name, is_there
from .place import Place
from .plan import Plan
from .shard_header import Header
from .shards import Shard, find_shard, write_shard
from .work_off import Crew, Task, work_off

LEAST_ROWS, MOST_ROWS, PARTS = 256, 16_384, 64
"""Images of a part: a 64th of the source within these bounds, so that a small source, too, is spread."""

DIED = "every worker that read this image, or others of its part, died"


@dataclass(slots=True)
class Spread:
    """The parts of a plan at a place. A part is a range of the scan, so it stays the same when others are done.

    `given_up` are the numbers of parts with images that were given up.
    """

    plan: Plan
    recipe: Recipe
    place: Place
    rows: int
    given_up: list[int]

    def shards(self, crew: Crew, workers: int, note: Callable[[str], None]) -> Iterator[Shard]:
        """Yield the shards of all parts that have work, in order; those that are there are not encoded again."""
        tasks = self._tasks()
        there = {task for task in tasks if is_there(self.place, self._header(task))}
        left = [task for task in tasks if task not in there]
        if there:
            note(f"{len(there):,} of {len(tasks):,} parts are encoded already")
        done = work_off(left, crew, workers, note)
        for task in tasks:
            if task in there:
                yield self._shard(file_name(self._header(task)))
                continue
            reached = task.first
            while reached < task.last:  # a part that was halved comes in several
                part, name = next(done)
                yield self._shard(name) if name is not None else self._lost(part)
                reached = part.last

    def payload(self, task: Task) -> str:
        """Return a task as a worker gets it."""
        header = replace(self._header(task), sha256="written by the worker")
        return json.dumps({"header": json.loads(header.as_json()), "said": self._said(task).to_pydict()})

    def _tasks(self) -> list[Task]:
        con = self.plan.inventory.con
        # `scan_step` is where an image stands in the scan, which what has been done does not change.
        con.run(
            "CREATE TABLE spread AS SELECT w.* EXCLUDE (step), w.step AS work_step, c.step AS step "
            "FROM work w JOIN candidates c USING (address)"
        )
        counts = dict(con.rows(f"SELECT step // {self.rows}, count(*) FROM spread GROUP BY 1"))
        return [Task(number, 0, counts[number]) for number in sorted(counts)]

    def _where(self, task: Task) -> str:
        low, high = task.number * self.rows, (task.number + 1) * self.rows
        within = f"SELECT step FROM spread WHERE step >= {low} AND step < {high} ORDER BY step"
        return f"step IN ({within} LIMIT {task.last - task.first} OFFSET {task.first})"

    def _said(self, task: Task) -> pa.Table:
        return self.plan.inventory.con.table(
            "SELECT address, $source AS source, category, condition, split, metadata, size_bytes, modified_ns "
            f"FROM spread WHERE {self._where(task)} ORDER BY step",
            {"source": self.plan.source},
        )

    def _header(self, task: Task) -> Header:
        query = DIGEST.format(columns=CANDIDATE, table="spread", where=self._where(task))
        parts = -(-self.recipe.images // self.rows)
        return self.recipe.header(task.number, parts, 0, 1, repr(self.plan.inventory.con.rows(query)))

    def _shard(self, name: str) -> Shard:
        found = find_shard(self.place, name)
        if found is None:
            raise StoreError(
                f"{self.place.named(name)} was written by a worker but cannot be read here",
                "pass a folder that all nodes and this machine share, or a bucket: --out PLACE",
            )
        return found

    def _lost(self, task: Task) -> Shard:
        """Write a shard of failures for images that were given up."""
        self.given_up.append(task.number)
        header = self._header(task)
        header = replace(header, key=f"{header.key}-lost")
        said, schema = self._said(task), batch_schema(self.recipe.encoder.id)
        failure = {"reason": Reason.UNREADABLE.value, "stage": "read", "detail": DIED}
        columns = {name: said.column(name) for name in said.schema.names}
        columns |= {
            column.name: pa.nulls(len(said), column.type) for column in schema if column.name not in said.schema.names
        }
        columns["failure"] = pa.array([failure] * len(said), schema.field("failure").type)
        name = file_name(header).replace(".parquet", "-lost.parquet")
        write_shard(self.place, name, header, pa.table(columns, schema))
        return self._shard(name)


def part_rows(images: int) -> int:
    """Return how many images a part has, by the size of the source alone."""
    return min(max(-(-images // PARTS), LEAST_ROWS), MOST_ROWS)


@contextmanager
def probe(place: Place, store: str) -> Iterator[str]:
    """Put a file into a folder by which a worker sees that it has the same; no name for a bucket, which all can see.

    A store always has the same one, which an indexing that was killed leaves to the next.
    """
    if place.in_bucket:
        yield ""
        return
    whose = f"{socket.gethostname()} {store}"
    folder, name = Path(place.url), f".probe-{hashlib.sha256(whose.encode()).hexdigest()[:12]}"
    place.make()
    (folder / name).touch()
    try:
        yield name
    finally:
        (folder / name).unlink(missing_ok=True)
