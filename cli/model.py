"""`shotdex model`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

import shotdex
from shotdex.formatting import shown_path, size, visible
from shotdex.models.architecture.parts import GROUPS
from shotdex.models.architecture.types import Architecture, ImageInput, Part, Place, TextInput, Tower
from shotdex.store.errors import OptionError, StoreNotFound
from shotdex.tabular import Table

from .options import json_option, open_session, store_option
from .render import as_json as to_json
from .render import out
from .rows import format_option, rows_printed, table

WIDTH = 100


@click.command("model")
@click.argument("name", metavar="[NAME_OR_PATH]", required=False)
@store_option
@json_option
@format_option
def command(name: str | None, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """Show the structure of a model: towers, parameters of each part, FLOPs, and what each part does.

    NAME_OR_PATH is `demo`, a model's folder or its config.json, a name on the hub, or open_clip:NAME; the default is
    the model of the store. Only the configuration is read; no weights are needed or downloaded.

    \b
    shotdex model demo
    shotdex model openai/clip-vit-base-patch32
    shotdex model ./my-clip --json
    """
    architecture = shotdex.describe(name) if name else _model_of_store(store_path)
    if not rows_printed(parts(architecture), form):
        out(to_json(architecture) if as_json or form == "json" else as_text(architecture))


def parts(architecture: Architecture) -> Table:
    """Return the parts of an architecture as rows."""
    columns = ("tower", "place", "part", "weights", "biases", "times", "parameters", "flops")
    listed = [(title, part) for title, tower in _towers(architecture) for part in tower.parts]
    listed += [("", part) for part in architecture.comparison]
    rows = [(t, p.place.value, p.name, p.weights, p.biases, p.copies, p.parameters, p.flops) for t, p in listed]
    return Table(architecture.name, columns, rows)


def _model_of_store(store_path: Path | None) -> Architecture:
    try:
        return open_session(store_path).describe()
    except StoreNotFound as error:
        if store_path is not None:
            raise
        raise OptionError(
            "no model was given, and there is no store here that has one",
            "choose one: shotdex model demo   or a folder, or openai/clip-vit-base-patch32",
        ) from error


class Count(int):
    """A whole number as a table shows it: 151,277,313."""

    def __str__(self) -> str:
        return f"{int(self):,}"


class Flops(int):
    """A number of operations with three digits and a unit: 8.82 G."""

    def __str__(self) -> str:
        amount = float(self)
        unit = 0
        while amount >= 999.5:
            amount, unit = amount / 1000, unit + 1
        return f"{amount:#.3g}".rstrip(".") + ("", " k", " M", " G", " T", " P", " E")[unit]


def as_text(architecture: Architecture) -> str:
    """Return an architecture as text: the whole, the towers side by side, each tower's parts, what they do."""
    sections = [
        _heading(architecture),
        _shapes(architecture),
        *(_parts(title, tower, architecture.parameters) for title, tower in _towers(architecture)),
        _sums(architecture),
        _sentences(architecture),
        textwrap.fill(architecture.convention, WIDTH),
    ]
    return "\n\n".join(sections)


def _towers(architecture: Architecture) -> Iterator[tuple[str, Tower]]:
    yield "vision tower", architecture.vision
    if architecture.text is not None:
        yield "text tower", architecture.text


def _heading(architecture: Architecture) -> str:
    sizes = ", ".join(f"{size(count)} in {form}" for form, count in architecture.size_bytes.items())
    revision = "" if architecture.revision == "local" else f" at {architecture.revision}"
    return "\n".join(
        [
            shown_path(visible(architecture.name)) + revision,
            textwrap.fill(architecture.about, WIDTH),
            f"{architecture.parameters:,} parameters: {sizes}",
        ]
    )


def _shapes(architecture: Architecture) -> str:
    labels = ["input", "tokens", "blocks", "width", "heads", "MLP width", "activation", "vector", "parameters", "FLOPs"]
    columns = [_shape(tower) for _, tower in _towers(architecture)]
    titles = [title for title, _ in _towers(architecture)]
    return table(["", *titles], list(zip(labels, *columns, strict=True)))


