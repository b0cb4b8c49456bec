"""What zip and tar archives have in common as sources: which members count, and what layouts are told of them."""

from __future__ import annotations

from shotdex.media.addresses import join
from shotdex.media.decoding.decode import looks_like_image
from shotdex.store.types import Failure, Reason


def hidden(name: str) -> bool:
    """Tell whether a member is left out: a name that begins with a dot, or what macOS adds."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return parts[:1] == ["__MACOSX"] or any(part.startswith(".") for part in parts)


def within(name: str) -> str:
    """Return a member's path within the archive, as layouts read it: `./a//b.png` and `/a/b.png` are `a/b.png`."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def member_failure(place: str, shown: str, is_utf8: bool, is_link: bool) -> Failure | None:
    """Return why a member cannot be read, as far as its header tells, or None; None also where it is no image."""
    if (is_utf8 and not is_link) or not looks_like_image(shown):
        return None
    if not is_utf8:
        return Failure(join(place, shown), "scan", Reason.BAD_NAME, "pack it again with names in UTF-8")
    return Failure(join(place, shown), "scan", Reason.UNREADABLE, "a link, which is not followed")
