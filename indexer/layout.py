"""Which labels a source's images have: read off their paths by a layout that is given, remembered or guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from unicodedata import category as kind_of

from shotdex.store.errors import OptionError
from shotdex.store.images import Labels, one_form
from shotdex.store.source_records import SourceRecord

from .guess import guess_layout
from .inventory import Inventory

FIELDS = ("category", "condition", "split")

# Python's \w lacks the vowel signs of Indic scripts, so letters are what is neither a digit, a blank nor punctuation.
_LETTER = (
    r"[^\x00-@\[-`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    r"\u2010-\u206f\u3000-\u3004\u3008-\u3020\uff00-\uff20\d\s]"
)
WORDS = f"{_LETTER}+(?:[ _-]+{_LETTER}+)*"
"""Words of letters joined by blanks, `_` or `-`, up to the first digit."""

_JOINTS = " _-"


@dataclass(frozen=True, slots=True)
class Layout:
    """How to label images: a compiled pattern or none, a list of categories or none, and labels fixed for all.

    `listed` is the pattern with only the listed categories where the category stands; it is tried first.
    """

    pattern: re.Pattern[str] | None = None
    listed: re.Pattern[str] | None = None
    ends_in_field: bool = False
    category_is_prefix: bool = False
    categories: tuple[str, ...] = ()
    fixed: Labels = field(default_factory=Labels)
    described: str = ""

    def labels(self, relative: str) -> Labels:
        """Return the labels of the image at a path within the source; None for each that it does not have."""
        return self.applied(relative, Labels())

    def applied(self, relative: str, told: Labels) -> Labels:
        """Return the labels where the source itself has some: what is fixed for all, then those, then the path's."""
        relative = one_form(relative)
        if self.pattern is None:
            read: dict[str, str | None] = {"category": listed_category(relative, self.categories)}
        else:
            match = self._match(relative)
            read = match.groupdict() if match is not None else {}
            if self.categories and (name := read.get("category")) is not None:
                choose = longest_category if self.category_is_prefix else same_category
                read["category"] = choose(name, self.categories)
        return Labels(
            self.fixed.category or told.category or read.get("category"),
            self.fixed.condition or told.condition or read.get("condition"),
            self.fixed.split or told.split or read.get("split"),
        )

    def doubt(self, relative: str) -> int:
        """Return how many letters follow the listed category that a name begins with in the same word; 0 for none."""
        match = self._match(one_form(relative)) if self.category_is_prefix and self.listed else None
        if match is None or self.fixed.category:
            return 0
        at = match.start("category")
        name = match.string[at:].partition("/")[0]
        found = longest_category(name, self.categories)
        begin = end = _length(name, found) if found else 0
        while found and not _ends_at_word(name, end):
            end += 1
        return end - begin

    def _match(self, relative: str) -> re.Match[str] | None:
        name = relative.rsplit("/", 1)[-1]
        if self.ends_in_field and "." in name:
            relative = relative.removesuffix("." + name.rsplit(".", 1)[-1])
        found = self.listed.fullmatch(relative) if self.listed is not None else None
        return found or (self.pattern.fullmatch(relative) if self.pattern is not None else None)


def longest_category(name: str, categories: Sequence[str]) -> str | None:
    """Return the longest listed category that a name starts with, or None.

    Upper and lower case are the same, and where a category has a blank, `_` or `-` a name may have any of them or none.
    """
    lengths = {category: _length(name, category) for category in _beginning_like(name, categories)}
    return max((category for category in lengths if lengths[category]), key=lengths.__getitem__, default=None)


def same_category(name: str, categories: Sequence[str]) -> str | None:
    """Return the listed category that a name is (see `longest_category`), or None."""
    fitting = (category for category in _beginning_like(name, categories) if _length(name, category) == len(name))
    return next(fitting, None)


def listed_category(relative: str, categories: Sequence[str]) -> str | None:
    """Return the longest category that a file's name starts with as a word, else the nearest folder that is one.

    A word ends at a digit, at a separator, at a capital after a small letter, or with the name: `car01`, `car-2` and
    `CarSide` are cars, `carrot` is not.
    """
    *folders, name = relative.split("/")
    whole = [each for each in _beginning_like(name, categories) if _ends_at_word(name, _length(name, each))]
    found = longest_category(name, tuple(whole)) if whole else None
    return found or next(filter(None, (same_category(folder, categories) for folder in reversed(folders))), None)


def _ends_at_word(name: str, at: int) -> bool:
    if not 0 < at < len(name):
        return at > 0
    before, after = name[at - 1], name[at]
    if after.isdigit():
        return not before.isdigit()
    if not after.isalpha():
        return not kind_of(after).startswith("M")  # a mark belongs to the letter before it
    return (before.islower() or before.isdigit()) and after.isupper()


