"""Pictures that could not be indexed: counted by reason, the first of them kept, and too many of them an end."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

import PIL

from shotdex.media.decoding.formats import extensions, heif_opens
from shotdex.media.sources import Source
from shotdex.store.errors import SourceError
from shotdex.store.images import Failure, add_failures
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Limits, Reason, Rejection

from .inventory import Scan
from .plan import Plan

KEPT = 1000
"""How many are kept whole in memory; the catalog has all of them."""

SEE_ALL = 'see them all with: shotdex sql "SELECT path, reason, detail FROM failures"'


class Refusals:
    """What one indexing could not use: `count` in all, `reasons` by reason.

    `first` are about `KEPT` of them, at least one of each reason.
    """

    def __init__(self, most: int | None) -> None:
        self.count = 0
        self.first: list[Rejection] = []
        self.reasons: Counter[str] = Counter()
        self._most = most

    def before(self, store: Store, plan: Plan) -> None:
        """Take in, and record, what the scan found unusable, and what failed before and would fail again.

        Raises:
            SourceError: it is too many already.
        """
        scan = plan.scan
        if plan.newly_rejected:
            with store.writing() as con:
                for rows in plan.new_rejections():
                    found = [
                        Rejection(r["path"], r["stage"], Reason(r["reason"]), r["detail"]) for r in rows.to_pylist()
                    ]
                    add_failures(con, [Failure(rejection, plan.source, 0, 0) for rejection in found])
        self.first = (scan.rejections(KEPT) + plan.settled_failures(KEPT))[:KEPT]
        self.count = scan.rejected + plan.settled
        self.reasons.update({reason.value: count for reason, count in plan.reasons()})
        self.check(scan.source)

    def add(self, rejections: Sequence[Rejection]) -> None:
        """Take in some more, which are in the catalog by now."""
        for rejection in rejections:
            if len(self.first) < KEPT or rejection.reason.value not in self.reasons:
                self.first.append(rejection)
            self.reasons[rejection.reason.value] += 1
        self.count += len(rejections)

    def too_many(self, more: int = 0) -> bool:
        """Tell whether there are more than the user lets pass, with `more` that are not taken in yet."""
        return self._most is not None and self.count + more > self._most

    def check(self, source: Source) -> None:
        """Raise where there are too many.

        Raises:
            SourceError: with the first of them. What was indexed until then is kept.
        """
        if self.too_many():
            what = "a picture" if self.count == 1 else f"{self.count:,} pictures"
            raise SourceError(
                f"{what} of {source.root} cannot be used, and {self._most} may fail; {_first(self.first)}",
                f"what was indexed until then is kept; {SEE_ALL}",
            )


def decoder_version(limits: Limits) -> str:
    """Return a short digest of all that decides whether a picture can be decoded: versions, formats, limits."""
    parts = (version("shotdex"), PIL.__version__, sorted(extensions()), heif_opens(), limits)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def nothing_there(scan: Scan) -> SourceError:
    """Return the error for a source without pictures."""
    root = scan.source.root
    if scan.rejected:
        return SourceError(f"no picture in {root} can be used; {_first(scan.rejections(1))}", "check the source")
    others = f" ({scan.ignored:,} files there are no pictures by their names)" if scan.ignored else ""
    return SourceError(f"there are no pictures in {root}{others}", "give the folder that the pictures are in")


def nothing_usable(source: Source, report: IndexReport) -> SourceError:
    """Return the error for a source whose every picture failed."""
    return SourceError(
        f"none of the {report.rejected:,} pictures in {source.root} can be used; {_first(report.failures)}", SEE_ALL
    )


def _first(rejections: Sequence[Rejection]) -> str:
    first = rejections[0]
    return f"the first: {first.path}: {first.reason.value} ({first.detail})"
