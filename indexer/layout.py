"""Which labels a source's images have: read off their paths by a layout that is named, remembered or guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from shotdex.store.errors import OptionError
from shotdex.store.images import Labels
from shotdex.store.source_records import SourceRecord

from .inventory import Inventory

FIELDS = ("category", "condition", "split")

SPLIT_NAMES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"})
"""Folder names that are taken for splits where no pattern is given."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How to label images: a compiled pattern or none, a list of categories or none, and labels fixed for all."""

    pattern: re.Pattern[str] | None = None
    ends_in_field: bool = False
    category_is_prefix: bool = False
    categories: tuple[str, ...] = ()
    fixed: Labels = field(default_factory=Labels)
    described: str = ""

    def labels(self, relative: str) -> Labels:
        """Return the labels of the image at a path within the source; None for each that it does not have."""
        found = self._from_path(relative)
        return Labels(
            self.fixed.category or found.category,
            self.fixed.condition or found.condition,
            self.fixed.split or found.split,
        )

    def applied(self, relative: str, told: Labels) -> Labels:
        """Return the labels where the source itself tells some: what is fixed for all, then those, then the path's."""
        read = self.labels(relative)
        return Labels(
            self.fixed.category or told.category or read.category,
            self.fixed.condition or told.condition or read.condition,
            self.fixed.split or told.split or read.split,
        )

    def _from_path(self, relative: str) -> Labels:
        name = relative.rsplit("/", 1)[-1]
        if self.pattern is None:
            return Labels(category=listed_category(relative, self.categories))
        stem = relative.removesuffix("." + name.rsplit(".", 1)[-1]) if "." in name else relative
        match = self.pattern.fullmatch(stem if self.ends_in_field else relative)
        if match is None:
            return Labels()
        values = match.groupdict()
        if self.categories and values.get("category") is not None:
            choose = longest_category if self.category_is_prefix else same_category
            values["category"] = choose(values["category"], self.categories)
        return Labels(values.get("category"), values.get("condition"), values.get("split"))


def longest_category(name: str, categories: Sequence[str]) -> str | None:
    """Return the longest listed category that a name starts with, whatever its case, or None."""
    fitting = [category for category in categories if name.casefold().startswith(category.casefold())]
    return max(fitting, key=len, default=None)


def same_category(name: str, categories: Sequence[str]) -> str | None:
    """Return the listed category that a name is, whatever its case, or None."""
    return next((category for category in categories if category.casefold() == name.casefold()), None)


def listed_category(relative: str, categories: Sequence[str]) -> str | None:
    """Return the category that a file's name starts with, else the nearest folder above it that is one, or None."""
    *folders, name = relative.split("/")
    found = longest_category(name, categories)
    return found or next(filter(None, (same_category(folder, categories) for folder in reversed(folders))), None)


def parse_layout(pattern: str | None, categories: Sequence[str] = (), fixed: Labels | None = None) -> Layout:
    """Return a layout for a user's pattern and lists.

    Raises:
        OptionError: the pattern has an unknown or repeated field, or an empty part.
    """
    cleaned = tuple(dict.fromkeys(category.strip() for category in categories if category.strip()))
    layout = Layout(categories=cleaned, fixed=fixed or Labels())
    if pattern is None:
        return layout
    parts = pattern.strip("/").split("/")
    _check(pattern, parts)
    regexes = [_part(part, last=i == len(parts) - 1, listed=bool(cleaned)) for i, part in enumerate(parts)]
    joined = "/".join(regexes).replace("(?:[^/]+/)*/", "(?:[^/]+/)*")
    return replace(
        layout,
        pattern=re.compile(joined, re.IGNORECASE | re.DOTALL),  # a name may have a line break in it
        ends_in_field=parts[-1].endswith("}"),
        category_is_prefix="{category}*" in pattern,
        described=pattern,
    )


