"""`/api/images`: one image, a small version of it, and what is near to it."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Response

from shotdex.media.files.places import is_url
from shotdex.store.errors import UnreadableImage
from shotdex.store.types import PIXEL_LIMIT

from .filters import Text
from .previews import Side
from .problems import Problem
from .search_api import MOST, SearchQuery, find
from .served import Served

ImageId = Annotated[int, Path(ge=0, le=2**62, description="The image's id.")]


def router(served: Served) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/images", tags=["images"])

    @routes.get("/{image_id}", dependencies=[Depends(served.unchanged)])
    def image(image_id: ImageId) -> Response:
        """Return what is on record about an image, and the best classes of each run with the rank of the true one."""
        facts = served.kept(("image", image_id), lambda session: session.image_facts(image_id))
        if facts is None:
            raise _no_image(image_id)
        return served.answer(facts)

    @routes.get("/{image_id}/picture", responses={200: {"content": {"image/webp": {}}}}, response_class=Response)
    def picture(image_id: ImageId, side: Side = Side.SMALL) -> Response:
        """Return a small version of an image as WebP; `side` is the longest side in pixels."""
        images = served.snapshot.images
        place = images.places(np.array([image_id]))
        if not len(place):
            raise _no_image(image_id)
        row = images.rows.slice(int(place[0]), 1).to_pylist()[0]
        if is_url(row["path"]) and not served.options.fetch_remote:
            raise Problem(404, "this image is at a remote address", "serve it with --fetch-remote to show it")
        try:  # what was indexed with a larger limit is shown with it
            most = max(PIXEL_LIMIT, (row["width"] or 0) * (row["height"] or 0))
            made = served.previews.get(images.generation, row["path"], side, most)
        except UnreadableImage:
            raise Problem(404, "the image is gone or can no longer be read", "index its source again") from None
        return Response(made, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600, immutable"})

    @routes.get("/{image_id}/neighbours", dependencies=[Depends(served.unchanged)])
    def neighbours(
        image_id: ImageId,
        k: Annotated[int, Query(ge=1, le=MOST)] = 12,
        space: Literal["joint", "vision"] = "joint",
        model: Text | None = None,
    ) -> Response:
        """Return the images nearest to an image, best first, without the image itself."""
        if not len(served.snapshot.images.places(np.array([image_id]))):
            raise _no_image(image_id)
        query = SearchQuery(image_id=[image_id], k=k, space=space, model=model)
        return served.answer(find(served, query, query.parts()))

    return routes


def _no_image(image_id: int) -> Problem:
    return Problem(404, f"the store has no image {image_id}")
