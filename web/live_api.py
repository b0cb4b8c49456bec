"""`/api/live`: prompts tried while they are typed; `POST /api/runs` saves them as a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from shotdex.formatting import plain
from shotdex.live import LiveAgainst, LiveAnswer
from shotdex.store.types import Combine, PromptSet

from .filters import Name, Text
from .problems import Problem
from .search_api import records
from .served import Served

MOST_CLASSES, MOST_PROMPTS, MOST_SHOWN = 1_000, 5_000, 500

NO_PREDICTION = 65_535
"""In the place of a class, for an image without a vector."""

NUMBERS: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}


class LivePrompts(BaseModel):
    """Classes with their prompts, how several prompts of a class are combined, and labels that mean a class."""

    model_config = ConfigDict(extra="forbid")

    classes: dict[Name, Annotated[list[Text], Field(min_length=1, max_length=MOST_PROMPTS)]] = Field(
        min_length=2, max_length=MOST_CLASSES
    )
    combine: Literal["mean", "max"] = "mean"
    aliases: dict[Name, list[Name]] = Field(default={}, max_length=MOST_CLASSES)
    model: Text | None = None

    @field_validator("classes")
    @classmethod
    def few(cls, classes: dict[str, list[str]]) -> dict[str, list[str]]:
        """Refuse more prompts than can be classified at once."""
        if sum(map(len, classes.values())) > MOST_PROMPTS:
            raise ValueError(f"there are more than {MOST_PROMPTS:,} prompts")
        return classes

    def prompt_set(self, name: str = "tried prompts") -> PromptSet:
        """Return the prompt set; raises OptionError where a name or a prompt is empty, or an alias is ambiguous."""
        from shotdex.analysis.prompts.build import make_prompt_set

        return make_prompt_set(
            name, self.classes, combine=Combine(self.combine), source="shotdex serve", aliases=self.aliases
        )


class LiveQuery(LivePrompts):
    """Prompts on one half of the labelled images. With `leave_one_out` each prompt of that class is left out once.

    With `true` and `predicted` the images of that cell of the confusion matrix are returned, too.
    """

    against: Name | None = None
    half: Literal["explore", "confirm", "all"] = "explore"
    leave_one_out: Name | None = None
    true: Name | None = None
    predicted: Name | None = None
    show: Annotated[int, Field(ge=0, le=MOST_SHOWN)] = 60


class PlacesQuery(BaseModel):
    """Where on a map texts are: each by itself, the classes, or the classes of a run."""

    model_config = ConfigDict(extra="forbid")

    projection_id: Annotated[int, Field(ge=0, le=2**31 - 1)]
    texts: list[Text] = Field(default=[], max_length=100)
    classes: dict[Name, Annotated[list[Text], Field(min_length=1, max_length=MOST_PROMPTS)]] = Field(
        default={}, max_length=MOST_CLASSES
    )
    run: Name | None = None
    model: Text | None = None


class SaveQuery(LivePrompts):
    """Prompts to be saved as a run, and how many prompt sets were looked at before."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    looks: Annotated[int, Field(ge=0, le=10**9)] = 0


def router(served: Served) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["live"])

    @routes.post("/live")
    def live(query: LiveQuery) -> Response:
        """Return what prompts reach: accuracy, conditions, classes, confusion, and against a run what flips."""
        found = served.session.try_prompts(
            query.prompt_set(),
            against=query.against,
            half=query.half,
            without=query.leave_one_out,
            model=query.model,
        )
        names = ("half", "accuracy", "groups", "categories", "confusion", "gap", "looks")
        body = {name: plain(getattr(found, name)) for name in names}
        body["leave_one_out"] = found.without
        body["against"] = None if found.against is None else _against(served, query, found.against)
        body["cell"] = None if query.true is None or query.predicted is None else _cell(served, query, found)
        return served.answer(body)

    @routes.post(
        "/live/predictions", responses={200: {"content": {"application/octet-stream": {}}}}, response_class=Response
    )
    def predictions(query: LivePrompts) -> Response:
        """Return the number of the predicted class of each image by rising id, as little-endian uint16."""
        found = served.session.try_prompts(query.prompt_set(), half="all", model=query.model)
        codes = served.session.predictions_of(found.outcomes)
        numbers = np.where(codes < 0, NO_PREDICTION, codes).astype("<u2")
        return Response(numbers.tobytes(), media_type="application/octet-stream")

    @routes.post("/live/places")
    def places(query: PlacesQuery) -> Response:
        """Return where on a map the images are to which texts are nearest."""
        texts = {text: [text] for text in query.texts if text.strip()} | query.classes
        if query.run is not None:
            texts |= {name: list(own) for name, own in served.snapshot.run(query.run).prompts.classes.items()}
        return served.answer({"places": served.session.try_places(query.projection_id, texts, query.model)})

    @routes.post("/runs", status_code=201)
    def save(query: SaveQuery) -> Response:
        """Save prompts as a run, with its predictions for every image; `looks` goes on its record."""
        if served.options.read_only:
            raise Problem(403, "this server is read-only", "serve the store without --read-only to save runs")
        prompts = query.prompt_set(query.name)
        with served.catalog() as session:
            run = session.save_prompts(prompts, query.name, max(query.looks, len(session.looks.seen)), query.model)
        served.follower.look()
        return served.answer({"run_id": run.record.run_id, "name": run.name, "accuracy": run.accuracy()}, 201)

    return routes


def _cell(served: Served, query: LiveQuery, found: LiveAnswer) -> dict[str, Any]:
    ids = found.cell(query.true or "", query.predicted or "")
    judged = {"predicted": query.predicted, "correct": query.true == query.predicted}
    return {"n": len(ids), "images": [one | judged for one in records(served.snapshot, ids[: query.show])]}


def _against(served: Served, query: LiveQuery, found: LiveAgainst) -> dict[str, Any]:
    names = ("run", "accuracy", "live", "groups", "difference", "gained", "lost", "p_value", "adjusted", "sentence")
    body = {name: plain(getattr(found, name)) for name in names}
    for kind in ("gained", "lost"):
        ids = getattr(found, f"{kind}_ids")[: query.show]
        body[f"{kind}_images"] = records(served.snapshot, ids, found.run)
    return body
