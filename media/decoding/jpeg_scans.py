"""What a JPEG's markers say: where its data is, and whether all of it is there.

libjpeg fills what is missing with grey and Pillow does not ask it about that, so it is checked here (ITU-T T.81,
annexes B and G).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from shotdex.store.errors import ImageFailure, corrupt, truncated
from shotdex.store.types import Reason

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_SOS, _EOI, _DRI = 0xDA, 0xD9, 0xDD
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})

# The next marker in coded data: not a stuffed zero, not a restart, not a byte of filling.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")


@dataclass(slots=True)
class JpegScans:
    """What was found: `end` is where the end marker begins. `sampling` has each component's (horizontal, vertical)."""

    progressive: bool = False
    width: int = 0
    height: int = 0
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    scans: int = 0
    end: int = 0
    _interval: int = 0
    _left: dict[int, list[int]] = field(default_factory=dict)

    @property
    def one_pass(self) -> bool:
        """Whether rows can be decoded as the data comes in: one scan of all components."""
        return not self.progressive and self.scans == 1

    def _frame(self, marker: int, body: bytes) -> None:
        if marker not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            raise ImageFailure(Reason.UNSUPPORTED, "JPEG that is lossless, hierarchical or in arithmetic coding")
        self.progressive = marker == _PROGRESSIVE
        self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        for i in range(6, 6 + 3 * body[5], 3):
            self.sampling[body[i]] = (body[i + 1] >> 4, body[i + 1] & 15)
        # For each coefficient the number of low bits that are still to come; 99 is not begun.
        self._left = {component: [99] * 64 for component in self.sampling}

    def scan(self, body: bytes, data: bytes) -> None:
        """Take in a scan's header and its coded data."""
        count = body[0]
        components = [body[1 + 2 * i] for i in range(count)]
        first, last, low = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
        if not self.progressive:
            first, last, low = 0, 63, 0
        self.scans += 1
        for component in components:
            self._left[component][first : last + 1] = [low] * (last + 1 - first)
        if self._interval and len(components) == len(self.sampling) and not self.progressive:
            self._check_restarts(data)

    def _check_restarts(self, data: bytes) -> None:
        across = 8 * max(horizontal for horizontal, _ in self.sampling.values())
        down = 8 * max(vertical for _, vertical in self.sampling.values())
        if len(self.sampling) == 1:
            across = down = 8  # a scan of one component has no interleaving
        units = -(-self.width // across) * -(-self.height // down)
        restarts = [mark[0] & 7 for mark in _RESTART.findall(data)]
        if restarts != [i % 8 for i in range(-(-units // self._interval) - 1)]:
            raise corrupt("restart markers are missing or out of order")

    def check(self) -> None:
        """Raise `ImageFailure` unless every coefficient came with all its bits."""
        if not self.scans:
            raise truncated("no coded data")
        if any(low for lows in self._left.values() for low in lows):
            raise truncated("not all scans are there")

    def note(self, marker: int, body: bytes) -> None:
        """Take in any other segment."""
        if marker in _SOF:
            if self.sampling:
                raise corrupt("two frames in one image")
            self._frame(marker, body)
        elif marker == _DRI:
            self._interval = int.from_bytes(body[:2], "big")


def jpeg_scans(data: bytes) -> JpegScans:
    """Walk through the first image of a JPEG file, up to its end marker; what follows that does not matter.

    Raises:
        ImageFailure: the end marker or a scan is missing, or the markers make no sense.
    """
    found = JpegScans()
    try:
        for marker, body, position in _segments(data):
            if marker == _EOI:
                found.end = position
                found.check()
                return found
            if marker == _SOS:
                found.scan(body, data[position : _coded_end(data, position)])
            else:
                found.note(marker, body)
    except (IndexError, KeyError) as error:
        raise corrupt(f"a marker makes no sense: {type(error).__name__} {error}") from error
    raise truncated("the end marker is missing")


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield (marker, body, position after it), for the end marker its own position."""
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker = data[found.start() + 1]
        if marker == _EOI:
            yield marker, b"", found.start()
        if marker in _BARE:
            position = found.end()
            continue
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        position = found.end() + length
        if length < 2 or position > len(data):
            raise truncated("a segment is cut off")
        yield marker, data[found.end() + 2 : position], position
        if marker == _SOS:
            position = _coded_end(data, position)


def _coded_end(data: bytes, start: int) -> int:
    found = _MARKER.search(data, start)
    return len(data) if found is None else found.start()
