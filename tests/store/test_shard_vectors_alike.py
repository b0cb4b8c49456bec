"""Whatever happens to a store, it gives the same answers with its vectors in the catalog and in shards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import shotdex
from shotdex.session import Session
from shotdex.store.errors import ShotdexError
from shotdex.store.store import Store
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import noise, save_noise

EXAMPLES = int(os.environ.get("SHOTDEX_TESTS_EXAMPLES", "2"))
"""With more examples it looks further: SHOTDEX_TESTS_EXAMPLES=100."""

ENCODERS = (fake_id(), fake_id("other", "2" * 64))

Step = tuple[Any, ...]

_SOURCE, _FILE = st.sampled_from("ab"), st.integers(0, 7)

STEPS = st.tuples(
    st.tuples(st.just("copy"), st.just("a"), _FILE, st.just("b")),
    st.tuples(st.just("shards"), st.just("b"), st.integers(0, 1), st.booleans(), st.booleans()),
    st.tuples(st.sampled_from(["replace", "broken", "new", "delete"]), st.just("a"), _FILE),
    st.one_of(
        st.tuples(st.just("remove images"), st.integers(2, 5)),
        st.tuples(st.just("remove source"), _SOURCE),
        st.tuples(st.just("remove encoder"), st.integers(0, 1)),
        st.tuples(st.just("direct"), _SOURCE, st.integers(0, 1)),
    ),
    st.tuples(st.sampled_from(["prune", "repair", "compact", "classify", "lose indexes"])),
    st.one_of(st.tuples(st.just("move stores")), st.tuples(st.just("move place"), _SOURCE)),
).flatmap(st.permutations)


class Twins:
    """Two stores to which the same happens, one with its vectors in the catalog and one in shards."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.moves = 0
        self.places: dict[tuple[str, int], Path] = {}
        for source in "ab":
            for i in range(5):
                save_noise(root / source / f"cat{i % 2}" / f"{i}.png", seed=i if i < 2 else i + 10 * ord(source))

    @property
    def stores(self) -> list[Path]:
        return [self.root / f"stores{self.moves}" / kind for kind in ("catalog", "shards")]

    def take(self, step: Step) -> None:
        """Do one thing to both stores, or to the images; what is refused, both refuse."""
        name, *arguments = step
        work = getattr(self, f"_{name.replace(' ', '_')}", None)
        if work is not None:
            work(*arguments)
        else:
            self._both(lambda store, _: ACTIONS[name](store, *arguments))

    def _both(self, work: Callable[[Session, str], Any]) -> None:
        done = []
        for path in self.stores:
            try:
                done.append(work(Session(Store(path)), path.name))
            except ShotdexError as error:
                done.append((type(error), str(error).replace(str(path), "STORE")))
        assert done[0] == done[1]

    def _shards(self, source: str, encoder: int, backwards: bool, in_catalog: bool) -> None:
        parts = 2 if source == "a" else 1
        place = self.places.setdefault((source, encoder), self.root / f"place {source}{encoder}")
        for part in sorted(range(parts), reverse=backwards):
            options = {"model": FakeEncoder(ENCODERS[encoder]), "part_rows": 3}
            shotdex.encode(self.root / source, part=(part, parts), out=place, **options)
        self._index(place, in_catalog)

    def _index(self, place: Path, in_catalog: bool = False) -> None:
        def index(store: Session, kind: str) -> Any:
            report = store.index(place, model=None, vectors="catalog" if in_catalog else kind)
            return report.added, report.removed, report.moved, report.changed, report.failed

        self._both(index)

    def _direct(self, source: str, encoder: int) -> None:
        self._both(
            lambda store, _: [
                getattr(store.index(self.root / source, model=FakeEncoder(ENCODERS[encoder])), name)
                for name in ("added", "removed", "moved", "changed", "failed")
            ]
        )

    def _move_place(self, source: str) -> None:
        for (of, encoder), place in [*self.places.items()]:
            if of == source and place.is_dir():
                self.places[of, encoder] = place.rename(place.with_name(f"{place.name}+"))
                self._index(self.places[of, encoder])

    def _remove_source(self, source: str) -> None:
        self._both(lambda store, _: store.remove(source=self.root / source).images)

    def _move_stores(self) -> None:
        before = self.root / f"stores{self.moves}"
        self.moves += 1
        if before.is_dir():
            before.rename(self.root / f"stores{self.moves}")

    def _lose_indexes(self) -> None:
        for store in self.stores:
            shutil.rmtree(store / "index", ignore_errors=True)

    def _file(self, source: str, number: int) -> Path:
        files = sorted((self.root / source).rglob("*.png"))
        return files[number % len(files)]

    def _new(self, source: str, number: int) -> None:
        save_noise(self.root / source / f"cat{number % 2}" / f"new{number}.png", seed=number + 50)

    def _replace(self, source: str, number: int) -> None:
        noise(number + 70).save(self._file(source, number))

    def _broken(self, source: str, number: int) -> None:
        self._file(source, number).write_bytes(b"\x89PNG\r\n\x1a\n")

    def _delete(self, source: str, number: int) -> None:
        if len([*(self.root / source).rglob("*.png")]) > 3:
            self._file(source, number).unlink()

    def _copy(self, source: str, number: int, to: str) -> None:
        data = self._file(source, number).read_bytes()
        (self.root / to / "cat0" / f"copy{number}.png").write_bytes(data)

    def index_again(self) -> None:
        """Encoding a source again deletes its earlier shards, in which images of the other may have their vectors."""
        for source, encoder in [*self.places]:
            self._shards(source, encoder, False, False)

    def check(self) -> None:
        """Everything that reads vectors gets the same from both, and both are whole."""
        if not all(store.is_dir() for store in self.stores):
            return
        for path in self.stores:
            found = verify(path, VerifyOptions())
            wrong = [f"{check.name}: {check.text}" for check in found.checks if not check.ok]
            assert not [one for one in wrong if not one.startswith("coverage")], (path, wrong)
        of_catalog, of_shards = (Session(Store.open(path)) for path in self.stores)
        known = {one.encoder.name for one in of_catalog.status().encoders}
        assert known == {one.encoder.name for one in of_shards.status().encoders}
        for encoder in ENCODERS:
            for what, answer in ANSWERS.items() if encoder.name in known else ():
                assert _said(answer, of_catalog, encoder) == _said(answer, of_shards, encoder), (encoder.name, what)


