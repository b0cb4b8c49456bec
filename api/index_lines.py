"""What an indexing would do, and sentences on what it reads as labels and what it leaves out."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shotdex.store.types import EncoderId, LeftOut

from .formatting import shown_path, visible
from .keywords import Note
from .tabular import Records

if TYPE_CHECKING:
    from pathlib import Path

    from shotdex.indexer.layout import Labelling
    from shotdex.indexer.plan import ClassExample, Plan
    from shotdex.indexer.preview import Preview
    from shotdex.store.images import Labels


def announce(note: Note, plan: Plan, labelling: Labelling) -> None:
    """Say what is about to be indexed: how many images are read, how the first are labelled, classes and notes."""
    if plan.work:
        read = f", read as {labelling.record.layout}" if labelling.record.layout else ""
        note(f"{plan.work:,} image{'' if plan.work == 1 else 's'} to read; labels{visible(read)}, the first:")
        for relative, labels in plan.examples(5):
            note(f"  {example_line(relative, labels)}")
    for line in (*class_lines(plan.categories, plan.classes), *plan.notes):
        if not line.startswith("taking"):
            note(visible(line))


def example_line(relative: str, labels: Labels) -> str:
    """Return an image's path within its source with its labels."""
    parts = {"category": labels.category, "condition": labels.condition, "split": labels.split}
    said = ", ".join(f"{name} {visible(value)}" for name, value in parts.items() if value is not None)
    return f"{visible(relative)}: {said or 'no labels'}"


def class_lines(count: int, examples: Sequence[ClassExample]) -> list[str]:
    """Return the number of classes, with the most doubtful and a sure example of each that file names begin with."""
    if not examples:
        return [f"{count:,} class{'' if count == 1 else 'es'}"] if count else []
    lines = [
        f"{count:,} class{'' if count == 1 else 'es'}, read from the start of file names; doubtful and clear examples:"
    ]
    for each in examples[:CLASSES]:
        paths = ((each.doubtful, " (doubtful)"), (each.sure, ""))
        lines.append("  " + "; ".join(f"{visible(path)}: {visible(each.category)}{how}" for path, how in paths if path))
    return lines + ([f"  and {len(examples) - CLASSES:,} more"] if len(examples) > CLASSES else [])


CLASSES = 20
"""Classes with examples that are shown; those with the greatest doubts come first."""

NAMED, UNLABELLED = 4, 10


def unlabelled_lines(paths: Sequence[str], count: int, source: str = "") -> list[str]:
    """Return the first images without a category, in a sentence."""
    if not count:
        return []
    images = "1 image has" if count == 1 else f"{count:,} images have"
    shown = ", ".join(visible(_within(path, source)) for path in paths[:UNLABELLED])
    return [f"{images} no category: {shown}" + (", ..." if count > UNLABELLED else "")]


def left_out_lines(found: Sequence[LeftOut], source: str) -> list[str]:
    """Return what was not taken for an image, a line for each kind, with the first few and the option that takes it."""
    return [_left_out_line(each, source) for each in found]


def _left_out_line(left: LeftOut, source: str) -> str:
    one = left.count == 1
    named = ", ".join(visible(_within(path, source)) for path in left.paths[:NAMED])
    named += ", ..." if left.count > NAMED else ""
    kind = left.kind.removesuffix("s") if one else left.kind
    if left.kind == "other files":
        ends = ", ".join(f"{end or 'no ending'} {n:,}" for end, n in left.extensions.items())
        does = "1 other file does" if one else f"{left.count:,} other files do"
        kinds = f"{ends}: " if len(left.extensions) > 1 else ""
        return f"{does} not have an image's name and {'was' if one else 'were'} left out: {kinds}{named}"
    if left.kind in ("RAW files", "live photo videos"):
        whose = "belongs to the image" if one else "belong to the images"
        return f"{left.count:,} {kind} {whose} of the same name, counted once: {named}"
    head = f"{left.count:,} {kind} {'was' if one else 'were'} left out: {named}"
    if left.kind in ("system folders", "hidden folders"):
        return f"{head} (--all-folders takes {'it' if one else 'them'})"
    if left.kind in ("archives", "tables") and "!" not in left.paths[0]:
        return f"{head} (index {'it' if one else 'the first'} with: shotdex index {_quoted(left.paths[0])})"
    return head


def _quoted(path: str) -> str:
    return visible(shlex.quote(shown_path(path)))


def _within(path: str, source: str) -> str:
    start = source.rstrip("/")
    return path[len(start) + 1 :] if source and path.startswith((f"{start}/", f"{start}!")) else path


@dataclass(frozen=True, slots=True)
class PreviewCount:
    """How many images an indexing would treat in one way."""

    images: int
    what: str


class IndexPreview(Records[PreviewCount]):
    """What `index` would do: a row for each possible outcome for an image, with the number of images.

    `plan` has all of it, also under the names of its fields: `source`, `kind`, `layout`, `examples` (paths within the
    source with their labels), the counts `new`, `changed`, `unchanged`, `unencoded`, `relabelled`, `gone`, `failed`,
    `unlabelled` and `ignored`, `needed_bytes` and `free_bytes` on disk, `notes`. `model` is the encoder, or the name of
    a model that is not on this machine.
    """

    def __init__(self, plan: Preview, store: Path, model: EncoderId | str) -> None:
        self.plan = plan
        self.model = model
        self._title = f"{plan.kind} {visible(shown_path(plan.source))} into {visible(shown_path(str(store)))}"
        counts = {
            "new": plan.new,
            "changed": plan.changed,
            "unchanged": plan.unchanged,
            "unchanged, to be encoded with another model": plan.unencoded,
            "with other labels": plan.relabelled,
            "gone": plan.gone,
            "cannot be used": plan.failed,
            "without a category": plan.unlabelled,
            "without an image extension": plan.ignored,
        }
        super().__init__([PreviewCount(count, what) for what, count in counts.items() if count or what == "new"])

    def __getattr__(self, name: str) -> Any:
        if name == "plan":  # not there yet
            raise AttributeError(name)
        return getattr(self.plan, name)

    def _headline(self) -> str:
        return f"{self._title}, nothing written:"

    def _further(self) -> list[str]:
        plan, here = self.plan, isinstance(self.model, EncoderId)
        needed = f"about {_bytes(plan.needed_bytes)} needed, " if plan.needed_bytes is not None else ""
        return [
            f"model: {self.model}{'' if here else ' (not on this machine: it would be fetched from the hub)'}",
            f"disk: {needed}{_bytes(plan.free_bytes)} free",
            f"labels: {visible(plan.layout) if plan.layout else 'no layout'}; the first images:",
            *(f"  {example_line(relative, labels)}" for relative, labels in plan.examples),
            *class_lines(plan.categories, plan.classes),
            *unlabelled_lines(plan.unlabelled_files, plan.unlabelled),
            *left_out_lines(plan.left_out, plan.source),
            *map(visible, plan.notes),
        ]

    def __repr__(self) -> str:
        counts = [f"  {row.images:>9,} {row.what}" for row in self]
        return "\n".join([self._headline(), *counts, *(f"  {line}" for line in self._further())])

    def _repr_html_(self) -> str:
        """Return the counts as a table, and the rest below, for a notebook; all text in it is escaped."""
        return f"{super()._repr_html_()}<pre>{html.escape(chr(10).join(self._further()))}</pre>"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
