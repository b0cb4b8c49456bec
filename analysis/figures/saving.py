"""Figures as files: PNG, SVG or PDF, which say what they show; the same figure gives the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from shotdex.store.errors import OptionError

from .drawing import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")


def check_target(path: Path) -> None:
    """Raise for a file that `save` would not write, before anything is computed for it.

    Raises:
        OptionError: an extension other than .png, .svg and .pdf, a folder that is not there, or a file that exists and
            is not a figure of shotdex: only such a one is replaced.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OptionError(f"cannot draw a {suffix or 'nameless'} file: {path}", f"use one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise OptionError(f"there is no folder {path.parent} to write {path.name} to", "create it first")
    if path.exists() and not _is_ours(path):
        raise OptionError(
            f"{path} exists and is not a figure that shotdex drew, so it was not changed",
            "choose another name, or remove it first",
        )


MADE_BY = "shotdex figure"
"""The mark in the metadata of a figure."""


def _is_ours(path: Path) -> bool:
    """Tell whether a file is a figure of shotdex."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return MADE_BY.encode() in data


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, SVG or PDF, by the extension, at the dots per inch that it was made for.

    It is written aside and renamed, so that a reader never meets half a file, and carries no date, so that the same
    figure gives the same bytes.

    Raises:
        OptionError: another extension, or a place that cannot be written to.
    """
    from matplotlib import rc_context

    check_target(path)
    suffix = path.suffix.lower()
    drawing: Drawing = getattr(figure, "drawing", None) or Drawing()
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=suffix, delete=False) as aside:
            aside_path = Path(aside.name)
        try:
            # The salt makes the ids inside an SVG depend on the drawing alone; texts stay texts, that can be edited.
            with rc_context({"svg.hashsalt": "shotdex", "svg.fonttype": "none", "pdf.fonttype": 42}):
                figure.savefig(aside_path, dpi=drawing.style.dpi, metadata=_metadata(figure, drawing, suffix))
            aside_path.chmod(0o666 & ~_umask())
            aside_path.replace(path)
        finally:
            aside_path.unlink(missing_ok=True)
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from error


def _metadata(figure: Figure, drawing: Drawing, suffix: str) -> dict[str, str | None]:
    """Return what a file says about its figure under the names that its format has; no date of writing."""
    facts = dict(drawing.about.facts)
    told = "; ".join(f"{name}: {value}" for name, value in facts.items())
    heads = [axes.get_title(loc="left") for axes in figure.axes]
    heads.append(figure.get_suptitle().split("\n")[0])
    heads += [text.get_text() for axes in figure.axes for text in axes.texts[:1]]  # a page's title is its first text
    title = drawing.style.title or next((" ".join(head.split()) for head in heads if head), "")
    if suffix == ".pdf":
        return {"Title": title, "Subject": told, "Creator": MADE_BY, "CreationDate": None}
    if suffix == ".svg":
        return {"Title": title, "Description": told, "Creator": MADE_BY, "Date": None}
    return {"Title": title, "Description": told, "Software": MADE_BY, **facts}


def _umask() -> int:
    """Return the process's file mask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
