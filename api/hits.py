"""The hits of a search: they draw, copy, link, save and open their images, and are thumbnails in a notebook."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shotdex.store.file_names import local
from shotdex.store.location import user_path
from shotdex.store.queries import Hit

from .formatting import shown_path, z_cell
from .tabular import Tabular

if TYPE_CHECKING:
    import fiftyone
    from matplotlib.figure import Figure

    from shotdex.query.copying import Copied
    from shotdex.query.ranking import Ranking
    from shotdex.store.store import Store

THUMBNAILS = 50
"""Hits that a notebook shows as images; the rest are rows."""

OPENED = 20
"""Hits that are opened in the system's viewer at most."""

FAILED = 5
"""Images that could not be copied which are named one by one."""

THUMBNAIL_SIDE = 160
"""Pixels of a thumbnail's longest side: as JPEG about 5 kB, so that fifty make a notebook 0.4 MB larger at the most."""


class SearchResult(Tabular[Hit]):
    """The hits of a search, best first. A notebook shows them as a row of thumbnails.

    `query` describes the query in words, `images` is the number of images searched, and `seconds` the time taken, not
    counting opening the store. `approximate` is None if every image was compared, or if Milvus was used. `notes` list
    texts that are longer than the model reads, how to search faster, and why Milvus was not used. `engine` is the one
    that was used: "faiss" or "milvus". With `collapse`, `more` has the number of near-duplicates behind each hit, by
    image id.
    """

    def __init__(
        self, found: Ranking, query: str, store: Store | None = None, more: Mapping[int, int] | None = None
    ) -> None:
        self.query = query
        self.images = found.images
        self.seconds = found.seconds
        self.approximate = found.approximate
        self.notes = found.notes
        self.engine = found.engine
        self.more = dict(more or {})
        self._hits = tuple(found.hits)
        self._store = store

    columns = ("rank", "image_id", "path", "cosine", "category", "condition", "split", "z")

    def _rows(self) -> Sequence[Hit]:
        return self._hits

    def _values(self, row: Hit) -> Sequence[Any]:
        return [getattr(row, name) for name in self.columns]

    def _headline(self) -> str:
        return f"{len(self)} of {self.images:,} images nearest to {self.query}"

    def _headings(self) -> Sequence[str]:
        return ("rank", "cosine", "z", "category", "condition", "split", "path")

    def _cells(self, row: Hit) -> Sequence[Any]:
        return [
            row.rank,
            f"{row.cosine:.4f}",
            z_cell(row.z),
            row.category,
            row.condition,
            row.split,
            shown_path(row.path),
        ]

    def changed(self, first: int | None = None) -> list[Hit]:
        """Return the hits whose files have changed since they were indexed; the files are read for this.

        Args:
            first: check only this many of the hits.
        """
        from shotdex.media.sources import read_bytes
        from shotdex.query.copying import has_changed

        found, contents = [], self._contents()
        for hit in self._hits[:first]:
            with suppress(Exception):  # what cannot be read at all shows where it is used
                if has_changed(read_bytes(hit.path), contents.get(hit.path)):
                    found.append(hit)
        return found

    def _contents(self) -> dict[str, str]:
        """Return the SHA-256 that the images were indexed with, by path."""
        if self._store is None:
            return {}
        query = "SELECT path, content_sha256 FROM stored_images WHERE image_id IN (SELECT unnest($ids)::BIGINT)"
        with self._store.reading() as con:
            return dict(con.rows(query, {"ids": [hit.image_id for hit in self._hits]}))

    def sheet(self, *, changed: bool = False) -> Figure:
        """Return a contact sheet of the hits: a matplotlib Figure with rank and cosine under each image.

        Args:
            changed: also show images that changed since they were indexed, which may no longer be what was found.

        Raises:
            UnreadableImage: none of the images can be read any longer, or all of them changed.
        """
        from shotdex.analysis.plots import sheet_plot
        from shotdex.store.errors import UnreadableImage

        others = () if changed else self.changed()
        hits = [hit for hit in self._hits if hit not in others]
        if others and not hits:
            raise UnreadableImage("all of the images changed since they were indexed", "index them again")
        return sheet_plot(hits, self.query)

    def copy_to(self, folder: str | os.PathLike[str], *, changed: bool = False) -> list[str]:
        """Copy the images of the hits to a folder, named by rank, and return their paths; nothing is overwritten.

        Args:
            changed: also copy images that changed since they were indexed, which may no longer be what was found.

        Raises:
            OptionError: the folder cannot be written to.
            UnreadableImage: one of the images can no longer be read, or changed; the others are copied.
        """

        from shotdex.query.copying import copy_images

        copied = copy_images([hit.path for hit in self._hits], user_path(folder), None if changed else self._contents())
        return self._all_of(copied, "copied")

    def link_to(self, folder: str | os.PathLike[str], *, changed: bool = False) -> list[str]:
        """Make symbolic links to the hits in a folder, named by rank, and return their paths; nothing is overwritten.

        Args:
            changed: also link images that changed since they were indexed, which may no longer be what was found.

        Raises:
            OptionError: the folder cannot be written to.
            UnreadableImage: a hit changed, or is not a local file, for example in an archive; the others are linked.
        """
        from shotdex.query.copying import link_images

        linked = link_images([hit.path for hit in self._hits], user_path(folder), None if changed else self._contents())
        return self._all_of(linked, "linked")

    def _all_of(self, made: Copied, done: str) -> list[str]:
        """Return the paths of copies or links, or raise an error that names the images without one."""
        from shotdex.store.errors import UnreadableImage

        if made.failed:
            first = "; ".join(f"{shown_path(address)} ({reason})" for address, reason in made.failed[:FAILED])
            more = f"; and {len(made.failed) - FAILED:,} more" if len(made.failed) > FAILED else ""
            raise UnreadableImage(
                f"{done} {len(made.paths):,} of {len(self):,} images to {made.folder}; not {done}: {first}{more}",
                "check the files with: shotdex verify --files",
            )
        return [str(path) for path in made.paths]

    def terminal(self, columns: int = 80, protocol: str = "blocks") -> str:
        """Return the hits as small images for a terminal, each with its rank, cosine and name below.

        Args:
            columns: width of the terminal in characters.
            protocol: "blocks" (half-blocks in 24-bit colours), "blocks-256", "kitty" or "iterm".

        Raises:
            OptionError: there is no such protocol. UnreadableImage: none of the images can be read any longer.

        >>> print(store.search("a hat", k=2).terminal(40).splitlines()[-1])  # doctest: +ELLIPSIS
        1 ... 2 ...
        """
        from shotdex.analysis.thumbnails import read_small
        from shotdex.store.errors import OptionError

        from .terminal_images import Protocol, drawn

        if protocol not in set(Protocol):
            raise OptionError(f"there is no protocol {protocol!r}", f"choose one of {', '.join(Protocol)}")
        images = read_small([hit.path for hit in self._hits], 2 * THUMBNAIL_SIDE)
        others = self.changed()
        names = ["(changed) " * (hit in others) + hit.path.rstrip("/").rsplit("/", 1)[-1] for hit in self._hits]
        captions = [f"{hit.rank} {hit.cosine:.3f} {name}" for hit, name in zip(self._hits, names, strict=True)]
        return drawn(images, captions, columns, Protocol(protocol))

    def save(self, name: str) -> None:
        """Save the hits as a named selection: `@name` in a filter, `like="name"` in a search.

        Args:
            name: made of letters, digits, `_`, `-` and `.`.

        Raises:
            OptionError: the name is taken or invalid, or there are no hits. StoreLocked.
        """
        from shotdex.store.selections import save_selection

        assert self._store is not None
        with self._store.writing() as con:
            save_selection(con, name, [hit.image_id for hit in self._hits], self.query)

    def open(self, *, changed: bool = False) -> list[str]:
        """Open the hits in the system's image viewer, the first `OPENED` of them, and return their paths.

        Args:
            changed: also open images that changed since they were indexed, which may no longer be what was found.

        Raises:
            ShotdexError: there is no program that opens files (xdg-open on Linux).
            UnreadableImage: none of the hits is a local file.
        """
        import shutil
        import subprocess
        import sys

        from shotdex.store.errors import ShotdexError, UnreadableImage

        others = () if changed else self.changed(OPENED)
        hits = [hit for hit in self._hits[:OPENED] if hit not in others]
        paths = [local(hit.path) for hit in hits if os.path.isfile(local(hit.path))]  # noqa: PTH113
        if others and not paths:
            raise UnreadableImage("all of the images changed since they were indexed", "index them again")
        if not paths:
            raise UnreadableImage("none of the images is a file here", "copy them first: --copy-to DIR")
        if sys.platform == "win32":
            for path in paths:
                os.startfile(path)
            return paths
        program = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
        if program is None:
            raise ShotdexError("there is no xdg-open, which opens files", "apt install xdg-utils   or use --show")
        # One window for all where the viewer can; xdg-open takes one file at a time.
        for some in [paths] if sys.platform == "darwin" else [[path] for path in paths]:
            subprocess.run([program, *some], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return paths

    def to_fiftyone(self) -> list[fiftyone.Sample]:
        """Return the hits as samples of FiftyOne, with `cosine`, `z` and the category as `ground_truth`.

        `fiftyone.Dataset("hits").add_samples(found.to_fiftyone())` makes a data set of them, for which FiftyOne starts
        its own database.

        Raises:
            ShotdexError: FiftyOne is not installed.
            UnreadableImage: none of the hits is a local file, for example because all are in archives.
        """
        from shotdex.exchange.samples import samples

        return samples(self.to_dicts())

    def _repr_html_(self) -> str:
        """Return the hits as thumbnails with rank, cosine and path; every text is escaped."""
        shown = self._hits[:THUMBNAILS]
        figures = "".join(map(_thumbnail, shown, encoded_thumbnails([hit.path for hit in shown])))
        more = f"<p>... and {len(self) - THUMBNAILS:,} more</p>" if len(self) > THUMBNAILS else ""
        style = "display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end"
        return f'<p>{html.escape(self._headline())}</p><div style="{style}">{figures}</div>{more}'


def _thumbnail(hit: Hit, source: str | None) -> str:
    name = html.escape(shown_path(hit.path), quote=True)
    label = html.escape(hit.category) + "<br>" if hit.category else ""
    image = f'<img src="{source}" alt="{name}" title="{name}">' if source else f"<div>{name}: not readable</div>"
    style = f"margin:0;max-width:{THUMBNAIL_SIDE}px;font-size:11px;text-align:center;overflow-wrap:anywhere"
    caption = f"{hit.rank}. {hit.cosine:.3f}<br>{label}{html.escape(hit.path.rsplit('/', 1)[-1])}"
    return f'<figure style="{style}">{image}<figcaption>{caption}</figcaption></figure>'


def encoded_thumbnails(addresses: Sequence[str]) -> list[str | None]:
    """Return small JPEGs of images as data URIs, None for each that cannot be read."""
    from shotdex.analysis.thumbnails import read_small
    from shotdex.store.errors import UnreadableImage

    try:
        images = read_small(addresses, THUMBNAIL_SIDE)
    except UnreadableImage:
        return [None] * len(addresses)
    sources: list[str | None] = []
    for image in images:
        if image is None:
            sources.append(None)
            continue
        data = io.BytesIO()
        image.save(data, "JPEG", quality=80)
        sources.append("data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode())
    return sources