def _shape(tower: Tower) -> list[str]:
    return [
        *(_image(tower.input, tower.tokens) if isinstance(tower.input, ImageInput) else _text(tower.input)),
        f"{tower.layers:,}, each of {tower.parameters_per_block:,} parameters"
        if _alike(tower)
        else f"{tower.layers:,}",
        f"{tower.width:,}",
        f"{tower.heads:,} of {tower.head_dim:,}" if tower.heads else "no attention",
        f"{tower.mlp_width:,}" if tower.mlp_width else "",
        tower.activation,
        f"{tower.output_dim:,} numbers" + (f", read off {tower.read_from}" if tower.read_from else ""),
        f"{tower.parameters:,}",
        f"{Flops(tower.flops)} for one " + ("image" if isinstance(tower.input, ImageInput) else "text"),
    ]


def _alike(tower: Tower) -> bool:
    """Tell whether all blocks of a tower have the same parts."""
    return all(part.copies == tower.layers for part in tower.parts if part.place is Place.BLOCK)


def _image(taken: ImageInput, tokens: int) -> tuple[str, str]:
    edge = f"{taken.size} x {taken.size} pixels" if taken.size else "any shape"
    most = "" if taken.size else "at most "
    patches = f"{most}{taken.patches:,} patches of {taken.patch} x {taken.patch}"
    if not taken.patches:
        return f"{edge}, {taken.channels} channels", "a map of the image"
    registers = tokens - taken.patches - taken.class_token
    more = [f"{registers} register tokens"] if registers > 0 else []
    if taken.class_token:
        more.append("the class token")
    listed = " and ".join([", ".join([patches, *more[:-1]]), *more[-1:]])
    return f"{edge}, {taken.channels} channels", f"{tokens:,}: {listed}" if more else patches


def _text(taken: TextInput) -> tuple[str, str]:
    return f"vocabulary of {taken.vocabulary:,} tokens", f"{taken.context:,}, the context length"


def _parts(title: str, tower: Tower, whole: int) -> str:
    rows: list[list[object]] = []
    for place, parts in _by_place(tower.parts):
        if place in GROUPS:
            rows.append(_group_row(place, parts, whole))
        rows += [_part_row(part, whole, "  " if place in GROUPS else "") for part in parts]
    rows.append([f"the {title}", None, None, None, *_amounts(tower.parameters, whole, tower.flops)])
    return table([title, "weights", "biases", "times", "parameters", " share", "FLOPs"], rows)


def _by_place(parts: Sequence[Part]) -> list[tuple[Place, list[Part]]]:
    """Return runs of parts that stand at one place, in order."""
    runs: list[tuple[Place, list[Part]]] = []
    for part in parts:
        if not runs or runs[-1][0] is not part.place:
            runs.append((part.place, []))
        runs[-1][1].append(part)
    return runs


def _group_row(place: Place, parts: Sequence[Part], whole: int) -> list[object]:
    weights, biases = sum(part.weights for part in parts), sum(part.biases for part in parts)
    parameters, flops = sum(part.parameters for part in parts), sum(part.flops for part in parts)
    copies = max(part.copies for part in parts)
    return [place.value, Count(weights), Count(biases), Count(copies), *_amounts(parameters, whole, flops)]


def _part_row(part: Part, whole: int, indent: str) -> list[object]:
    counts = [Count(number) if number else None for number in (part.weights, part.biases)]
    return [indent + part.name, *counts, Count(part.copies), *_amounts(part.parameters, whole, part.flops)]


def _amounts(parameters: int, whole: int, flops: int) -> list[object]:
    share = f"{parameters / whole:6.1%}" if parameters else ""
    return [Count(parameters) if parameters else None, share, Flops(flops) if flops else None]


def _sums(architecture: Architecture) -> str:
    whole = architecture.parameters
    rows: list[list[object]] = [
        [title, *_amounts(tower.parameters, whole, 0)[:2]] for title, tower in _towers(architecture)
    ]
    rows += [[part.name, *_amounts(part.parameters, whole, 0)[:2]] for part in architecture.comparison]
    rows.append(["the whole model", *_amounts(whole, whole, 0)[:2]])
    return table(["together", "parameters", " share"], rows)


def _sentences(architecture: Architecture) -> str:
    """Return a sentence on each part; what both towers have is said once."""
    sentences: dict[str, str] = {}
    towers = [part for _, tower in _towers(architecture) for part in tower.parts]
    for part in (*towers, *architecture.comparison):
        if part.place in GROUPS:
            sentences.setdefault(part.place.value, GROUPS[part.place])
        sentences.setdefault(part.name, part.does)
    return table(["part", "what it does"], list(sentences.items()))
