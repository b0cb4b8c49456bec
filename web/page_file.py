"""The page of a store as one HTML file that needs no server: gallery, evaluation and map, with everything in it.

What the server would answer is asked of the app itself, once, and written into the file next to the page's own script.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import numpy as np

from shotdex import Session
from shotdex.snapshot import RunOutcomes, Snapshot
from shotdex.store.engines.many import Request
from shotdex.store.errors import OptionError, ShotdexError

from .app import PAGE, create_app
from .bundle import bundle
from .options import ServeOptions
from .previews import Side
from .served import Served

MOST = 20_000
"""Images in a file: at 2 to 4 kilobytes each it has 40 to 80 megabytes then."""

RUNS = 6
"""Runs in a file, the newest: each is compared with each."""

GROUPS = ("condition", "category", "split", "condition,category")

NEIGHBOURS, TOGETHER = 12, 64
"""Nearest images of each, as many as the page shows, and searches that share a product."""

NOT_HERE = ("views/live.js", "views/sql.js")
"""Views that need a model or the catalog."""

COLOURS = ("category", "condition", "split", "source")
JUDGED = ("predicted", "correct", "true_rank", "probability")


@dataclass(frozen=True, slots=True)
class PageFile:
    """What was written: the file, its size in bytes, and how many images and runs it shows; `missing` are gone."""

    path: Path
    size: int
    images: int
    runs: int
    missing: int


def export_page(
    session: Session, file: str | os.PathLike[str], *, overwrite: bool = False, most: int = MOST, resamples: int = 1000
) -> PageFile:
    """Write the page of a store as one HTML file: gallery, evaluation and map, to be opened without a server.

    The same store gives the same bytes. Text is not searched there, as the file holds no model.

    Args:
        session: the store.
        file: where to write.
        overwrite: replace the file if it exists.
        most: the most images that may be in it.
        resamples: of the bootstrap, 100 to 10,000.

    Returns:
        What was written.

    Raises:
        OptionError: the store has more images, or none; the file exists.

    >>> from shotdex.web.page_file import export_page
    >>> export_page(store, "page.html").images
    320
    """
    path = Path(file)
    if path.exists() and not overwrite:
        raise OptionError(f"{path} exists", "choose another name, or replace it: --overwrite")
    with session.following() as follower:
        served = Served(session, ServeOptions(read_only=True), follower)
        try:
            snapshot = served.snapshot
            if not 0 < len(snapshot.images.ids) <= most:
                raise OptionError(
                    f"the store has {len(snapshot.images.ids):,} images, and a page in one file can have 1 to {most:,}",
                    "show it with: shotdex serve",
                )
            data, missing = _gather(served, snapshot, resamples)
        finally:
            served.close()
    text = _document(data)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return PageFile(path, path.stat().st_size, len(data["images"]), len(data["runs"]), missing)


def _document(data: dict[str, Any]) -> str:
    """Return the file: styles, data and script in place, and a policy that allows this script alone."""
    script = bundle(PAGE, "offline.js", "app.js", without=NOT_HERE).replace("</script", "<\\/script")
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    said = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>shotdex</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        '<div id="page"><noscript>This page needs JavaScript.</noscript></div>\n'
        f'<script type="application/json" id="shotdex-data">{said}</script>\n<script>{script}</script>\n'
        "</body>\n</html>\n"
    )


def _gather(served: Served, snapshot: Snapshot, resamples: int) -> tuple[dict[str, Any], int]:
    app = create_app(served)

    def ask(path: str, parameters: list[tuple[str, str]] | None = None) -> bytes:
        return _ask(app, "/api/" + path, urlencode(parameters or []))

    store = json.loads(ask("store"))
    runs = snapshot.runs[-RUNS:]
    names = [run.record.name for run in runs]
    store["runs"] = [one for one in store["runs"] if one["name"] in names]
    store |= {"read_only": True, "path": "", "notice": None, "process": ""}
    answers = {}
    paths = {name: str(run.record.run_id) if "/" in name else name for name, run in zip(names, runs, strict=True)}
    matrices = {name: json.loads(ask(f"runs/{quote(paths[name], '')}/confusion")) for name in names}
    for path, parameters in _questions(snapshot, matrices, paths):
        drawn = [("resamples", str(resamples))] if any(name == "by" for name, _ in parameters) else []
        try:
            found = ask("/".join(quote(one, "") for one in path), [*parameters, *drawn])
            answers[_key(path, parameters)] = json.loads(found)
        except ShotdexError:  # runs that chose among different classes, a baseline without a condition in common
            continue
    columns = [*COLOURS, *(f"{kind}:{name}" for name in paths.values() for kind in JUDGED)]
    rests = ["", *(f"/columns/{name}" for name in columns)]
    streams = [f"maps/{one['map']}{rest}" for one in store["maps"] for rest in rests]
    records = snapshot.images.records(snapshot.images.ids)
    thumbnails, missing = _thumbnails(served, records)
    data = {
        "store": store,
        "images": [
            record | facts | {"path": Path(record["path"]).name}
            for record, facts in zip(records, _facts(served.session, snapshot), strict=True)
        ],
        "neighbours": _neighbours(served.session, snapshot),
        "runs": {run.record.name: _columns(run, snapshot, served.session) for run in runs},
        "answers": answers,
        "bytes": {path: base64.b64encode(ask(quote(path))).decode() for path in streams},
        "thumbnails": thumbnails,
    }
    return data, missing


def _questions(
    snapshot: Snapshot, matrices: dict[str, dict[str, Any]], paths: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], list[tuple[str, str]]]]:
    """Yield what the page can ask: the parts of a path, and parameters."""
    groups = [one for one in GROUPS if all(snapshot.images.counts(label) for label in one.split(","))]
    for run, found in matrices.items():
        yield from ((("runs", paths[run]), [("by", by)]) for by in groups)
        yield ("runs", paths[run], "confusion"), []
        for one in snapshot.baselines:
            yield ("baselines", str(one.baseline_id) if "/" in one.name else one.name, paths[run]), []
        for truth, row in zip(found["truths"], found["cells"], strict=True):
            for predicted, n in zip(found["classes"], row, strict=True):
                if n and truth != predicted:
                    yield ("runs", paths[run], "cell"), [("truth", truth), ("predicted", predicted)]
    for pair in itertools.permutations(matrices, 2):
        yield ("runs", paths[pair[0]], "confusion"), [("against", pair[1])]
        yield from ((("compare",), [("run", pair[0]), ("run", pair[1]), ("by", by)]) for by in groups)


def _key(path: tuple[str, ...], parameters: list[tuple[str, str]]) -> str:
    """Return what offline.js looks an answer up by."""
    said = "&".join(f"{name}={value}" for name, value in sorted(parameters, key=lambda one: one[0]))
    return "/".join(path) + (f"?{said}" if said else "")


def _ask(app: Any, path: str, query: str) -> bytes:
    """Return the body of an answer of the app.

    Raises:
        OptionError: the app says that it cannot answer.
    """
    sent: list[dict[str, Any]] = []
    headers = [(b"host", b"localhost")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    scope |= {"path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
    scope |= {"client": ("127.0.0.1", 0), "server": ("127.0.0.1", 80), "root_path": ""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    # In a thread of its own, since a notebook's has a running loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(app(scope, receive, send))).result()
    if sent[0]["status"] != 200:
        raise OptionError(f"{path} cannot be answered", "")
    return b"".join(message.get("body", b"") for message in sent[1:])


def _columns(run: RunOutcomes, snapshot: Snapshot, session: Session) -> dict[str, Any]:
    """Return what a run made of each image, in the order of the images; -1 where it scored none."""
    scored = np.isin(run.ids, snapshot.images.ids)
    at = np.searchsorted(snapshot.images.ids, run.ids[scored])
    n = len(snapshot.images.ids)

    def spread(values: Any, empty: Any, digits: int | None = None) -> list[Any]:
        full = [empty] * n
        for place, value in zip(at.tolist(), np.asarray(values)[scored].tolist(), strict=True):
            full[place] = value if digits is None else None if value != value else round(value, digits)
        return full

    best: list[list[Any]] = [[] for _ in range(n)]
    numbers = {name: number for number, name in enumerate(run.classes)}
    rows = session.sql(
        "SELECT image_id, category, round(probability, 4), round(cosine::DOUBLE, 4) FROM predictions "
        "WHERE run_id = $run ORDER BY image_id, rank",
        run=run.record.run_id,
    )
    places = {image: place for place, image in enumerate(snapshot.images.ids.tolist())}
    for image, category, probability, cosine in rows:
        if image in places:
            best[places[image]].append([numbers[category], probability, cosine])
    return {
        "classes": list(run.classes),
        "predicted": spread(run.predicted, -1),
        "correct": spread(_where(run.known, run.correct), None),
        "true_rank": spread(_where(run.known, run.rank), None),
        "probability": spread(run.probability, None, 4),
        "true_probability": spread(run.true_probability, None, 4),
        "best": best,
    }


def _facts(session: Session, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return what else is on record about each image, but where it lies and where it was taken."""
    names = ("size_bytes", "taken_at", "camera", "metadata")
    found = {
        row[0]: dict(zip(names, row[1:], strict=True))
        for row in session.sql("SELECT image_id, size_bytes, taken_at::VARCHAR, camera, metadata::VARCHAR FROM images")
    }
    facts = []
    for image_id in snapshot.images.ids.tolist():
        one = found.get(image_id, {})
        metadata = json.loads(one.get("metadata") or "{}")
        # EXIF blocks have positions and serial numbers, which nobody means to hand on
        one["metadata"] = {name: value for name, value in metadata.items() if name != "exif"} or None
        facts.append({name: value for name, value in one.items() if value is not None})
    return facts


