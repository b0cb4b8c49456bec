"""Sentences on what an indexing reads as labels and what it leaves out, for a preview, a report and the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shotdex.store.types import LeftOut

from .formatting import shown_path, visible

if TYPE_CHECKING:
    from shotdex.indexer.plan import ClassExample, Plan
    from shotdex.store.images import Labels


def plan_lines(plan: Plan, layout: str | None) -> Iterator[str]:
    """Yield what is about to be indexed: how many images are read, how the first are labelled, classes and notes."""
    if plan.work:
        read = f", read as {layout}" if layout else ""
        yield f"{plan.work:,} image{'' if plan.work == 1 else 's'} to read; labels{visible(read)}, the first:"
        for relative, labels in plan.examples(5):
            yield f"  {example_line(relative, labels)}"
    for line in (*class_lines(plan.count_categories(), plan.classes), *plan.notes):
        if not line.startswith("taking"):
            yield visible(line)


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
        f"{count:,} class{'' if count == 1 else 'es'}, read off the start of file names; doubtful and sure examples:"
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
