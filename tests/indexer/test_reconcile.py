"""Placing by columns against placing image by image."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.indexer.contents import ContentTable, Vanished, keys_of
from shotdex.indexer.decode_pool import Decoded
from shotdex.indexer.pipeline import RESULTS, Pipeline
from shotdex.indexer.reconcile import KNOWN, Placer, failures_of
from shotdex.models.protocols import Prepared
from shotdex.store.encoded_batch import PLACEMENT, batch_schema
from shotdex.store.errors import StoreError
from shotdex.store.image_columns import PHOTO
from shotdex.store.images import Labels
from shotdex.store.types import Failure, Ids, ImageVectors, Reason
from tests.support.fakes import DIM, VISION_DIM, fake_id

from . import row_placer as rows

CONTENTS, ADDRESSES = 6, 8
SCHEMA = batch_schema(fake_id())


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@dataclass(frozen=True)
class Image:
    """A row of the catalog."""

    image_id: int
    address: int
    content: int
    encoded: bool
    present: bool


@dataclass(frozen=True)
class Item:
    """What is at an address now: a content, or a failure in a stage."""

    address: int
    content: int
    stage: str | None
    same_file: bool


@dataclass(frozen=True)
class Case:
    """`spoiled` are contents that the model answers with NaN; `cuts` say how many items are committed at once."""

    catalog: tuple[Image, ...]
    items: tuple[Item, ...]
    spoiled: frozenset[int]
    cuts: tuple[int, ...]
    elsewhere: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    numbers, addresses, truth = st.integers(0, CONTENTS - 1), st.integers(0, ADDRESSES - 1), st.booleans()
    spoiled = draw(st.frozensets(numbers, max_size=2))
    some = draw(st.lists(st.tuples(addresses, numbers, truth, truth), max_size=8))
    catalog = [
        Image(i + 1, at, what, yes and what not in spoiled, there) for i, (at, what, yes, there) in enumerate(some)
    ]
    where = draw(st.permutations(range(ADDRESSES)))[: draw(st.integers(0, ADDRESSES))]
    stages = st.sampled_from([None, None, None, None, "read", "decode", "encode"])
    items = [Item(at, draw(numbers), draw(stages), draw(truth)) for at in where]
    cuts = draw(st.lists(st.integers(1, 4), min_size=ADDRESSES, max_size=ADDRESSES))
    return Case(tuple(catalog), tuple(items), spoiled, tuple(cuts), draw(truth))


class Echo:
    """An encoder whose images are their vectors."""

    id = fake_id()

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        return ImageVectors(*(np.stack([one[name] for one in batch]) for name in ("joint", "vision")))


def known_at(case: Case, address: int) -> Image | None:
    return max((one for one in case.catalog if one.address == address), key=lambda one: one.image_id, default=None)


def vanished(case: Case) -> list[Image]:
    """Every second encoded image that is at no address that is looked at."""
    at = {item.address for item in case.items}
    gone = [one for one in case.catalog if one.present and one.encoded and one.address not in at]
    return gone[::2]


def owners(case: Case) -> dict[int, int]:
    first: dict[int, int] = {}
    for one in case.catalog:
        if one.encoded:
            first.setdefault(one.content, one.image_id)
    return first


def prepared(case: Case, number: int) -> Prepared:
    joint, vision = np.full(DIM, number, np.float32), np.full(VISION_DIM, number, np.float32)
    if number in case.spoiled:
        joint[number % DIM] = np.nan
    return {"joint": joint, "vision": vision}


def planned(case: Case, item: Item) -> rows.Planned:
    known = known_at(case, item.address)
    on_record = None
    if known is not None:
        same_file = item.same_file and not (known.encoded and item.stage is None)
        on_record = rows.KnownImage(known.image_id, content(known.content), known.encoded, known.present, same_file)
    return rows.Planned(f"/p/{item.address}", item.content, 7, Labels(f"c{item.address}"), None, on_record)


def failure(item: Item) -> Failure:
    assert item.stage is not None
    return Failure(f"/p/{item.address}", item.stage, Reason.CORRUPT, "broken")


def decoded(case: Case, item: Item, known: bool) -> Decoded:
    size = (0, 0) if known else (item.content + 1, item.content + 2)
    vectors = None if known else prepared(case, item.content)
    return Decoded(f"/p/{item.address}", content(item.content), *size, vectors)


def by_rows(case: Case) -> list[rows.Encoded]:
    table, gone = rows.ContentTable(), rows.ContentTable()
    for number, image_id in owners(case).items():
        table.extend([content(number)], [rows.Owner(image_id, number + 1, number + 2)])
    for one in vanished(case):
        gone.extend([content(one.content)], [rows.Owner(one.image_id)])
    placer = rows.Reconciler("/p", SCHEMA, table, gone, len(case.catalog) + 1)
    flights = []
    for number, item in enumerate(case.items):
        if item.stage is not None:
            placer.refuse(planned(case, item), failure(item))
        else:
            placer.place(planned(case, item), decoded(case, item, content(item.content) in table))
        if number % 3 == 2:
            flights.append(placer.launch(Echo()))  # type: ignore[arg-type]
    flights.append(placer.launch(Echo()))  # type: ignore[arg-type]
    return [flight.finish() for flight in flights]


def column_placer(case: Case) -> Placer:
    def table(found: dict[int, int] | list[Image]) -> tuple[pa.ChunkedArray, Ids]:
        pairs = found.items() if isinstance(found, dict) else [(one.content, one.image_id) for one in found]
        numbers = [content(number) for number, _ in pairs]
        return pa.chunked_array([pa.array(numbers, pa.string())]), np.array(
            [image_id for _, image_id in pairs], np.int64
        )

    contents, first = ContentTable(), owners(case)
    hashes, ids = table(first)
    contents.extend(keys_of(hashes), ids, np.array([[n + 1 for n in first], [n + 2 for n in first]], np.int32))
    hashes, ids = table(vanished(case))
    return Placer(contents, Vanished(keys_of(hashes), ids), len(case.catalog) + 1)


def said(case: Case, items: Sequence[Item]) -> tuple[pa.Table, pa.Table]:
    """What the source says of some items, and what the catalog knows of their addresses."""
    ours = [planned(case, item) for item in items]
    source = {
        "address": [one.address for one in ours],
        "source": ["/p"] * len(ours),
        "category": [one.labels.category for one in ours],
        "size_bytes": [one.size_bytes for one in ours],
        "modified_ns": [one.modified_ns for one in ours],
    }
    nothing = {name: [None] * len(ours) for name in ("condition", "split", "metadata")}
    known = {name: [one.known and getattr(one.known, name) for one in ours] for name in KNOWN.names}
    return pa.table(source | nothing), pa.table(known, KNOWN)


def by_columns(case: Case) -> tuple[pa.Table, pa.Table, list[int], Counter[str]]:
    """Encode and place by columns; `elsewhere`, each part by itself, without knowing the store."""
    placer, start, parts = column_placer(case), 0, []
    for cut in case.cuts:
        items = case.items[start : start + cut]
        start += cut
        known = (lambda _: False) if case.elsewhere else placer.owners.__contains__
        pipeline = Pipeline(Echo(), SCHEMA, 2, 3, known)  # type: ignore[arg-type]
        results = []
        for item in items:
            is_known = item.stage is None and pipeline.is_known(content(item.content))
            result = failure(item) if item.stage else decoded(case, item, is_known)
            results += pipeline.add(result)
        results += pipeline.push(last=True)
        source, known_rows = said(case, items)
        whole = pa.concat_tables(results)
        columns = [
            (whole if name in RESULTS else source).column(name).cast(SCHEMA.field(name).type) for name in SCHEMA.names
        ]
        parts.append(placer.place(pa.table(columns, schema=SCHEMA), known_rows))
    return (
        pa.concat_tables(part.batch for part in parts),
        pa.concat_tables(part.placement for part in parts),
        [found for part in parts for found in part.found.tolist()],
        sum((part.counts for part in parts), Counter()),
    )


@given(case=cases())
def test_against_the_row_placer(case: Case) -> None:
    batch, placement, found, counts = by_columns(case)
    expected = by_rows(case)
    table = pa.concat_tables(part.batch for part in expected)
    places = pa.concat_tables(part.placement for part in expected)
    assert placement.schema == PLACEMENT
    assert placement.to_pylist() == places.to_pylist()
    assert batch.schema == table.schema
    vectors = ["joint", "vision"]
    apart = [*vectors, *PHOTO.names]  # what cameras wrote goes through untouched
    assert batch.drop_columns(apart).to_pylist() == table.drop_columns(apart).to_pylist()
    # A shard has vectors, too, of what the store knows already; they are not committed.
    ours = [row["image_id"] is not None and row["image_id"] == row["vectors_of"] for row in places.to_pylist()]
    for name in vectors:
        both = [one.column(name).filter(pa.array(ours, pa.bool_())).to_pylist() for one in (batch, table)]
        assert both[0] == both[1]
    assert sorted(found) == sorted(one for part in expected for one in part.found)
    assert counts == sum((part.counts for part in expected), Counter())
    assert failures_of(batch) == [one for part in expected for one in part.failures]


def test_a_copy_of_what_nobody_has_is_refused() -> None:
    case = Case((), (Item(0, 1, None, False),), frozenset(), (1,), False)
    source, known = said(case, case.items)
    nothing = dict.fromkeys(SCHEMA.names) | {"sha256": content(1), "width": 1, "height": 1}
    columns = [
        (source.column(name) if name in source.column_names else pa.chunked_array([[nothing[name]]])).cast(
            SCHEMA.field(name).type
        )
        for name in SCHEMA.names
    ]
    with pytest.raises(StoreError, match="1 rows of the encoded batch have neither"):
        column_placer(case).place(pa.table(columns, schema=SCHEMA), known)
