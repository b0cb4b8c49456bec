"""Images that could not be indexed: counted by reason, the first of them kept, and too many of them an end."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata

import PIL
import pyarrow as pa

from shotdex.media.decoding.formats import LISTED, extensions, heif_opens
from shotdex.media.sources import Source
from shotdex.store.errors import SourceError
from shotdex.store.types import Failure, IndexReport, Limits

from .inventory import the_first
from .plan import ROWS, Plan

version = cache(metadata.version)
"""The version of a package: it stays as it is while this process runs, and to read it takes milliseconds."""

KEPT = 1000
"""How many are kept whole in memory; the catalog has all of them."""

SEE_ALL = 'see them all with: shotdex sql "SELECT path, reason, detail FROM failures"'


class FailureTally:
    """What one indexing could not use: `count` in all, `reasons` by reason.

    `first` are about `KEPT` of them, at least one of each reason.
    """

    def __init__(self, most: int | None) -> None:
        self.count = 0
        self.first: list[Failure] = []
        self.reasons: Counter[str] = Counter()
        self._most = most

    def before(self, plan: Plan) -> None:
        """Take in what the scan could not use, and what failed before and would fail again.

        Raises:
            SourceError: it is too many already.
        """
        inventory = plan.inventory
        self.first = (inventory.failures(KEPT) + inventory.failures(KEPT, "settled"))[:KEPT]
        self.count = inventory.failed + plan.settled
        query = "SELECT reason, count(*) FROM (SELECT reason FROM scan_failures UNION ALL SELECT reason FROM settled) "
        self.reasons.update(dict(inventory.con.rows(f"{query} GROUP BY reason ORDER BY reason")))
        self.check(inventory.source)

    def add(self, failures: Sequence[Failure]) -> None:
        """Take in some more, which are in the catalog by now."""
        for failure in failures:
            if len(self.first) < KEPT or failure.reason.value not in self.reasons:
                self.first.append(failure)
            self.reasons[failure.reason.value] += 1
        self.count += len(failures)

    def too_many(self, more: int = 0) -> bool:
        """Tell whether there are more than the user lets pass, with `more` that are not taken in yet."""
        return self._most is not None and self.count + more > self._most

    def check(self, source: Source) -> None:
        """Raise where there are too many.

        Raises:
            SourceError: with the first of them. What was indexed until then is kept.
        """
        if self.too_many():
            what = "an image" if self.count == 1 else f"{self.count:,} images"
            raise SourceError(
                f"{what} of {source.root} cannot be used, and {self._most} may fail; {the_first(self.first)}",
                f"everything indexed so far is kept; {SEE_ALL}",
            )


def scan_failures(plan: Plan, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield batches of a schema with what the scan could not use and the catalog does not have like that."""
    for rows in plan.inventory.con.batches("FROM new_failures", rows=ROWS):
        found = [
            {
                "address": row["path"],
                "source": plan.source,
                "size_bytes": 0,
                "modified_ns": 0,
                "failure": {name: row[name] for name in ("reason", "stage", "detail")},
            }
            for row in {row["path"]: row for row in rows.to_pylist()}.values()
        ]
        yield pa.Table.from_pylist(found, schema)


def decoder_version(limits: Limits) -> str:
    """Return a short digest of all that decides whether an image can be decoded: versions, formats, limits."""
    decoders = version("shotdex"), PIL.__version__, version("simplejpeg")
    parts = (*decoders, sorted(extensions()), list(LISTED), heif_opens(), limits)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def check_usable(report: IndexReport) -> None:
    """Check that an indexing that came to its end, and removed nothing, could use an image if there was one.

    Raises:
        SourceError: every image failed.
    """
    used = report.added + report.changed + report.moved + report.unchanged + report.encoded + report.removed
    if report.failed and not used and not report.interrupted:
        raise SourceError(
            f"none of the {report.failed:,} images in {report.source} can be used; {the_first(report.failures)}",
            SEE_ALL,
        )
