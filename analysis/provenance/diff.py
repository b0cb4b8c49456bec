"""How two runs differ: in what was asked, of which images, and in the answers."""

from __future__ import annotations

from dataclasses import dataclass

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, PromptSet, Run

from .rerun import version_changes


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two runs differ, in words: `what`, and how it is in the first and in the second."""

    what: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Two runs side by side. Of the `shared` images, `changed` have another best class in the second run; `gained` of
    them are right only in the second and `lost` only in the first. `only_first` and `only_second` are images of one.
    """

    first: Run
    second: Run
    differences: tuple[Difference, ...]
    shared: int
    changed: int
    gained: int
    lost: int
    only_first: int
    only_second: int


def diff(store: Store, first: str, second: str) -> RunDiff:
    """Return how two runs differ.

    Raises:
        OptionError: there is no such run.
    """
    with store.reading() as con:
        a, b = find_run(con, first), find_run(con, second)
        asked = [
            *_asked(con, a, b),
            *_prompts(load_prompt_set(con, a.prompt_set_id), load_prompt_set(con, b.prompt_set_id)),
        ]
        shared, changed, gained, lost = con.rows(
            "SELECT count(*), count(*) FILTER (a.predicted <> b.predicted), "
            "count(*) FILTER (b.correct AND NOT a.correct), count(*) FILTER (a.correct AND NOT b.correct) "
            "FROM outcomes a JOIN outcomes b USING (image_id) WHERE a.run_id = $a AND b.run_id = $b",
            {"a": a.run_id, "b": b.run_id},
        )[0]
    return RunDiff(a, b, tuple(asked), shared, changed, gained, lost, a.scored - shared, b.scored - shared)


def _asked(con: Connection, a: Run, b: Run) -> list[Difference]:
    encoders = list_encoders(con)
    pairs = [
        ("encoder", *_encoders(encoders[a.encoder_id], encoders[b.encoder_id])),
        ("predictions kept", f"{a.k} an image", f"{b.k} an image"),
        ("filter", a.where or "none", b.where or "none"),
        ("images (digest)", a.data_sha256[:12], b.data_sha256[:12]),
        ("labels (digest)", a.labels_sha256[:12], b.labels_sha256[:12]),
        ("scored", f"{a.scored:,}", f"{b.scored:,}"),
        ("could not be scored", f"{a.failed:,}", f"{b.failed:,}"),
        ("seed", str(a.seed), str(b.seed)),
    ]
    found = [Difference(*pair) for pair in pairs if pair[1] != pair[2]]
    for change in version_changes(a.versions, b.versions):
        name, _, versions = change.partition(" ")
        before, _, after = versions.partition(" -> ")
        found.append(Difference(f"version of {name}", before, after))
    return found


def _encoders(a: EncoderId, b: EncoderId) -> tuple[str, str]:
    """Return two encoders in words, at more length where they are of one name and weights and yet not the same."""
    if a.key() != b.key() and str(a) == str(b):
        return _closely(a), _closely(b)
    return str(a), str(b)


def _closely(encoder: EncoderId) -> str:
    return f"{encoder}, preprocessing {encoder.preprocessing_sha256[:8]}, pooling {encoder.pooling}"


def _prompts(a: PromptSet, b: PromptSet) -> list[Difference]:
    if a.sha256 == b.sha256:
        return []
    found = [Difference("prompt set", f"{a.name} ({a.sha256[:12]})", f"{b.name} ({b.sha256[:12]})")]
    if a.combine is not b.combine:
        found.append(Difference("combine", a.combine.value, b.combine.value))
    for category in dict.fromkeys([*a.classes, *b.classes]):
        first, second = a.classes.get(category), b.classes.get(category)
        if first != second:
            found.append(Difference(f"prompts of {category}", _texts(first), _texts(second)))
    if a.aliases != b.aliases:
        found.append(Difference("aliases", str(dict(a.aliases)), str(dict(b.aliases))))
    return found


def _texts(texts: tuple[str, ...] | None) -> str:
    if texts is None:
        return "no such class"
    shown = " | ".join(texts[:4])
    return shown if len(texts) <= 4 else f"{shown} and {len(texts) - 4} more"
