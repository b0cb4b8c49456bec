"""Fonts that have the letters of a text: matplotlib's own, and for others what the system has."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

CJK = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "IDEOGRAPHIC"})
"""First words of the names in Unicode of letters that a font for Chinese, Japanese and Korean has."""

PACKAGES = (
    ("Debian and Ubuntu", "fonts-noto-cjk", "fonts-noto-core"),
    ("Fedora", "google-noto-sans-cjk-fonts", "google-noto-fonts-all"),
    ("Homebrew", "font-noto-sans-cjk", "font-noto-sans-{script}"),
)
"""Packages of fonts: where, for Chinese, Japanese and Korean, and for other letters."""


@lru_cache(maxsize=1)
def _installed() -> tuple[tuple[str, str], ...]:
    """Return the family and path of every font of the system, the likely ones first, one of each family."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import fontManager

    own, regular = get_data_path(), ("400", "normal", "regular")
    # Among matplotlib's own fonts is one that draws a box for every letter.
    others = [one for one in fontManager.ttflist if not one.fname.startswith(own)]
    plain = [one for one in others if one.style == "normal" and str(one.weight) in regular]
    found: dict[str, str] = {}
    for one in sorted(plain, key=lambda one: (not one.name.startswith("Noto Sans"), one.name)):
        found.setdefault(one.name, one.fname)
    return tuple(found.items())


@lru_cache(maxsize=64)
def _letters(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that cannot be read has no letters
        return frozenset()


@lru_cache(maxsize=4096)
def family_of(letter: str) -> str | None:
    """Return the family of a font of the system that has a letter, or None."""
    return next((family for family, path in _installed() if ord(letter) in _letters(path)), None)


def missing_letters(letters: Iterable[str]) -> str:
    """Return a sentence about letters that no font of this system has and which packages do; nothing without any."""
    listed = sorted(set(letters))
    if not listed:
        return ""
    scripts = dict.fromkeys(unicodedata.name(letter, "other").split()[0].split("-")[0] for letter in listed)
    others = [script.lower() for script in scripts if script not in CJK]
    named = []
    for system, cjk, other in PACKAGES:
        packages = [cjk] if len(others) < len(scripts) else []
        packages += dict.fromkeys(other.format(script=script) for script in others)
        named.append(f"{' '.join(packages)} ({system})")
    more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
    return (
        f"no font on this system has {' '.join(listed[:10])}{more}: boxes are drawn. Install a font that has: "
        f"{', '.join(named)}; or put its .ttf or .otf file into ~/.fonts"
    )
