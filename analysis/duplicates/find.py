"""The duplicates in a store: equal contents by their hashes, near ones by their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyStore, OptionError
from shotdex.store.ids import encoded_ids, filtered_ids
from shotdex.store.near import near_a_filter
from shotdex.store.progress import Progress
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, Space
from shotdex.store.vectors import load_vectors

from .pairs import Flags, Pairs, Rows, connected, elsewhere, near_pairs

THRESHOLDS: Mapping[Space, float] = {Space.JOINT: 0.9975, Space.VISION: 0.9995}
"""The least cosine of near duplicates by default, for each space.

Chosen with the demo model by looking at pairs. Of the 47 pairs of Fashion-MNIST's 70,000 images that reach 0.9975, 46
differ by less than 5 % of the grey scale (root mean square); at 0.995 it is 102 of 400, and most others are different
trousers. All vision vectors share a large part, so the same images are nearer there. It is a strict choice: of 150
shipped images saved as JPEG it finds 86 % at quality 90 and 65 % at 75, and of those at half the size 7 %. Other
encoders have other scales: look at the pairs nearest to the threshold.
"""

SIDES = ("split", "condition")
"""The labels that duplicates can bridge."""


@dataclass(frozen=True, slots=True)
class DuplicateOptions:
    """What to compare. `threshold` is the least cosine of near duplicates, in (0, 1]; None takes `THRESHOLDS`'s.

    `across` is the label, split or condition, that no two duplicates should bridge.
    """

    threshold: float | None = None
    space: Space = Space.JOINT
    across: str = "split"
    where: str | None = None
    encoder_name: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """L pairs of rows of `Duplicates.images`, each once: `first` < `second` (L,) int64, `cosine` (L,) float64.

    Where `exact` (L,) bool both images have the same content, and the cosine is 1 by definition. Each copy is linked
    with the first of its content, and only the first is linked with near ones: no pair stands here twice.
    """

    first: Rows
    second: Rows
    cosine: npt.NDArray[np.float64]
    exact: Flags

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found. `images` has N rows by rising image id: image_id, path, category, condition, split.

    `compared` of them have a vector of `encoder`; the others can only be exact copies. `failed` images of the store
    could not be indexed and so were not looked at. `groups` (N,) int64 is the first row of each one's group.
    """

    options: DuplicateOptions
    encoder: EncoderId
    images: pa.Table
    compared: int
    failed: int
    groups: Rows
    links: Links

    @property
    def ids(self) -> Ids:
        """The images' ids, (N,) int64, rising."""
        return np.asarray(self.images.column("image_id").to_numpy(), dtype=np.int64)

    @property
    def leaked(self) -> Flags:
        """Which images have a duplicate on another side, such as another split, (N,) bool."""
        return elsewhere(self.groups, self.labels(self.options.across))

    @property
    def conflicting(self) -> Flags:
        """Which images have a duplicate of another category, (N,) bool: one of the labels may be wrong."""
        return elsewhere(self.groups, self.labels("category"))

    def labels(self, name: str) -> list[str | None]:
        """Return each image's category, condition or split."""
        values: list[str | None] = self.images.column(name).to_pylist()
        return values


def find_duplicates(store: Store, options: DuplicateOptions, progress: Progress | None = None) -> Duplicates:
    """Compare every image with every other.

    Images are exact copies when their content hashes are equal: files byte for byte, images in IDX files pixel for
    pixel. The same image saved again in another format is not, but is a near duplicate.

    Raises:
        EmptyStore: there are no images to compare.
        OptionError: a bad threshold or label, or far too many pairs.
        BadSql, EncoderMismatch.
    """
    if options.across not in SIDES:
        raise OptionError(
            f"duplicates cannot be searched across a {options.across!r}", f"use one of: {', '.join(SIDES)}"
        )
    chosen = THRESHOLDS[options.space] if options.threshold is None else options.threshold
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, options.encoder_name)
        images = _images(con, options.where)
        failed = int(con.value("SELECT count(*) FROM failures ANTI JOIN images USING (path)"))
        ids = np.asarray(images.column("image_id").to_numpy(), dtype=np.int64)
        encoded = np.isin(ids, encoded_ids(con, encoder_id), assume_unique=True)
        contents, exact_first, exact_second = _copies(images.column("content_sha256"))
        # One image stands for each content, so that copies are not found a second time as near duplicates.
        rows = np.flatnonzero(encoded)[np.unique(contents[encoded], return_index=True)[1]]
        rows.sort()
        _, vectors = load_vectors(con, encoder_id, encoder, options.space, ids[rows])
    links = _links((exact_first, exact_second), rows, near_pairs(vectors, chosen, progress))
    return Duplicates(
        replace(options, threshold=chosen),
        encoder,
        images.drop_columns(["content_sha256"]),
        int(encoded.sum()),
        failed,
        connected(len(ids), links.first, links.second),
        links,
    )


def _images(con: Connection, where: str | None) -> pa.Table:
    kept = filtered_ids(con, where or "true")
    if len(kept) == 0:
        hint = f"{near_a_filter(con, where)}relax --where, or index images: shotdex index FOLDER"
        raise EmptyStore("there are no images to compare", hint)
    with con.holding("kept", pa.table({"image_id": pa.array(kept)})):
        return con.table(
            "SELECT image_id, path, category, condition, split, content_sha256 FROM images "
            "SEMI JOIN kept USING (image_id) ORDER BY image_id"
        )


def _copies(hashes: pa.ChunkedArray) -> tuple[Rows, Rows, Rows]:
    """Return a number for each row's content, (N,), and the links from each content's first row to its copies."""
    coded = hashes.combine_chunks().dictionary_encode()
    contents = np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    _, lowest = np.unique(contents, return_index=True)
    first = lowest[contents]
    second = np.flatnonzero(first != np.arange(len(contents)))
    return contents, np.asarray(first[second], dtype=np.int64), second


def _links(exact_ends: tuple[Rows, Rows], rows: Rows, near: Pairs) -> Links:
    """Join exact links and the near ones among `rows`, which are those that were compared."""
    first, second = exact_ends
    firsts, seconds = np.concatenate([first, rows[near.first]]), np.concatenate([second, rows[near.second]])
    cosines = np.concatenate([np.ones(len(first)), near.cosine])
    exact = np.arange(len(firsts)) < len(first)
    order = np.lexsort((seconds, firsts))
    return Links(firsts[order], seconds[order], cosines[order], exact[order])
