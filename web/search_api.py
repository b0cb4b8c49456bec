"""`/api/search`: images by text, by image, by labels and by what runs made of them."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, File, Query, Response, UploadFile
from pydantic import Field

from shotdex.exploring import QueryParts
from shotdex.snapshot import RunOutcomes, Snapshot
from shotdex.store.engines.base import Filter
from shotdex.store.engines.many import Request
from shotdex.store.engines.vector_index import VectorIndex
from shotdex.store.types import Ids, Vectors

from .filters import Filters, Text
from .served import Served

MOST = 500
"""Images in one answer."""

REACH = 10_000
"""How far one can go through the hits of a query."""


class SearchQuery(Filters):
    """What to look for, and among which images.

    Texts and images are added as unit vectors, `minus` texts subtracted; `weight` has the weights of the texts in
    `text`, in order, 1 for the rest. `image_id` is an image of the store, which is left out of its own hits with its
    exact copies. Without text and image the images that pass the filters are listed by `sort`: id, or with a run
    confidence (the probability of the predicted class, highest first) or margin (that minus the true class's).
    """

    text: list[Text] = Field(default=[], max_length=20)
    minus: list[Text] = Field(default=[], max_length=20)
    weight: list[Annotated[float, Field(ge=-100, le=100)]] = Field(default=[], max_length=20)
    image_id: list[Annotated[int, Field(ge=0, le=2**62)]] = Field(default=[], max_length=20)
    space: Literal["joint", "vision"] = "joint"
    model: Text | None = None
    min_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    sort: Literal["id", "confidence", "margin"] = "id"
    k: Annotated[int, Field(ge=1, le=MOST)] = 50
    cursor: Annotated[str, Field(pattern=r"^[0-9]{0,9}$")] = ""

    def parts(self) -> QueryParts:
        """Return the texts and images of the store."""
        weights = [*self.weight, *[1.0] * len(self.text)]
        texts = [(text, weight) for text, weight in zip(self.text, weights, strict=False) if text.strip()]
        texts += [(text, -1.0) for text in self.minus if text.strip()]
        return QueryParts(tuple(texts), tuple((one, 1.0) for one in self.image_id))


def router(served: Served) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["search"])

    @routes.get("/search", dependencies=[Depends(served.unchanged)])
    def search(query: Annotated[SearchQuery, Query()]) -> Response:
        """Return the images nearest to a query, best first, ties by id; or those that pass the filters."""
        return served.answer(find(served, query, query.parts()))

    @routes.post("/search")
    def search_by_upload(
        query: Annotated[SearchQuery, Query()],
        image: Annotated[UploadFile, File(description="The image to look for; the header X-Shotdex: 1 is needed.")],
    ) -> Response:
        """Return the images nearest to an uploaded one, together with texts and images of the store.

        Of an image that the store has, the stored vector is taken, and it and its exact copies are left out.
        """
        data = image.file.read()
        stored = served.snapshot.images.copies(np.empty(0, np.int64), hashlib.sha256(data).hexdigest())
        if len(stored):  # as if it were named by its id: its vector is on record, and it is not among its own hits
            query = query.model_copy(update={"image_id": [*query.image_id, int(stored[0])]})
            return served.answer(find(served, query, query.parts()))
        parts = query.parts()
        parts = QueryParts(parts.texts, parts.image_ids, ((served.previews.decode(data), 1.0),))
        return served.answer(find(served, query, parts))

    return routes


def find(served: Served, query: SearchQuery, parts: QueryParts) -> dict[str, Any]:
    """Return the answer to a query."""
    session, start = served.session, int(query.cursor or 0)
    # Another thread may renew both meanwhile: the images and their vectors are those of one moment.
    snapshot, index = session.snapshot_with_index(query.model) if parts else (session.snapshot(), None)
    kept = served.select(query.selection(), snapshot)
    if parts:
        own = snapshot.images.copies(np.array(query.image_id, np.int64))
        ids, cosines = _nearest(served, query, parts, kept, index, own)
        ids, cosines = ids[: start + query.k], cosines[: start + query.k]
        present = np.isin(ids, snapshot.images.ids)
        ids, cosines = ids[present], cosines[present]
        among = snapshot.images.ids if kept is None else kept
        total = len(among) - int(np.isin(own, among).sum())
        more = len(ids) == start + query.k < min(total, REACH)
        cosines = cosines[start:]
    else:
        listed = _sorted(snapshot, query, snapshot.images.ids if kept is None else kept)
        ids, total, more = listed[: start + query.k], len(listed), len(listed) > start + query.k
        cosines = np.full(max(0, len(ids) - start), np.nan, np.float32)
    hits = records(snapshot, ids[start:], query.run, query.against)
    for rank, (hit, cosine) in enumerate(zip(hits, cosines.tolist(), strict=True), start + 1):
        hit |= {"rank": rank, "cosine": cosine}
    return {
        "generation": snapshot.generation,
        "images": len(snapshot.images.ids),
        "total": total,
        "cursor": str(start + query.k) if more else None,
        "hits": hits,
    }


def _nearest(
    served: Served, query: SearchQuery, parts: QueryParts, kept: Ids | None, index: VectorIndex | None, own: Ids
) -> tuple[Ids, Vectors]:
    """Return the images of this page and all before it, without `own`."""
    session, count = served.session, min(int(query.cursor or 0) + query.k, REACH) + len(own)
    if query.space == "vision" or index is None:
        rows = session.vision_rows(query.model)
        vector = session.vision_vector(parts, query.model)
        positions = rows.positions(Filter(ids=kept))
        ids, cosines = rows.best(vector, min(count, len(positions)), positions)
    else:
        vector = session.query_vector(parts, query.model)
        ids, cosines = served.batcher.search(index, Request(vector, count, Filter(ids=kept)))
    over = ~np.isin(ids, own)
    if query.min_score is not None:
        over &= cosines >= query.min_score
    return ids[over], cosines[over]


def _sorted(snapshot: Snapshot, query: SearchQuery, ids: Ids) -> Ids:
    if query.sort == "id":
        return ids
    run = snapshot.run(query.run)
    ids = np.intersect1d(ids, run.ids, assume_unique=True)
    at = np.searchsorted(run.ids, ids)
    key = run.probability[at] - (np.nan_to_num(run.true_probability[at]) if query.sort == "margin" else 0)
    return ids[np.lexsort((ids, -key))]


def records(snapshot: Snapshot, ids: Ids, run: str | None = None, against: str | None = None) -> list[dict[str, Any]]:
    """Return images as the API describes them: labels, size, and what a run and another one made of each."""
    found = snapshot.images.records(ids)
    for name, suffix in ((run, ""), (against, "_against")):
        if name is not None:
            judged = _judgements(snapshot.run(name), ids)
            for one in found:
                one |= {f"{key}{suffix}": value for key, value in judged.get(one["image_id"], {}).items()}
    return found


def _judgements(run: RunOutcomes, ids: Ids) -> dict[int, dict[str, Any]]:
    places = np.searchsorted(run.ids, ids)
    found = {}
    for image_id, place in zip(ids.tolist(), places.tolist(), strict=True):
        if place < len(run.ids) and run.ids[place] == image_id:
            known = bool(run.truth[place] >= 0)
            found[image_id] = {
                "predicted": run.classes[run.predicted[place]],
                "correct": bool(run.correct[place]) if known else None,
                "true_rank": int(run.rank[place]) if known else None,
                "probability": float(run.probability[place]),
                "true_probability": float(run.true_probability[place]),
                "gap": float(run.cosine[place] - run.true_cosine[place]),
                "prompt": run.texts[run.prompt[place]],
            }
    return found
