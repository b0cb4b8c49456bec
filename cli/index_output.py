"""What `shotdex index` says: the plan before, and the report after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shotdex.formatting import plain, shown_path, visible
from shotdex.store.images import Labels
from shotdex.store.types import EncoderId, IndexReport

from .render import note, out

if TYPE_CHECKING:
    from shotdex.indexer.layout import Labelling
    from shotdex.indexer.plan import Plan
    from shotdex.indexer.preview import Preview
    from shotdex.media.sources import Source

EXAMPLES = 5

OTHERS = "other files do not have an image's name and were left out"


def as_dict(report: IndexReport) -> dict[str, Any]:
    """Return a report as JSON has it: the number of failures has been called `rejected` there since the beginning."""
    said: dict[str, Any] = plain(report)
    return {"rejected" if name == "failed" else name: value for name, value in said.items()}


def show_examples(plan: Plan, labelling: Labelling) -> None:
    """Say, before the first batch, how the first images are labelled."""
    examples = plan.examples(EXAMPLES)
    if plan.work:
        read = f", read as {labelling.record.layout}" if labelling.record.layout else ""
        note(f"{_images(plan.work)} to read; labels{read}, the first:")
        for line in _examples(examples):
            note(line)


def _examples(examples: list[tuple[str, Labels]]) -> list[str]:
    return [f"  {visible(relative)}: {_said(labels)}" for relative, labels in examples]


def _said(labels: Labels) -> str:
    parts = {"category": labels.category, "condition": labels.condition, "split": labels.split}
    return ", ".join(f"{name} {visible(value)}" for name, value in parts.items() if value is not None) or "no labels"


def print_preview(plan: Preview, root: Path, encoder: EncoderId | str) -> None:
    """Print what an indexing would do."""
    out(f"{plan.kind} {visible(shown_path(plan.source))} into {visible(shown_path(str(root)))}, nothing written:")
    counts = {
        "new": plan.new,
        "changed": plan.changed,
        "unchanged": plan.unchanged,
        "unchanged, to be encoded with a further model": plan.unencoded,
        "with other labels": plan.relabelled,
        "gone": plan.gone,
        "cannot be used": plan.failed,
        "without a category": plan.unlabelled,
        "no images by their names": plan.ignored,
    }
    for word, count in counts.items():
        if count or word == "new":
            out(f"  {count:>9,} {word}")
    here = "" if isinstance(encoder, EncoderId) else " (not on this machine: it would be fetched from the hub)"
    out(f"  model: {encoder}{here}")
    if plan.needed_bytes is not None:
        out(f"  disk: about {_bytes(plan.needed_bytes)} needed, {_bytes(plan.free_bytes)} free")
    else:
        out(f"  disk: {_bytes(plan.free_bytes)} free")
    out(f"  labels: {visible(plan.layout) if plan.layout else 'no layout'}; the first images:")
    for line in _examples(list(plan.examples)):
        out(f"  {line}")
    for sentence in plan.notes:
        out(f"  {visible(sentence)}")


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def print_report(report: IndexReport, source: Source, root: Path, encoder: EncoderId) -> None:
    """Print what an indexing did, with its failures by reason and an example of each."""
    counts = {
        "added": report.added,
        "unchanged": report.unchanged,
        "changed": report.changed,
        "moved": report.moved,
        "unchanged and encoded with a further model": report.encoded,
        "with other labels": report.relabelled,
        "gone": report.removed,
        "failed": report.failed,
    }
    shown = ", ".join(f"{n:,} {word}" for word, n in counts.items() if n or word in ("added", "unchanged"))
    handled = report.added + report.changed + report.moved + report.encoded
    rate = f" ({handled / report.seconds:,.0f} images a second)" if handled >= 100 and report.seconds > 0 else ""
    out(f"{source.kind} {visible(shown_path(source.root))}: {shown} in {report.seconds:.1f} s{rate}")
    for line in report.notes:
        choose = " (choose with --layout)" if line.startswith("taking") else ""
        out(f"  {'labels: ' if choose else ''}{visible(line)}{choose}")
    if report.unlabelled:
        out(f"  {_images(report.unlabelled)} {'has' if report.unlabelled == 1 else 'have'} no category")
    if report.ignored:
        alone = "other file does not have an image's name and was left out"
        out(f"  1 {alone}" if report.ignored == 1 else f"  {report.ignored:,} {OTHERS}")
    for reason, count in report.reasons.items():
        first = next((failure for failure in report.failures if failure.reason == reason), None)
        example = f", such as {visible(shown_path(first.path))} ({visible(first.detail)})" if first is not None else ""
        out(f"  failed, {reason}: {count:,}{example}")
    out(f"  store {shown_path(str(root))}, encoder {encoder}")
