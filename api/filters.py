"""Filters that need no SQL: `where` turns dates, cameras, places, folders, labels and outcomes into a condition."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Unpack

from shotdex.media.files import places
from shotdex.store.errors import OptionError
from shotdex.store.file_names import stored
from shotdex.store.location import user_path

from .keywords import FilterKeywords, filled, takes

NEAR_KM = 1.0
"""How far from a place images are near it, unless that is said, in kilometres."""

_UNITS = {"": 1.0, "km": 1.0, "m": 0.001, "mi": 1.609344, "ft": 0.0003048}
_TIMES = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


@takes(FilterKeywords)
def where(sql: str | None = None, **options: Unpack[FilterKeywords]) -> str | None:
    """Return a SQL condition, for the `where` of any method, that combines all of these; None if there are none.

    Args:
        sql: a further condition on the columns of `images`.
        options: the keywords of `FilterKeywords`.

    Raises:
        OptionError: an invalid time, place or distance, `within` without `near`, or both `wrong` and `right`.

    >>> shotdex.where(after="2021-07", camera="EOS R5")
    "taken_at >= '2021-07-01' AND contains(lower(camera), 'eos r5')"
    >>> shotdex.where(category="hat", run="names", wrong=True)
    "category = 'hat' AND image_id IN (SELECT image_id FROM outcomes WHERE run = 'names' AND NOT correct)"
    """
    given: dict[str, Any] = {name: value for name, value in filled(where, options).items() if value not in (None, ())}
    parts: list[str | None] = []
    if "after" in given or "before" in given:
        parts += _times(given.get("after"), given.get("before"))
    if "camera" in given:
        parts.append(_any(f"contains(lower(camera), {_text(name.lower())})" for name in _several(given["camera"])))
    if "near" in given or "within" in given:
        parts.append(_place(given.get("near"), given.get("within")))
    if "folder" in given:
        parts.append(_any(_in_folder(name) for name in _several(given["folder"])))
    parts += [_label(column, given[column]) for column in ("category", "condition") if column in given]
    if "run" in given or given["wrong"] or given["right"]:
        parts.append(_outcome(given.get("run"), given["wrong"], given["right"]))
    kept = [part for part in parts if part is not None]
    if not kept or (sql is not None and not sql.strip()):
        return sql
    return " AND ".join([*kept, f"({sql}\n)"] if sql is not None else kept)  # a comment ends with its line


def _any(parts: Iterable[str]) -> str | None:
    found = list(dict.fromkeys(parts))
    return f"({' OR '.join(found)})" if len(found) > 1 else found[0] if found else None


def _several(value: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    return [os.fspath(one) for one in ([value] if isinstance(value, (str, os.PathLike)) else value)]


def _text(value: str) -> str:
    return "'" + stored(value).replace("'", "''") + "'"


def _times(after: str | datetime | None, before: str | datetime | None) -> list[str]:
    first = None if after is None else _time("after", after)
    last = None if before is None else _time("before", before)
    if first is not None and last is not None and first >= last:
        raise OptionError(
            f"no image can be taken after {after} and before {before}", "--after is the earlier one, and belongs to it"
        )
    named = ((">=", first), ("<", last))
    return [f"taken_at {sign} {_text(str(time).removesuffix(' 00:00:00'))}" for sign, time in named if time is not None]


def _time(name: str, value: str | datetime) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    written = re.sub(r"[ _]+(?=\d+:)", "T", value.strip().replace("/", "-"))
    for form in _TIMES:
        try:
            return datetime.strptime(written, form)
        except ValueError:
            continue
    raise OptionError(f"--{name} {value!r} is not a time", f"for example: --{name} 2021-07   or 2021-07-04, 2021")


def _place(near: str | tuple[float, float] | None, within: str | float | None) -> str | None:
    if near is None:
        if within is not None:
            raise OptionError("--within needs a place", "for example: --near 48.86,2.29 --within 2km")
        return None
    latitude, longitude = _position(near)
    distance = NEAR_KM if within is None else _distance(within)
    return f"distance_km(latitude, longitude, {latitude!r}, {longitude!r}) <= {distance!r}"


def _position(near: str | tuple[float, float]) -> tuple[float, float]:
    parts = re.split(r"\s*[,;]\s*|\s+", near.strip()) if isinstance(near, str) else list(near)
    hint = "latitude first, south and west below zero: --near 48.86,2.29"
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError as error:
        raise OptionError(f"--near {near!r} is not a latitude and a longitude", hint) from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise OptionError(f"--near {near!r} is not on Earth: latitudes end at 90 degrees, longitudes at 180", hint)
    return latitude, longitude


def _distance(within: str | float) -> float:
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*?)s?\s*", str(within).lower())
    unit = {"mile": "mi", "kilometer": "km", "kilometre": "km", "meter": "m", "metre": "m", "foot": "ft", "feet": "ft"}
    if found is None or (name := unit.get(found[2], found[2])) not in _UNITS or not float(found[1]) > 0:
        raise OptionError(f"--within {within!r} is not a distance", "for example: --within 2km   or 500m, 1mi")
    return round(float(found[1]) * _UNITS[name], 9)


def _in_folder(folder: str) -> str:
    """Return the condition for a folder or archive: what is here by its whole path, else by the end of its path."""
    if not folder.strip():
        raise OptionError("--in is empty", "for example: --in photos/2021")
    if folder.startswith("@"):  # a saved selection, as filters know it
        return folder
    path = user_path(folder)
    if places.is_url(folder):
        prefixes = [places.absolute(folder)]
    elif path.is_absolute() or path.exists():  # links to where a source begins are resolved, those below are not
        prefixes = [os.path.abspath(path), places.absolute(str(path))]  # noqa: PTH100
    else:
        return f"contains(path, {_text('/' + path.as_posix().strip('/') + '/')})"
    return _any(f"starts_with(path, {_text(one.rstrip('/') + end)})" for one in prefixes for end in "/!") or "false"


def _label(column: str, value: str | Sequence[str]) -> str | None:
    names = [_text(name) for name in _several(value)]
    if len(names) > 1:
        return f"{column} IN ({', '.join(names)})"
    return f"{column} = {names[0]}" if names else None


def _outcome(run: str | int | None, wrong: bool, right: bool) -> str | None:
    if wrong and right:
        raise OptionError("no image is both --wrong and --right", "choose one of them")
    said = " AND NOT correct" if wrong else " AND correct" if right else ""
    if run is None:
        if not said:
            return None
        chosen = "run_id = (SELECT max(run_id) FROM runs)"
    else:
        chosen = f"run = {_text(str(run))}"
        if str(run).isdecimal():
            chosen = f"({chosen} OR run_id = {int(run)})"
    return f"image_id IN (SELECT image_id FROM outcomes WHERE {chosen}{said})"
