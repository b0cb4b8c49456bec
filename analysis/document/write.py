"""A document about runs, written to a file or folder whose name says as what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from shotdex.analysis.report import Report
from shotdex.models.protocols import LoadEncoder
from shotdex.store.errors import OptionError
from shotdex.store.store import Store

from .compose import compose
from .gather import DocumentOptions, Material, gather

HINT = "use report.html, report.ipynb, tables.tex, or a folder for Markdown: report/"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the path, its bytes (of all files in a folder), what had to be left out, in sentences, and the
    numbers of the run that the document is about.
    """

    path: Path
    bytes: int
    notes: tuple[str, ...]
    report: Report


def write_document(
    store: Store, names: Sequence[str], target: str | os.PathLike[str], options: DocumentOptions, load: LoadEncoder
) -> Written:
    """Write a document about runs, the newest where none is named: HTML, Markdown, a notebook or LaTeX tables.

    The suffix of `target` decides: .html, .ipynb or .tex; a name without one, or that ends in a slash, is a folder for
    Markdown and PNGs. The same store gives the same bytes.

    Raises:
        OptionError: another suffix, no such folder, or a place that cannot be written to; and what `gather` raises.
    """
    path, suffix = check_target(target)
    found = gather(store, names, options, load)
    written = _files(found, path, suffix)
    for place, content in written.items():
        _write(place, content)
    notes = list(found.beyond)
    if suffix == ".html" and isinstance(found.explore, str):
        notes.append(f"The section “Leave something out” is left out: {found.explore}.")
    return Written(path, sum(map(len, written.values())), tuple(notes), found.main.report)


def check_target(target: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return where to write, and the suffix that says as what, "" for a folder; nothing is written.

    Raises:
        OptionError: another suffix, no such folder, or a file where the folder should be.
    """
    path, folder = Path(target), str(target).endswith(("/", os.sep))
    suffix = "" if folder or path.is_dir() else path.suffix.lower()
    if suffix not in ("", ".html", ".htm", ".ipynb", ".tex"):
        raise OptionError(f"cannot write a report as {suffix}: {path}", HINT)
    if not path.parent.is_dir():
        raise OptionError(f"there is no folder {path.parent} to write {path.name} to", "create it first")
    if not suffix and path.exists() and not path.is_dir():
        raise OptionError(f"{path} is a file, and Markdown needs a folder", HINT)
    return path, ".html" if suffix == ".htm" else suffix


def _files(found: Material, path: Path, suffix: str) -> dict[Path, bytes]:
    from . import html, latex, markdown, notebook

    document = compose(found)
    if suffix == ".html":
        return {path: html.render(document).encode()}
    if suffix == ".ipynb":
        return {path: notebook.render(document, found).encode()}
    if suffix == ".tex":
        return {path: latex.render(document).encode()}
    return {path / name: content for name, content in markdown.render(document).items()}


def _write(place: Path, content: bytes) -> None:
    """Write a file aside and rename it, so that a reader never meets half of one."""
    try:
        place.parent.mkdir(exist_ok=True)
        with NamedTemporaryFile(dir=place.parent, prefix=".", suffix=place.suffix, delete=False) as aside:
            aside.write(content)
        mask = os.umask(0o022)
        os.umask(mask)
        Path(aside.name).chmod(0o666 & ~mask)
        Path(aside.name).replace(place)
    except OSError as error:
        raise OptionError(f"cannot write {place}: {error.strerror or error}", "choose another place") from error
