"""`/api/store`: what is indexed; and the API's own description."""

from __future__ import annotations

import html
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import HTMLResponse

from shotdex.analysis.stats.proportions import wilson
from shotdex.snapshot import LABELS, RunOutcomes, Snapshot

from .served import Served


def router(served: Served, app: FastAPI) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["store"])

    @routes.get("/store", dependencies=[Depends(served.unchanged)])
    def store() -> Response:
        """Return what is indexed: counts, encoders, labels, runs with their accuracies, maps and baselines."""
        return served.answer(_store(served, served.snapshot))

    @routes.get("/", response_class=HTMLResponse)
    def index() -> HTMLResponse:
        """Return a plain page with a line for each address of the API."""
        lines = [
            f"<li><code>{method.upper()} {html.escape(path)}</code> {html.escape(one.get('description', ''))}</li>"
            for path, methods in app.openapi()["paths"].items()
            for method, one in methods.items()
        ]
        return HTMLResponse(
            "<!doctype html><html lang=en><meta charset=utf-8><title>shotdex API</title><h1>shotdex API</h1>"
            f'<p><a href="openapi.json">openapi.json</a></p><ul>{"".join(lines)}</ul></html>'
        )

    @routes.get("/openapi.json", include_in_schema=False)
    def document() -> dict[str, Any]:
        """Return the OpenAPI document."""
        return app.openapi()

    return routes


def _store(served: Served, snapshot: Snapshot) -> dict[str, Any]:
    images, trouble = snapshot.images, served.follower.trouble
    return {
        "generation": snapshot.generation,
        "name": served.session.path.name,
        "path": str(served.session.path),
        "version": version("shotdex"),
        "images": len(images.ids),
        "failures": snapshot.failures,
        "labels": {name: images.counts(name) for name in LABELS},
        "unlabelled": {name: int((images.labels[name][0] < 0).sum()) for name in LABELS},
        "encoders": [
            {"number": number, "name": one.name, "dim": one.dim, "precision": one.precision.value}
            for number, one in snapshot.encoders.items()
        ],
        "runs": [run_summary(snapshot, one) for one in snapshot.runs],
        "maps": [
            {"map": one.projection_id, "space": one.space, "method": one.method, "settings": one.settings}
            | {"model": snapshot.encoders[one.encoder_id].name, "where": one.where, "images": one.images}
            for one in snapshot.maps
            if one.encoder_id in snapshot.encoders
        ],
        "baselines": [
            {"baseline": one.baseline_id, "name": one.name, "kind": one.kind, "source": one.source, "note": one.note}
            | {"accuracies": one.accuracies}
            for one in snapshot.baselines
        ],
        "tables": snapshot.tables,
        "process": served.process,
        "read_only": served.options.read_only,
        "notice": None if trouble is None else str(trouble),
    }


def run_summary(snapshot: Snapshot, run: RunOutcomes) -> dict[str, Any]:
    """Return a run as a list of runs shows it."""
    record, encoder = run.record, snapshot.encoders.get(run.record.encoder_id)
    return {
        "run_id": record.run_id,
        "name": record.name,
        "model": None if encoder is None else encoder.name,
        "prompts": run.prompts.name,
        "combine": run.prompts.combine,
        "classes": {name: list(texts) for name, texts in run.prompts.classes.items()},
        "aliases": {name: list(labels) for name, labels in run.prompts.aliases.items()},
        "chance": 1 / len(run.classes),
        "where": record.where,
        "k": record.k,
        "accuracy": wilson(int(np.count_nonzero(run.correct)), int(np.count_nonzero(run.known))),
        "scored": record.scored,
        "unlabelled": record.unlabelled,
        "outside": record.outside,
        "failed": record.failed,
        "started_at": record.started_at,
        "command": record.command,
    }