ACTIONS: dict[str, Callable[..., Any]] = {
    "prune": lambda store: store.prune().images,
    "repair": lambda store: verify(store.store.root, VerifyOptions(repair=True)).whole,
    "compact": lambda store: store.store.compact(),
    "classify": lambda store: [
        store.classify("cat0,cat1", name=one.name, model=FakeEncoder(one), replace=True).name for one in ENCODERS
    ],
    "remove images": lambda store, nth: store.remove(where=f"image_id % {nth} = 0").images,
    "remove encoder": lambda store, which: store.remove(encoder=ENCODERS[which].name).images,
}


def _said(answer: Callable[..., Any], store: Session, encoder: Any) -> Any:
    try:
        return answer(store, encoder.name, FakeEncoder(encoder))
    except ShotdexError as error:
        return type(error), str(error).replace(str(store.path), "STORE")


def _hits(found: Any) -> list[Any]:
    return [(hit.image_id, hit.cosine) for hit in found]


def _table(store: Session, name: str) -> str:
    number = store.sql(f"SELECT encoder_id FROM encoders WHERE name = '{name}'")[0][0]
    return f"vectors_{number} v SEMI JOIN images USING (image_id)"


ANSWERS: dict[str, Callable[..., Any]] = {
    "text": lambda store, _, model: _hits(store.search("red", k=9, model=model, where="category = 'cat0'", exact=True)),
    "like": lambda store, name, _: _hits(store.search(like=_one(store), k=9, model=name)),
    "joint vectors": lambda store, name, _: [part.tobytes() for part in store.vectors(model=name)],
    "vision vectors": lambda store, name, _: [part.tobytes() for part in store.vectors(model=name, space="vision")],
    "some vectors": lambda store, name, _: [
        part.tobytes() for part in store.vectors(model=name, where="image_id IN (1, 4, 5)")
    ],
    "sql": lambda store, name, _: list(
        store.sql(
            f"SELECT image_id, joint::VARCHAR, vision::VARCHAR, content_hash FROM {_table(store, name)} ORDER BY 1"
        )
    ),
    "duplicates": lambda store, name, _: list(store.duplicates(threshold=0.3, limit=99, model=name)),
    "probe": lambda store, name, _: [
        (row.kind, row.estimate) for row in store.probe(few_shot=[1], draws=1, model=name)
    ],
    "outcomes": lambda store, name, _: list(
        store.sql("SELECT * EXCLUDE (run_id) FROM outcomes ORDER BY run, image_id")
    ),
    "status": lambda store, name, _: [(one.encoder.name, one.images) for one in store.status().encoders],
}


def _one(store: Session) -> int:
    return int(store.sql("SELECT min(image_id) FROM images")[0][0])


@settings(
    max_examples=EXAMPLES, phases=[Phase.generate], derandomize=EXAMPLES < 5
)  # making a failure smaller takes minutes
@given(STEPS)
def test_the_same_answers_whatever_happens(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        for step in [("shards", "a", 0, False, False), *steps]:
            twins.take(step)
        twins.index_again()
        twins.check()