def _neighbours(session: Session, snapshot: Snapshot) -> list[list[Any]]:
    """Return for each image the ids of those nearest to it, and their cosines: what the server answers."""
    if not snapshot.encoders:
        return []
    images, index = snapshot.images, session.index_of()
    rows, found = index.rows(), dict[int, list[Any]]()
    for start in range(0, len(rows.ids), TOGETHER):
        ids = rows.ids[start : start + TOGETHER].tolist()
        vectors = [np.array(vector) for vector in rows.vectors[start : start + TOGETHER]]
        own = [images.copies(np.array([one])) for one in ids]
        requests = [Request(vector, NEIGHBOURS + len(same)) for vector, same in zip(vectors, own, strict=True)]
        for one, same, (nearest, cosines) in zip(ids, own, index.search_many(requests), strict=True):
            other = ~np.isin(nearest, same)
            found[one] = [nearest[other][:NEIGHBOURS].tolist(), cosines[other][:NEIGHBOURS].round(4).tolist()]
    return [found.get(one, [[], []]) for one in images.ids.tolist()]


def _where(known: Any, values: Any) -> Any:
    """Return values as objects, None where they are not known."""
    found = values.astype(object)
    found[~known] = None
    return found


def _thumbnails(served: Served, records: list[dict[str, Any]]) -> tuple[dict[str, str], int]:
    """Return a small WebP of each image by its id, and how many cannot be read any more."""
    found, missing = {}, 0
    side = Side.SMALL if len(records) <= 2_500 else Side.TINY
    for record in records:
        try:
            made = served.previews.get("", record["path"], side)
        except ShotdexError:
            missing += 1
        else:
            found[str(record["image_id"])] = base64.b64encode(made).decode()
    return found, missing
