"""`shotdex engine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.engines import ADDED, KINDS
from shotdex.formatting import shown_path, visible

from .options import json_option, model_option, open_session, store_option
from .render import as_json as to_json
from .render import note, out
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex.upkeep.engines import EngineStatus

name_argument = click.argument("engine", type=click.Choice(ADDED))


@click.group("engine")
def command() -> None:
    """Add a search engine outside this process, list those that were added, or remove one.

    The catalog remains the source of truth: an engine only proposes images. shotdex computes cosines, filters and the
    order of ties itself, so hits are the same as without the engine. While an engine is down or behind, searches use
    FAISS.
    """


@command.command()
@name_argument
@click.option(
    "--uri", required=True, metavar="URI", help="http://HOST:19530, https://HOST, or NAME.db for Milvus Lite."
)
@click.option(
    "--kind",
    metavar="|".join(KINDS),
    default=KINDS[0],
    show_default=True,
    help="The index to build; all but FLAT may miss images.",
)
@model_option
@store_option
@json_option
def add(engine: str, uri: str, kind: str, model: str | None, store_path: Path | None, as_json: bool) -> None:
    """Send an encoder's vectors to an engine, and use it for searches from now on.

    A token, or user:password, is read from the environment variable SHOTDEX_MILVUS_TOKEN and not stored. For your own
    https server, SHOTDEX_MILVUS_CA names the PEM file of its authority. `index` and `remove` keep the engine
    up to date. Adding it again sends what is missing; another URI or kind replaces it.

    \b
    shotdex engine add milvus --uri http://127.0.0.1:19530
    shotdex engine add milvus --uri https://milvus.example.org --kind HNSW
    """
    added = open_session(store_path).add_engine(engine, uri=uri, kind=kind, model=model, progress=True)
    out(to_json(added) if as_json else as_text(added))


@command.command("list")
@store_option
@json_option
@format_option
def list_(store_path: Path | None, as_json: bool, form: str | None) -> None:
    """List the engines that were added, and whether each is ready."""
    found = open_session(store_path).engines()
    if rows_printed(found, form):
        return
    if as_json or form == "json":
        out(to_json(list(found)))
        return
    if not found:
        note("no engines yet; add one with: shotdex engine add milvus --uri URI")
        return
    rows = [
        [one.engine, f"{one.encoder}: {one.model}", visible(one.uri), one.kind, one.images, _state(one)]
        for one in found
    ]
    out(table(["engine", "encoder", "uri", "kind", "images", "state"], rows))


@command.command()
@name_argument
@model_option
@store_option
def remove(engine: str, model: str | None, store_path: Path | None) -> None:
    """Remove an engine and delete what was sent to it; searches use FAISS again."""
    removed = open_session(store_path).remove_engine(engine, model=model)
    note(f"removed {engine}" if removed else f"there is no {engine} to remove")


def as_text(one: EngineStatus) -> str:
    """Return an engine in one line."""
    lacking = f", {one.lacking:,} more are compared here" if one.lacking else ""
    where = shown_path(visible(one.uri))
    return f"{one.engine} at {where}: {one.kind}, {one.images:,} images in {one.rows:,} rows{lacking}; {_state(one)}"


def _state(one: EngineStatus) -> str:
    return "ready" if one.ready else f"not ready: {visible(one.reason)}"
