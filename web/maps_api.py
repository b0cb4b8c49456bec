"""`/api/maps` as Arrow streams, and `/api/selection`: what is special about some of the images."""

from __future__ import annotations

import io
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shotdex.selecting import judge_selection
from shotdex.store.errors import OptionError
from shotdex.store.types import Ids

from .filters import Name
from .problems import Problem
from .runs_api import find_run
from .served import Served

ARROW = "application/vnd.apache.arrow.stream"

MOST_VALUES = 32_767
"""Distinct texts in a column, whose numbers have 16 bits."""

JUDGED = ("predicted", "correct", "true_rank", "probability", "cosine")
"""Columns of a run, named `predicted:RUN`."""

MapId = Annotated[int, Path(ge=0, le=2**31 - 1, description="The map's number.")]
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {ARROW: {}}}}


class SelectionQuery(BaseModel):
    """Images by `ids`, or by `deltas`: the first id, and the difference of each id to the one before it."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[int, Field(ge=0, le=2**62)]] = []
    deltas: list[Annotated[int, Field(ge=-(2**62), le=2**62)]] = []
    run: Name | None = None


SELECTION_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": SelectionQuery.model_json_schema()}},
}


def router(served: Served) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["maps"])

    @routes.get("/maps/{number}", dependencies=[Depends(served.unchanged)], responses=STREAM, response_class=Response)
    def points(number: MapId) -> Response:
        """Return the points of a map as an Arrow stream: image_id int32, x and y float32."""
        import pyarrow as pa

        ids, places = _map(served, number)
        columns = {"image_id": ids.astype(np.int32), "x": places[:, 0].copy(), "y": places[:, 1].copy()}
        return _stream(served, pa.table({name: pa.array(values) for name, values in columns.items()}))

    @routes.get(
        "/maps/{number}/columns/{column}",
        dependencies=[Depends(served.unchanged)],
        responses=STREAM,
        response_class=Response,
    )
    def column(number: MapId, column: Annotated[str, Path(max_length=1_100)]) -> Response:
        """Return a column of `images`, or `predicted:RUN`, `correct:RUN` and so on, in the order of a map's points.

        As an Arrow stream with one column `value`: texts as a dictionary with int16 numbers, numbers as float32.
        """
        import pyarrow as pa

        ids = _map(served, number)[0]
        name, _, run = column.partition(":")
        values = _judged(served, ids, name, run) if run else served.session.column_of(column, ids)
        return _stream(served, pa.table({"value": _encoded(values, column)}))

    @routes.post("/selection", openapi_extra={"requestBody": SELECTION_BODY})
    async def selection(request: Request) -> Response:
        """Return how accurate a run is inside a selection and outside, and which labels it holds more often.

        The body is JSON, or an Arrow stream with a column `image_id`, with `?run=` in the address.
        """
        body, kind = await request.body(), request.headers.get("content-type", "")
        if kind.startswith(ARROW):
            ids, run = _ids_of(body), request.query_params.get("run")
        else:
            try:
                query = SelectionQuery.model_validate_json(body)
            except ValidationError as error:
                raise Problem(422, f"the selection is not valid: {error.errors()[0]['msg']}") from error
            ids, run = _ids(query), query.run
        if run is not None:
            run = str(find_run(served, run).record.run_id)
        return served.answer(served.plain(judge_selection(served.snapshot, ids, run)))

    return routes


def _map(served: Served, number: int) -> tuple[Ids, Any]:
    if all(one.projection_id != number for one in served.snapshot.maps):
        raise Problem(404, f"there is no map {number}", "draw one: shotdex plot map")
    return served.session.map_points(number)


def _judged(served: Served, ids: Ids, name: str, run_name: str) -> list[Any]:
    run = find_run(served, run_name)
    if name not in JUDGED:
        raise Problem(404, f"there is no column {name!r} of a run", f"the columns: {', '.join(JUDGED)}")
    at = np.minimum(np.searchsorted(run.ids, ids), max(0, len(run.ids) - 1))
    there = run.ids[at] == ids if len(run.ids) else np.zeros(len(ids), bool)
    if name == "predicted":
        found: list[Any] = [run.classes[code] for code in run.predicted[at].tolist()]
    elif name == "correct":
        there &= run.known[at]
        found = ["right" if one else "wrong" for one in run.correct[at].tolist()]
    else:
        values: Any = {"true_rank": run.rank, "probability": run.probability, "cosine": run.cosine}[name]
        found = values[at].astype(float).tolist()
    return [value if here else None for value, here in zip(found, there.tolist(), strict=True)]


def _encoded(values: list[Any], column: str) -> Any:
    """Return texts as a dictionary with int16 numbers, numbers as float32."""
    import pyarrow as pa

    if all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float32())
    texts = [None if value is None else str(value) for value in values]
    place = {text: number for number, text in enumerate(dict.fromkeys(text for text in texts if text is not None))}
    if len(place) > MOST_VALUES:
        raise Problem(422, f"the column {column!r} has {len(place):,} distinct values, too many to colour by")
    codes = pa.array([None if text is None else place[text] for text in texts], pa.int16())
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(place), pa.string()))


def _stream(served: Served, table: Any) -> Response:
    import pyarrow as pa

    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return Response(out.getvalue(), media_type=ARROW, headers={"ETag": f'"{served.snapshot.generation}"'})


def _ids(query: SelectionQuery) -> Ids:
    if query.deltas:
        return np.cumsum(np.array(query.deltas, np.int64))
    return np.array(query.ids, np.int64)


def _ids_of(body: bytes) -> Ids:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as reader:
            column = reader.read_all().column("image_id")
        return np.asarray(column.to_pylist(), np.int64)
    except (pa.ArrowException, KeyError, ValueError, TypeError, OverflowError) as error:
        raise OptionError(
            "the body is not an Arrow stream with a column image_id", "send JSON: {ids: [...]}"
        ) from error
