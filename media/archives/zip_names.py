"""Encodings of names in zip files that do not say theirs: which may be chosen, and which reads better than CP437."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from shotdex.store.errors import OptionError

ENCODINGS: Mapping[str, str] = {
    "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "cp950", "euc_jp": "euc_jp", "cp866": "cp866",
    "cp1251": "cp1251", "koi8_r": "koi8_r", "cp1250": "cp1250", "cp1252": "cp1252", "cp1253": "cp1253",
    "cp1254": "cp1254", "cp1255": "cp1255", "cp1256": "cp1256", "cp850": "cp850", "cp852": "cp852", "cp874": "cp874",
    "utf_8": "utf-8", "cp437": "cp437",
}  # fmt: skip
"""Names of encodings, with the codec that reads what programs write under that name: their supersets."""

_SAME = {"gb2312": "gbk", "gb18030": "gbk", "cp932": "shift_jis", "cp949": "euc_kr", "cp950": "big5", "utf-8": "utf_8"}
_OFFERED = 3

_SCRIPTS = {"gbk": (0xB0, 0xD7), "big5": (0xA4, 0xC6), "euc_kr": (0xB0, 0xC8), "shift_jis": (0x88, 0x97)}
"""First bytes of the characters that are used every day (GB 2312 level 1, for example)."""

_CASED = ("cp866", "cp1251", "koi8_r", "cp1252", "cp1253")


def check_encoding(name: str) -> str:
    """Return the name of an encoding as `ENCODINGS` has it.

    Raises:
        OptionError: it is not one of those that zip programs use.
    """
    try:
        known = codecs.lookup(name.strip()).name
    except LookupError:
        known = ""
    found = next((each for each in ENCODINGS if codecs.lookup(each).name == known), _SAME.get(known, ""))
    if not found:
        raise OptionError(f"{name!r} is not an encoding of names in zip files", f"choose one of {', '.join(ENCODINGS)}")
    return found


def decoded(raw: bytes, encoding: str | None) -> str | None:
    """Return a name that does not say its encoding: as UTF-8 where it is that, else in `encoding`; None for neither."""
    for codec in ("utf-8", ENCODINGS[encoding] if encoding else None):
        if codec is not None:
            try:
                return raw.decode(codec)
            except UnicodeDecodeError:
                continue
    return None


def readings(names: Sequence[bytes]) -> dict[str, str]:
    """Return encodings that read names better than CP437 does, the best first, with how they read the first name.

    Empty where CP437 reads them well: as words of Latin letters, most of them plain.
    """
    scores = {each: _score(names, each) for each in ("cp437", *_SCRIPTS, *_CASED)}
    own = scores.pop("cp437")
    best = max(scores.values())
    if own >= 0.9 or best < 0.75 or best <= own:
        return {}
    order = sorted((each for each in scores if scores[each] >= 0.85 * best), key=lambda each: -scores[each])
    return {each: names[0].decode(ENCODINGS[each]) for each in order[:_OFFERED]}


def _score(names: Sequence[bytes], encoding: str) -> float:
    """Return which part of the letters outside ASCII are such as people write in this encoding; 0 to 1."""
    try:
        texts = [name.decode(ENCODINGS[encoding]) for name in names]
    except UnicodeDecodeError:
        return 0.0
    if encoding in _SCRIPTS:
        characters = [each for text in texts for each in text if not each.isascii()]
        every_day = _every_day(encoding)
        return sum(map(every_day, characters)) / max(len(characters), 1)
    words = [word for text in texts for word in re.findall(r"[^\x00-@\[-`{-\x7f]+", text) if not word.isascii()]
    return sum(map(_is_word, words)) / max(len(words), 1)


def _every_day(encoding: str) -> Callable[[str], bool]:
    low, high = _SCRIPTS[encoding]
    codec = ENCODINGS[encoding]

    def check(character: str) -> bool:
        if encoding == "shift_jis" and "\u3041" <= character <= "\u30fe":  # kana
            return True
        code = character.encode(codec)
        return len(code) == 2 and low <= code[0] <= high and unicodedata.category(character) == "Lo"

    return check


def _is_word(word: str) -> bool:
    """Tell whether a word has letters of one alphabet only, and capitals at its start or everywhere."""
    if not word.isalpha() or not (word.islower() or word.isupper() or word[1:].islower()):
        return False
    alphabets = {unicodedata.name(letter, "?").partition(" ")[0] for letter in word}
    foreign = sum(not letter.isascii() for letter in word)
    return len(alphabets) == 1 and (alphabets != {"LATIN"} or foreign * 2 <= len(word))