def _length(name: str, category: str) -> int:
    """Return how many characters of a name are the category that it starts with; 0 where it does not."""
    at = 0
    for number, word in enumerate(_words(category)):
        while number and at < len(name) and name[at] in _JOINTS:
            at += 1
        letters = ""
        while letters != word:
            if at == len(name) or not word.startswith(letters):
                return 0
            letters += name[at].casefold()
            at += 1
    return at


@lru_cache(maxsize=100_000)
def _words(category: str) -> list[str]:
    return re.split(f"[{_JOINTS}]+", category.casefold())


def _beginning_like(name: str, categories: Sequence[str]) -> Sequence[str]:
    """Return the categories that may be at a name's start, by the first letter: a list may have thousands."""
    by_letter = _by_letter(tuple(categories))
    return [*by_letter.get(name[:1].casefold()[:1], ()), *by_letter.get("", ())] if name else ()


@lru_cache(maxsize=64)
def _by_letter(categories: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for category in categories:
        found.setdefault(_words(category)[0][:1], []).append(category)
    return found


def parse_layout(pattern: str | None, categories: Sequence[str] = (), fixed: Labels | None = None) -> Layout:
    """Return a layout for a user's pattern and lists.

    Raises:
        OptionError: the pattern has an unknown or repeated field, or an empty part.
    """
    cleaned = tuple(dict.fromkeys(one_form(category.strip()) for category in categories if category.strip()))
    layout = Layout(categories=cleaned, fixed=(fixed or Labels()).one_form())
    if pattern is None:
        return layout
    pattern = one_form(pattern)
    parts = pattern.strip("/").split("/")
    _check(pattern, parts)
    return replace(
        layout,
        pattern=_compiled(parts, None if not cleaned else "[^/]+"),
        listed=_compiled(parts, _one_of(cleaned)) if cleaned and "{category}" in pattern else None,
        ends_in_field=parts[-1].endswith("}"),
        category_is_prefix="{category}*" in pattern,
        described=pattern,
    )


def _one_of(categories: Sequence[str]) -> str:
    longest_first = sorted(categories, key=len, reverse=True)
    return "|".join(f"[{_JOINTS}]*".join(map(re.escape, re.split(f"[{_JOINTS}]+", each))) for each in longest_first)


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
        raise OptionError(f"the layout {pattern!r} has an unmatched brace", hint)


def _compiled(parts: Sequence[str], category: str | None) -> re.Pattern[str]:
    regexes = [_part(part, i == len(parts) - 1, category) for i, part in enumerate(parts)]
    joined = "/".join(regexes).replace("(?:[^/]+/)*/", "(?:[^/]+/)*")
    return re.compile(joined, re.IGNORECASE | re.DOTALL)  # a name may have a line break in it


def _part(part: str, last: bool, category: str | None) -> str:
    if part == "**" and not last:
        return "(?:[^/]+/)*"
    regex = ""
    tokens = [token for token in re.split(r"(\{[^{}]*\}|\*+)", part) if token]
    for i, token in enumerate(tokens):
        follows = tokens[i + 1] if i + 1 < len(tokens) else ""
        if token.startswith("{"):
            # `{category}*` has no mark where the category ends. With a list the list decides; without one take the
            # words up to the first digit: `Airplane03-left.png` is an Airplane, `english_setter_1.png` an
            # english_setter.
            free = WORDS if follows.startswith("*") else "[^/]+?" if follows.startswith("{") else "[^/]+"
            listed = category if token == "{category}" else None
            regex += f"(?P<{token[1:-1]}>{listed or free})"
        elif token.startswith("*"):
            regex += ".*" if token == "**" else "[^/]*"
        else:
            regex += re.escape(token)
    return regex


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
    given: Layout | None,
    columns: Mapping[str, str],
    before: SourceRecord | None,
    inventory: Inventory,
    reading: Mapping[str, Any],
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
        guess = guess_layout(*inventory.shape())
        layout = replace(parse_layout(guess.pattern), fixed=layout.fixed) if guess.pattern else layout
        taken = (f"taking the folders as {guess.pattern}",) if guess.pattern else ()
        notes = taken + (guess.notes if not layout.fixed.category else ())
    record = SourceRecord(
        inventory.source.root,
        inventory.source.kind,
        layout.described or None,
        layout.categories,
        layout.fixed,
        dict(columns),
        dict(reading),
    )
    return Labelling(layout, record, notes, explicit)
