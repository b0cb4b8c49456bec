"""A run made again from its record, the same or what changed; and how two runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shotdex.models.protocols import SAME_TEXT, LoadEncoder, finite
from shotdex.query.text_lookup import remember
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import EncoderError, StoreError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, PromptSet, Run, Vectors
from shotdex.store.vectors import forget_texts, remembered_texts

from .classify import Answers, Classification, answer
from .coverage import marked_name
from .run_digests import versions
from .side_by_side import same_classes

SAME = 1e-5
"""The largest difference of a component that rounding explains: another number of threads gives up to 1e-6."""


@dataclass(frozen=True, slots=True)
class _Texts:
    """What encoding a run's prompts again gave: what changed, and what could not be looked at, in words.

    `wrong` are vectors (D,) of texts of which the store remembers others than the model gives now, beyond rounding.
    """

    changes: Sequence[str] = ()
    unchecked: Sequence[str] = ()
    wrong: Mapping[str, Vectors] = field(default_factory=dict)


def _texts_again(store: Store, run: Run, load: LoadEncoder) -> _Texts:
    """Encode a run's prompts again with the model itself and compare them with what the store remembers of them.

    What is remembered wrongly is forgotten, so that it is encoded again. Images are not encoded again.
    """
    with store.reading() as con:
        encoder = list_encoders(con)[run.encoder_id]
        prompts = load_prompt_set(con, run.prompt_set_id)
        texts = list(dict.fromkeys(text for own in prompts.classes.values() for text in own))
        kept = remembered_texts(con, run.encoder_id, texts)
    try:
        loaded = load(encoder)
    except EncoderError as error:
        return _Texts(unchecked=[f"{error}; so the texts remembered in the store were used"])
    if loaded.id.key() != encoder.key():
        return _Texts([f"the encoder's files: {encoder} then, {loaded.id} now; the texts are from then"])
    known = [text for text in texts if text in kept]
    if not known:
        return _Texts()
    made = finite(loaded.encode_texts(known), encoder)
    apart = [float(np.abs(row - kept[text]).max()) for text, row in zip(known, made, strict=True)]
    wrong = {known[i]: made[i] for i in range(len(known)) if not apart[i] <= SAME_TEXT[encoder.precision]}
    if wrong:
        with suppress(StoreError), store.writing() as con:  # a store that cannot be written to is still compared
            forget_texts(con, run.encoder_id, list(wrong))
    largest = max(apart)
    return _Texts([] if largest <= SAME else [f"the text vectors, by up to {largest:.1g}"], [], wrong)


@dataclass(frozen=True, slots=True)
class Rerun:
    """What making a run again gave.

    `same` images have the same classes in the same order among their k best; `different` have others; `gone` were in
    the run and are not scored now, `new` the other way round. `largest` is the largest difference of a cosine among the
    `same`. `changes` says in words what differs from the record, `unchecked` what could not be compared with it.
    """

    run: Run
    same: int
    different: int
    gone: int
    new: int
    largest: float
    changes: tuple[str, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The run's name, with how many of the categories it is about where not all."""
        return marked_name(self.run)

    @property
    def identical(self) -> bool:
        """Whether every image of the run has its predictions again, and no other came in."""
        return not (self.different or self.gone or self.new)


def wanted_again(con: Connection, run: Run, name: str | None = None, command: str = "") -> Classification:
    """Return what a run asked for, as it stands on record: prompts, filter, k and encoder."""
    prompts = load_prompt_set(con, run.prompt_set_id)
    return Classification(prompts, name, run.where, run.k, str(run.encoder_id), run.settings, command, run.seed)


def rerun(store: Store, run: Run, load: LoadEncoder) -> Rerun:
    """Make a run again and compare it with its record, without recording anything.

    Raises:
        EmptyStore, UnknownClass, EncoderMismatch, ModelUnavailable: it can no longer be repeated.
    """
    with store.reading() as con:
        wanted = wanted_again(con, run)
    texts = _texts_again(store, run, load)
    made = answer(store, wanted, load, texts.wrong)
    remember(store, made.work.encoder_id, made.new_texts)
    with store.reading() as con:
        kept = con.table(
            "SELECT image_id, rank, category, cosine FROM predictions WHERE run_id = $run ORDER BY image_id, rank",
            {"run": run.run_id},
        )
        changes = [*_changes(con, run, made), *texts.changes, *version_changes(run.versions, versions())]
    unchecked = [*texts.unchecked]
    same, different, gone, new, largest = _matched(kept, made.spooled.table("predictions"), run.k)
    if not run.data_sha256:
        unchecked.append("the run was recorded before data digests existed, so the images could not be compared")
    return Rerun(run, same, different, gone, new, largest, tuple(changes), tuple(unchecked))


