"""WebDataset samples: neighbours in a tar whose names are the same up to the first dot, such as 17.jpg and 17.json.

Format: https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shotdex.store.errors import OptionError
from shotdex.store.images import Labels
from shotdex.store.types import Failure, Reason

from .base import Candidate, Found
from .columns import metadata
from .label_cells import BadValue, LabelCells
from .left_out import Ignored

ROLES = ("category", "condition", "split")

SIDECAR_LIMIT = 1024 * 1024
"""Bytes above which a file next to an image is not read; also for all files of one sample together."""

IMAGES_LIMIT = 1000
"""Images of one sample that are held back for what may still come with them; IMG.0001.jpg to IMG.9999.jpg are
one sample, too, by the rule of names."""

TEXTS = ("txt", "caption")
SIDECARS = ("json", "cls", *TEXTS)


def check_roles(columns: Mapping[str, str]) -> None:
    """Check that only labels are looked for in the json next to images.

    Raises:
        OptionError: another role is given.
    """
    unknown = sorted(set(columns) - set(ROLES))
    if unknown:
        raise OptionError(
            f"the role {unknown[0]!r} has no meaning in a tar archive, whose members are the images",
            f"its roles are {', '.join(ROLES)}",
        )


def sample_key(name: str) -> str:
    """Return what the members of one sample have in common: the path up to the first dot of the file's own name."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def sidecar_kind(name: str) -> str | None:
    """Return json, cls, txt or caption for a file of metadata, else None."""
    suffix = name.rsplit("/", 1)[-1].rpartition(".")[2].lower()
    return suffix if suffix in SIDECARS else None


@dataclass(slots=True)
class Sample:
    """What was met of one sample. `columns` maps roles to keys of its json, whose labels are read by `cells`."""

    key: str
    columns: Mapping[str, str]
    cells: LabelCells = field(default_factory=LabelCells)
    images: list[Candidate] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    by_role: dict[str, str] = field(default_factory=dict)
    number: str | None = None
    taken: int = 0

    def add_sidecar(self, address: str, data: bytes | None) -> None:
        """Take in a file of metadata; None stands for one that is too large. A broken one becomes a failure."""
        if len(self.sidecars) < IMAGES_LIMIT:
            self.sidecars.append(address)
        if data is None or self.taken + len(data) > SIDECAR_LIMIT:
            self._add_failure(address, f"more than {SIDECAR_LIMIT:,} bytes of metadata for one image")
            return
        self.taken += len(data)
        try:
            self._take(sidecar_kind(address), data.decode("utf-8-sig"))
        except (
            ValueError,
            RecursionError,
        ) as error:  # BadValue and decoding errors are ValueErrors
            self._add_failure(address, f"its metadata cannot be read: {error or type(error).__name__}")

    def found(self) -> Iterator[Found]:
        """Yield the images, labelled, and what went wrong; or, without any image, the other files as ignored."""
        if not self.images:
            yield from (Ignored(address) for address in self.sidecars)
            return
        yield from self.failures
        labels, further = self._labels_and_metadata()
        for image in self.images:
            yield replace(image, labels=labels, metadata=further)

    def start_again(self) -> None:
        """Forget the images, which were passed on, and keep the metadata for those that follow."""
        self.images.clear()
        self.sidecars.clear()
        self.failures.clear()

    def _take(self, kind: str | None, text: str) -> None:
        if kind == "json":
            self._take_json(json.loads(text))
        elif kind == "cls":
            self.number = self.cells.label(text)
        else:
            self.values.update(metadata({"txt": text.strip()}) or {})

    def _take_json(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise BadValue("it is not an object")
        by_role: dict[str, str | None] = {}
        rest = dict(values)
        for role in ROLES:
            key = self.columns.get(role, role)
            if key not in values:
                by_role[role] = None
                continue
            try:
                by_role[role] = self.cells.label(values[key])
            except BadValue:
                if role in self.columns:
                    raise
                continue  # it only happens to have that name
            rest.pop(key, None)
        further = metadata(rest) or {}
        self.by_role.update({role: text for role, text in by_role.items() if text is not None})
        self.values.update(further)

    def _labels_and_metadata(self) -> tuple[Labels | None, Mapping[str, Any] | None]:
        """Say which values are labels; all others are metadata. A category in the json comes before that in .cls."""
        by_role, further = dict(self.by_role), dict(self.values)
        if self.number is not None:
            if "category" in self.columns or "category" in by_role:
                further.setdefault("cls", self.number)
            else:
                by_role["category"] = self.number
        labels = Labels(by_role.get("category"), by_role.get("condition"), by_role.get("split"))
        return (labels if by_role else None), (further or None)

    def _add_failure(self, address: str, detail: str) -> None:
        if len(self.failures) < IMAGES_LIMIT:
            self.failures.append(Failure(address, "scan", Reason.CORRUPT, detail[:500]))
