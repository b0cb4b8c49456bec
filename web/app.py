"""The app: what is served at which address, behind the guard."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from . import images_api, live_api, maps_api, runs_api, search_api, sql_api, store_api
from .guard import App, Guard
from .problems import MEDIA_TYPE, install
from .served import NotModified, Served

PAGE = Path(__file__).parent / "page"

SERVED = {".css", ".html", ".js", ".svg", ".png", ".woff2", ".txt"}
"""Kinds of files of the page. Their names are listed once: what a client asks for is never made into a path."""

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, and the next step",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["title", "status", "detail"],
                    "properties": {
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "hint": {"type": "string"},
                    },
                }
            }
        },
    }
}

PARTS = (search_api, images_api, runs_api, live_api, maps_api, sql_api)


def create_app(served: Served) -> App:
    """Return the ASGI app that serves a store."""
    app = FastAPI(
        title="shotdex",
        description="Search and evaluate the images of a store.",
        version="1",
        docs_url=None,  # they load from another host
        redoc_url=None,
        openapi_url=None,
        responses=PROBLEM,
        redirect_slashes=False,
    )
    install(app)

    @app.exception_handler(NotModified)
    def not_modified(request: Request, error: NotModified) -> Response:
        return Response(status_code=304, headers={"ETag": f'"{served.snapshot.generation}"'})

    app.include_router(store_api.router(served, app))
    for part in PARTS:
        app.include_router(part.router(served))
    _serve_page(app)
    return Guard(app, served.options)


def _serve_page(app: FastAPI) -> None:
    files = {
        f"/{path.relative_to(PAGE).as_posix()}": path
        for path in sorted(PAGE.rglob("*"))
        if path.suffix in SERVED and path.is_file()
    }

    def add(address: str, path: Path) -> None:
        kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0] or "text/plain"

        def file() -> Response:
            return Response(path.read_bytes(), media_type=kind)

        app.add_api_route(address, file, include_in_schema=False, response_class=Response)

    for address, path in files.items():
        add(address, path)
    if "/index.html" in files:
        add("/", files["/index.html"])
