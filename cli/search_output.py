"""What becomes of the hits of a search: printed, shown, drawn, copied, linked, saved, opened."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shotdex.formatting import plain, shown_path, z_cell
from shotdex.hits import OPENED
from shotdex.store.errors import OptionError
from shotdex.store.queries import Hit
from shotdex.store.selections import check_name
from shotdex.terminal_images import protocol_of

if TYPE_CHECKING:
    from shotdex import SearchResult

from .options import save_figure
from .render import note, out_styled
from .rows import PATHS, chosen_fields, print_paths, print_rows

FIELDS = (*(field.name for field in dataclasses.fields(Hit)), "score")
"""What `--fields` knows."""


def _show(found: SearchResult) -> None:
    """Draw the hits in the terminal as it takes images; into a pipe nothing is drawn."""
    protocol = protocol_of(os.environ)
    if not sys.stdout.isatty() or protocol is None:
        where = "a terminal with colours" if sys.stdout.isatty() else "a terminal"
        note(f"--show draws only in {where}; for a file: --sheet hits.png")
        return
    out_styled(found.terminal(shutil.get_terminal_size().columns, protocol))


@dataclasses.dataclass(frozen=True)
class Output:
    """What is to become of the hits, as the options say."""

    form: str | None
    nul: bool
    fields: str | None
    wide: bool
    show: bool
    opened: bool
    sheet: Path | None
    copy_to: Path | None
    link_to: Path | None
    save: str | None
    changed: bool

    def check(self) -> None:
        """Refuse options that do not go together, before any work is done.

        Raises:
            OptionError: some do not, or there is no such field; a file, folder or name for the hits cannot be used.
        """
        if self.sheet is not None:
            from shotdex.figures import check_target

            check_target(self.sheet)
        for folder in (self.copy_to, self.link_to):
            if folder is not None:
                from shotdex.query.copying import check_folder

                check_folder(folder)
        if self.save is not None:
            check_name(self.save)
        if self.nul and self.form not in (None, PATHS):
            raise OptionError(f"--print0 prints paths, and --format {self.form} does not", "leave out one of them")
        if self.fields is not None and (self.nul or self.form == PATHS):
            raise OptionError("paths have no fields", "leave out --fields, or choose another --format")
        chosen_fields(self.fields, FIELDS)

    def write(self, found: SearchResult) -> None:
        """Print the hits, and draw, copy, link, save and open them."""
        form = PATHS if self.nul else self.form or "table"
        render(found, form, self.fields, nul=self.nul, more=found.more, wide=self.wide)
        if not found and self.form in (None, "table"):
            note("no image passes the filter, or reaches the threshold")
        if self.show and found:
            _show(found)
        for one in found.notes:
            note(one)
        self._name_left_out(found)
        if self.sheet is not None:
            save_figure(found.sheet(changed=self.changed), self.sheet)
        if self.copy_to is not None:
            copied = found.copy_to(self.copy_to, changed=self.changed)
            note(f"copied {len(copied):,} of {len(found):,} images to {self.copy_to}")
        if self.link_to is not None:
            linked = found.link_to(self.link_to, changed=self.changed)
            note(f"linked {len(linked):,} of {len(found):,} images in {self.link_to}")
        if self.save is not None:
            found.save(self.save)
            note(f"saved {len(found):,} images as @{self.save}")
        if self.opened:
            found.open(changed=self.changed)

    def _name_left_out(self, found: SearchResult) -> None:
        if (self.sheet is not None or self.opened) and not self.changed:
            for hit in found.changed(None if self.sheet is not None else OPENED):
                note(f"left out: {shown_path(hit.path)} (changed since indexed; --changed shows it)")


def render(
    hits: Sequence[Hit],
    form: str,
    fields: str | None = None,
    *,
    nul: bool = False,
    more: Mapping[int, int] | None = None,
    wide: bool = False,
) -> None:
    """Print hits in one of the formats; `fields` are those of `--fields`. In a terminal paths are cut unless `wide`.

    Raises:
        OptionError: there is no such field.
    """
    names = chosen_fields(fields, FIELDS)
    if form == PATHS:
        print_paths([hit.path for hit in hits], nul=nul)
        return
    if fields is None and form in ("table", "markdown"):
        labels = [name for name in ("category", "condition", "split") if any(getattr(hit, name) for hit in hits)]
        names = ["rank", "cosine", "z", *labels, "path"]
    if form == "table" and not hits:
        return
    person = form in ("table", "markdown")
    # `score` is the name that the cosine had until version 0.1.
    values = [[hit.cosine if name == "score" else getattr(hit, name) for name in names] for hit in hits]
    shown = _cell if person else lambda name, value: plain(value)
    rows = [[shown(name, value) for name, value in zip(names, row, strict=True)] for row in values]
    if more and fields is None:
        names = [*names[:-1], "more", names[-1]]
        behind = [more.get(hit.image_id, 0) for hit in hits]
        marks = [f"+{count}" if count and person else "" if person else count for count in behind]
        rows = [[*row[:-1], mark, row[-1]] for row, mark in zip(rows, marks, strict=True)]
    print_rows(names, rows, form, wide=wide)


def _cell(name: str, value: Any) -> Any:
    if name in ("cosine", "score"):
        return f"{value:.4f}"
    if name == "z":
        return z_cell(value)
    return shown_path(value) if name == "path" else "" if value is None else value