def _matched(kept: pa.Table, made: pa.Table, k: int) -> tuple[int, int, int, int, float]:
    ids_kept, ids_made = (np.asarray(part["image_id"].to_numpy())[::k] for part in (kept, made))
    _, rows_kept, rows_made = np.intersect1d(ids_kept, ids_made, assume_unique=True, return_indices=True)
    classes = [np.array(part["category"].to_pylist(), dtype=object).reshape(-1, k) for part in (kept, made)]
    cosines = [np.asarray(part["cosine"].to_numpy()).reshape(-1, k) for part in (kept, made)]
    equal = (classes[0][rows_kept] == classes[1][rows_made]).all(axis=1)
    apart = np.abs(cosines[0][rows_kept] - cosines[1][rows_made])[equal]
    both = len(rows_kept)
    same = int(equal.sum())
    return same, both - same, len(ids_kept) - both, len(ids_made) - both, float(apart.max(initial=0.0))


def _changes(con: Connection, run: Run, made: Answers) -> list[str]:
    changes = []
    if run.data_sha256 not in ("", made.data_sha256):
        changes.append(
            f"the images: {run.scored:,} were scored then, {len(made.work.ids):,} are there now, with differences"
        )
    relabelled = _relabelled(con, run, made.spooled.table("truths"))
    if relabelled:
        changes.append(f"the labels of {relabelled:,} image{'s' * (relabelled != 1)}")
    elif run.labels_sha256 not in ("", made.labels_sha256) and run.data_sha256 == made.data_sha256:
        # They mean the same classes, by an alias, or went from one image to another.
        changes.append("the labels of some images")
    failed = made.work.unscored.failed
    if run.failed != failed:
        changes.append(f"images that could not be scored: {run.failed:,} then, {failed:,} now")
    return changes


def _relabelled(con: Connection, run: Run, made: pa.Table) -> int:
    """Return how many of the run's images have a label of another class now, or had one and have none."""
    with con.holding("made_truths", made):
        return int(
            con.value(
                "SELECT count(*) FROM truths t JOIN made_truths m USING (image_id) "
                "WHERE t.run_id = $run AND t.category IS DISTINCT FROM m.category",
                {"run": run.run_id},
            )
        )


def version_changes(before: object, after: object) -> list[str]:
    """Return what differs between the versions of two runs, such as `torch 2.4.0 -> 2.5.0`."""
    assert isinstance(before, dict) and isinstance(after, dict)
    names: Sequence[str] = sorted(before.keys() | after.keys())
    return [
        f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


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
    same_classes: bool = True

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two, each with how many of the categories it is about where not all."""
        return marked_name(self.first), marked_name(self.second)


def diff(store: Store, first: str, second: str, anyway: bool = False) -> RunDiff:
    """Return how two runs differ.

    Raises:
        OptionError: there is no such run.
        EvaluationError: they chose among different classes, and not `anyway`.
    """
    with store.reading() as con:
        a, b = find_run(con, first), find_run(con, second)
        same = same_classes(con, [a, b], anyway)
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
    return RunDiff(a, b, tuple(asked), shared, changed, gained, lost, a.scored - shared, b.scored - shared, same)


def _asked(con: Connection, a: Run, b: Run) -> list[Difference]:
    encoders = list_encoders(con)
    pairs = [
        ("encoder", *_encoders(encoders[a.encoder_id], encoders[b.encoder_id])),
        ("predictions kept", f"{a.k} per image", f"{b.k} per image"),
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
        return "not a class"
    shown = " | ".join(texts[:4])
    return shown if len(texts) <= 4 else f"{shown} and {len(texts) - 4} more"
