"""The part of a session that looks after the store: verify, prune, approximate, duplicates, status."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Unpack

from shotdex.store.progress import Progress
from shotdex.store.types import Space

from .keywords import filled, several, takes
from .opened import Opened
from .progress import shown
from .result_keywords import DuplicatesKeywords
from .results import Findings

if TYPE_CHECKING:
    from shotdex.models.own_encoder import AnyModel
    from shotdex.store.engines.inverted_file import Figures
    from shotdex.upkeep.prune import Pruned
    from shotdex.upkeep.remove import Removed
    from shotdex.upkeep.status import Status

    from .duplicates import DuplicatesResult


class Maintenance(Opened):
    """Mixed into `Session`."""

    def status(self) -> Status:
        """Return images by label, encoders, runs, failures, and sizes on disk.

        >>> store.status().images
        320
        """
        from shotdex.upkeep.status import status

        return status(self.store)

    def verify(
        self, *, repair: bool = False, files: bool = False, model_check: bool = False, progress: bool | Progress = False
    ) -> Findings:
        """Check the store: ids, vectors, counts, hashes, and the FAISS files against the catalog; a row for each check.

        Args:
            repair: rebuild derived files and remove invalid vectors; nothing else is ever deleted.
            files: also check that every image file still exists and is unchanged.
            model_check: also load the models and compare them with the store's record of them.

        >>> all(check.ok for check in store.verify())
        True
        """
        from shotdex.upkeep.verify import VerifyOptions, verify

        options = VerifyOptions(repair, files, self.encoders.model if model_check else None)
        with shown(progress, "looking at files") as bar:
            found = verify(self.path, options, bar)
        return Findings(f"store {self.path}: {'whole' if found.whole else 'PROBLEMS'}", found.checks, found)

    def prune(self, *, gone: bool = False) -> Pruned:
        """Delete the vectors of images that have disappeared from their sources, and rows that nothing refers to.

        Args:
            gone: also do so if most of a source has disappeared; otherwise such a source is skipped, as the result
                says.
        """
        from shotdex.upkeep.prune import prune

        return prune(self.store, spare=not gone)

    def remove(
        self,
        *,
        source: str | os.PathLike[str] | None = None,
        encoder: str | None = None,
        where: str | None = None,
        dry_run: bool = False,
    ) -> Removed:
        """Remove images, or an encoder with its vectors, from the store for good; the image files are not touched.

        Everything derived from them is removed, too: vectors, predictions, maps, FAISS files, the encoder's text tower
        and remembered texts. The catalog is then rewritten without their bytes. Runs keep the remaining images, with
        updated counts and hashes; a run without any is removed. An image that only the removed encoder has encoded is
        removed with it.

        Nothing about removed images is remembered: those still in their source come back with its next `index`.

        Args:
            source: a source, as given to `index`; all its images and its label options are removed.
            encoder: one of the store's encoders, by name or number.
            where: a SQL condition on the columns of `images`. Exactly one of the three must be set.
            dry_run: return what would be removed, but remove nothing.

        Raises:
            OptionError: not exactly one of the three is set, or the store has no such source.
            EncoderMismatch, BadSql, StoreLocked, StoreError.

        >>> store.remove(where="category = 'duck'", dry_run=True).images
        40
        """
        from shotdex.upkeep.remove import RemoveOptions, count_removal, remove

        options = RemoveOptions(None if source is None else os.fspath(source), encoder, where)
        return count_removal(self.store, options) if dry_run else remove(self.store, options)

    def approximate(
        self, *, recall: float = 0.98, model: AnyModel | None = None, progress: bool | Progress = False
    ) -> Figures:
        """Build an approximate index, and return its measurements on the store's own vectors.

        Args:
            recall: the share of the ten nearest images that searches have to find, in (0, 1).
            model: one of the store's encoders, by name, number or object; required if there are several.
        """
        from shotdex.query.approximate import build

        with shown(progress, "building", " vectors") as bar:
            return build(self.store, self.encoders.recognised(model), recall, bar)

    def drop_approximate(self, *, model: AnyModel | None = None) -> bool:
        """Remove the approximate index, so that searches are exact again; return whether there was one."""
        from shotdex.query.approximate import drop

        return drop(self.store, self.encoders.recognised(model))

    @takes(DuplicatesKeywords)
    def duplicates(
        self, show: Literal["pairs", "leaks", "conflicts"] = "pairs", **options: Unpack[DuplicatesKeywords]
    ) -> DuplicatesResult:
        """Find exact and near duplicates, leaks between splits, or duplicates with conflicting labels, closest first.

        Args:
            show: all "pairs", or only the pairs that are "leaks" (in different splits) or "conflicts" (of different
                categories).
            options: the keywords of `DuplicatesKeywords`.

        Raises:
            OptionError: a threshold outside (0, 1], or there is no such label or run.
            EmptyStore, BadSql, EncoderMismatch.

        >>> found = store.duplicates(across="condition", limit=3)
        >>> len(found) <= 3 and found.condition.startswith(("image_id NOT IN", "true"))
        True
        """
        from shotdex.analysis.duplicates.find import DuplicateOptions, find_duplicates
        from shotdex.analysis.duplicates.rows import conflicts, duplicate_pairs, leaks
        from shotdex.store.runs import find_run, list_runs

        from .duplicates import DuplicatesResult

        given = filled(Maintenance.duplicates, options)
        names = several(given["run"])
        with self.store.reading() as con:
            runs = [find_run(con, name) for name in dict.fromkeys(names)] or list_runs(con)[-1:]
        encoder = self.encoders.recognised(given["model"])
        compared = DuplicateOptions(given["threshold"], Space(given["space"]), given["across"], given["where"], encoder)
        with shown(given["progress"], "comparing", " blocks") as bar:
            found = find_duplicates(self.store, compared, bar)
        if show == "pairs":
            pairs = duplicate_pairs(found, given["limit"], given["weakest"])
        else:
            pairs = {"leaks": leaks, "conflicts": conflicts}[show](found, given["limit"])
        return DuplicatesResult(self.store, show, found, pairs, runs)
