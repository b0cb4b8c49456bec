"""Which layout the folders of a source suggest, or why none is taken."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SPLIT_NAMES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"})
"""Folder names that are taken for splits where no pattern is given."""

# Folders that say what kind of file is in them, not what the images show.
_KINDS = frozenset(
    {
        "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "pic", "pics", "jpg", "jpeg", "png",
        "mask", "masks", "annotation", "annotations", "label", "labels", "depth", "raw", "data", "thumbs", "thumbnails",
        "segmentation", "groundtruth", "ground_truth", "gt",
    }
)  # fmt: skip
_DATES = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}|\d{3}[A-Z_]{5}|[0-9a-f]{16,}|[0-9a-f-]{36}", re.IGNORECASE)

# What cameras, phones and programs begin file names with; views of an object.
_NO_CATEGORIES = frozenset(
    {
        "img", "dsc", "dscn", "dscf", "imgp", "pict", "pic", "pxl", "mvi", "sam", "gopr", "wp", "vid", "p", "image",
        "images", "photo", "picture", "foto", "frame", "scan", "screenshot", "screen", "whatsapp", "signal", "snapchat",
        "untitled", "unnamed", "file", "page", "slide", "sample", "left", "right", "front", "back", "side", "top",
        "bottom", "view", "test", "train", "val",
    }
)  # fmt: skip
MANY = 10
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Guess:
    """A layout, or an empty pattern; `notes` say why there is none, and which options would label the images."""

    pattern: str = ""
    notes: tuple[str, ...] = ()


def guess_layout(folders: Mapping[str, int], paths: Sequence[str] = ()) -> Guess:
    """Return what a source's shape suggests: `split/category/file`, `category/file`, `split/file`, or no labels.

    One folder around all of it, as archives have, is looked through. Only a shape that every image shares, and that
    gives at least two categories that can be such, is believed.

    Args:
        folders: a path within the source for each folder with images, and how many images are in that folder.
        paths: some paths within the source, to look for categories in the names of the files.
    """
    if not folders:
        return Guess()
    around = _folders_around(folders)
    inner = {path.split("/", around)[-1]: count for path, count in folders.items()}
    guess = _of_shape(inner, around)
    crossing = _repeated_words(paths, across_folders=True)
    if "{category}" in guess.pattern and len(crossing) >= 3:
        layout = "*/" * around + guess.pattern.replace("{category}", "{condition}").replace("/*", "/{category}*")
        why = f"the same words, such as {_some(crossing)}, begin the names of files in several folders"
        return Guess("", (f"no layout is guessed: {why}; {_naming(layout, crossing)}",))
    if not guess.pattern and (words := _repeated_words(paths)):
        depth = {path.count("/") for path in inner}
        layout = "*/" * around + ("{condition}/" if depth == {1} and len(inner) > 1 else "**/" if max(depth) else "")
        why = "the names of the files may begin with categories"
        return Guess("", (*guess.notes, f"{why}; {_naming(layout + '{category}*', words)}"))
    pattern = "*/" * around + guess.pattern if guess.pattern else ""
    return Guess(pattern, guess.notes)


def _naming(layout: str, words: Sequence[str]) -> str:
    return f"if these are categories: --layout '{layout}' --categories {','.join(words[:MANY])}" + (
        ",..." if len(words) > MANY else ""
    )


def _folders_around(folders: Iterable[str]) -> int:
    """Return how many folders are around all images."""
    parts = [path.split("/") for path in folders]
    around = 0
    while min(map(len, parts)) - around > 2 and len({each[around] for each in parts}) == 1:
        if parts[0][around].casefold() in SPLIT_NAMES:
            break
        around += 1
    return around


def _of_shape(folders: Mapping[str, int], around: int) -> Guess:
    depths: Counter[int] = Counter()
    for path, count in folders.items():
        depths[path.count("/")] += count
    depth, images = depths.most_common(1)[0]
    if len(depths) > 1:
        return _stray(folders, around, depth, images / depths.total())
    firsts = {path.split("/", 1)[0] for path in folders}
    splits = {name for name in firsts if name.casefold() in SPLIT_NAMES}
    if depth == 1:
        return Guess("{split}/*") if splits == firsts else _if_categories("{category}/*", firsts)
    if depth == 2 and splits == firsts:
        found = _if_categories("{split}/{category}/*", {path.split("/")[1] for path in folders})
        return found if found.pattern else Guess("{split}/*/*", found.notes)
    if depth == 2 and len(splits) > 1:
        which = f"{_some(sorted(splits))} are splits, but {_some(sorted(firsts - splits))} is not"
        return Guess("", (f"no layout is guessed: {which}; if it is one: --layout '{{split}}/{{category}}/*'",))
    if depth == 2 and len(firsts) > 1:
        return Guess(
            "", ("no layout is guessed for two levels of folders; for example: --layout '{condition}/{category}/*'",)
        )
    return Guess()


def _if_categories(pattern: str, names: set[str]) -> Guess:
    """Return the pattern where all names can be categories."""
    said = _some(sorted(names))
    if len(names) == 1:
        alone = f"all images are in one folder, which is not taken as a category; if it is one: --category {said}"
        return Guess("", () if _DATES.fullmatch(said) or said.casefold() in _KINDS else (alone,))
    if all(map(_DATES.fullmatch, names)):
        why = f"no layout is guessed: the folders {said} look like dates or numbers, not categories"
        return Guess("", (f"{why}; if they are: --layout '{pattern}'",))
    kinds = sorted(name for name in names if name.casefold() in _KINDS)
    if kinds:
        why = f"no layout is guessed: {_some(kinds)} looks like a kind of file, not a category"
        return Guess("", (f"{why}; if it is one: --layout '{pattern}'",))
    return Guess(pattern)


def _stray(folders: Mapping[str, int], around: int, depth: int, share: float) -> Guess:
    """Say which images keep the layout of all others from being guessed."""
    most = {path: count for path, count in folders.items() if path.count("/") == depth}
    guess = _of_shape(most, around)
    others = [path for path in folders if path not in most]
    if share <= 0.5 or not guess.pattern:
        return Guess()
    count = sum(folders[path] for path in others)
    which = f"{count:,} image{' is' if count == 1 else 's are'} not in a folder like the others ({_some(others)})"
    pattern = "*/" * around + guess.pattern
    return Guess("", (f"no layout is guessed: {which}; to label the others: --layout '{pattern}'",))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _repeated_words(paths: Sequence[str], across_folders: bool = False) -> list[str]:
    """Return the words that most files' names begin with, if the same words come again; the most frequent first.

    With `across_folders`, only where most of them begin names in several folders.
    """
    words: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if word := _first_word(name):
            words.setdefault(word, []).append(folder)
    words = {word: where for word, where in _without_longer(words).items() if word.casefold() not in _NO_CATEGORIES}
    if across_folders:
        words = {word: where for word, where in words.items() if len(set(where)) > 1}
    files = sum(map(len, words.values()))
    if len(words) < 2 or len(words) > files * 2 / 3 or files < (0.9 if across_folders else 0.6) * len(paths):
        return []
    return sorted(words, key=lambda word: (-len(words[word]), word))


def _without_longer(words: dict[str, list[str]]) -> dict[str, list[str]]:
    """Count `car_04` as Car where that is more frequent, and `Carside_V2` where `side` follows other words as well."""
    spelled: dict[str, str] = {}
    for word in sorted(words, key=lambda word: (-len(words[word]), word)):
        spelled.setdefault(word.casefold(), word)
    after: dict[str, set[str]] = {}
    for word in spelled:
        for end in range(1, len(word)):
            if word[:end] in spelled:
                after.setdefault(word[end:], set()).add(word[:end])
    found: dict[str, list[str]] = {}
    for word, where in words.items():
        low = word.casefold()
        starts = (low[:end] for end in range(1, len(low)) if len(after.get(low[end:], ())) > 1)
        found.setdefault(spelled[next((start for start in starts if start in spelled), low)], []).extend(where)
    return found


def _first_word(name: str) -> str:
    """Return `Airplane` of AirplaneSide.png, `chair` of chair_01.png, `english_setter` of english_setter_1.png."""
    stem = name.rpartition(".")[0] or name
    words = re.match(r"[^\W\d_]+(?:[ _-]+[^\W\d_]+)*(?=[ _-]*\d)", stem) or re.match(r"[^\W\d_]+", stem)
    if words is None:
        return ""
    camel = re.match(r"[^\W\d_]*?[a-z](?=[A-Z])", words[0])
    return camel[0] if camel else words[0]