def _check(pattern: str, parts: Sequence[str]) -> None:
    hint = "for example --layout '{condition}/{category}*' or --layout '{split}/{category}/*'"
    names = re.findall(r"\{([^{}]*)\}", pattern)
    unknown = [name for name in names if name not in FIELDS]
    if unknown:
        raise OptionError(f"the layout {pattern!r} has {{{unknown[0]}}}; it may have {', '.join(FIELDS)}", hint)
    if not names and pattern.strip("*/"):
        raise OptionError(f"the layout {pattern!r} names none of {', '.join(FIELDS)}", hint)
    if len(set(names)) < len(names):
        raise OptionError(f"the layout {pattern!r} has a field twice", hint)
    if not all(parts):
        raise OptionError(f"the layout {pattern!r} has an empty part", hint)
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", pattern)):
        raise OptionError(f"the layout {pattern!r} has a brace without its other", hint)


def _part(part: str, *, last: bool, listed: bool) -> str:
    if part == "**" and not last:
        return "(?:[^/]+/)*"
    regex = ""
    tokens = [token for token in re.split(r"(\{[^{}]*\}|\*+)", part) if token]
    for i, token in enumerate(tokens):
        follows = tokens[i + 1] if i + 1 < len(tokens) else ""
        if token.startswith("{"):
            regex += f"(?P<{token[1:-1]}>{_field(follows, listed and token == '{category}')})"
        elif token.startswith("*"):
            regex += ".*" if token == "**" else "[^/]*"
        else:
            regex += re.escape(token)
    return regex


def _field(follows: str, listed: bool) -> str:
    # `{category}*` has no mark where the category ends. With a list the list decides, so take all there is; without
    # one take the leading letters: `Airplane03-left.png` is an Airplane.
    if follows.startswith("*"):
        return "[^/]+" if listed else r"[^\W\d_]+"
    return "[^/]+" if not follows else "[^/]+?"


def guess_layout(relatives: Sequence[str]) -> Layout:
    """Return what a source's shape suggests: `split/category/file`, `category/file`, `split/file`, or no labels.

    One folder around all of it, as archives have, is looked through.
    Only a shape that every image shares is believed; `described` says what was assumed, empty for nothing.
    """
    depths = {relative.count("/") for relative in relatives}
    firsts = {relative.split("/", 1)[0].casefold() for relative in relatives}
    splits = bool(firsts) and firsts <= SPLIT_NAMES
    if len(firsts) == 1 and not splits and min(depths) >= 2:
        inner = guess_layout([relative.split("/", 1)[1] for relative in relatives])
        return parse_layout(f"*/{inner.described}") if inner.described else inner
    if depths == {2} and splits:
        return parse_layout("{split}/{category}/*")
    if depths == {1}:
        return parse_layout("{split}/*" if splits else "{category}/*")
    return Layout()


@dataclass(frozen=True, slots=True)
class Labelling:
    """The layout, what the catalog is to remember of it, and what was assumed where the user said nothing.

    `explicit` is whether the user said anything this time.
    """

    layout: Layout
    record: SourceRecord
    notes: tuple[str, ...] = ()
    explicit: bool = False


def choose_labelling(
    given: Layout | None, columns: Mapping[str, str], before: SourceRecord | None, inventory: Inventory
) -> Labelling:
    """Return how to label what a scan found.

    Options given now count alone; without any, those of the last time do, so that indexing again changes no label.
    """
    layout = given or Layout()
    notes: tuple[str, ...] = ()
    explicit = bool(layout.described or layout.categories or columns) or layout.fixed != Labels()
    # A list on standard input is another one each time: it has neither a past nor a shape.
    lasting = inventory.source.complete
    if not explicit and lasting and before is not None and before.is_labelled():
        layout = parse_layout(before.layout, before.categories, before.fixed)
        columns = before.columns
    elif lasting and not layout.described and not layout.categories and not inventory.tells_labels():
        guessed = guess_layout(inventory.shapes())
        layout = replace(guessed, fixed=layout.fixed)
        notes = (f"taking the folders as {guessed.described}",) if guessed.described else ()
    record = SourceRecord(
        inventory.source.root,
        inventory.source.kind,
        layout.described or None,
        layout.categories,
        layout.fixed,
        dict(columns),
    )
    return Labelling(layout, record, notes, explicit)
