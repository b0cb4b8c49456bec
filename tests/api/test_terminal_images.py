"""Images in a terminal: golden captures of half-blocks, and escape sequences as the protocols specify them."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from shotdex.terminal_images import Protocol, drawn, protocol_of

GOLDEN = Path(__file__).parent / "golden"
COLOURS = ("red", "#00ff80", "navy", "white", "black")


def images() -> list[Image.Image | None]:
    """A wide one, a high one, square ones, and one that cannot be read."""
    sizes = ((40, 20), (20, 60), (30, 30), (7, 7), (1, 1))
    return [*(Image.new("RGB", size, colour) for size, colour in zip(sizes, COLOURS, strict=True)), None]


CAPTIONS = (
    "1 0.912 red.png",
    "2 0.800 a long name that is cut.png",
    "3 0.7 犬犬犬犬犬犬犬犬犬犬.png",
    "4 0.6",
    "5 \x1b[2J",
    "6",
)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_half_blocks(columns: int) -> None:
    text = drawn(images(), CAPTIONS, columns, Protocol.BLOCKS)
    golden = GOLDEN / f"half-blocks-{columns}.txt"
    if os.environ.get("SHOTDEX_REGENERATE"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b" not in bare
    assert max(len(line) for line in bare.splitlines()) <= columns
    for line in text.splitlines():
        assert "\x1b" not in line or line.rstrip().endswith("\x1b[0m")


def test_256_colours() -> None:
    text = drawn([Image.new("RGB", (10, 10), (255, 0, 95))], ["1"], 80, Protocol.BLOCKS_256)
    assert set(re.findall(r"\x1b\[([0-9;]*)m", text)) <= {"38;5;197;48;5;197", "0;38;5;197", "0"}


def test_kitty_gets_a_png_in_chunks() -> None:
    """The keys and the limit of 4096 characters are those of the protocol's page, section "Remote client"."""
    noise = Image.effect_noise((400, 400), 90).convert("RGB")
    text = drawn([noise, noise], ["1", "2"], 80, Protocol.KITTY)
    sequences = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", text)
    assert len(sequences) > 2
    first = dict(pair.split("=") for pair in sequences[0][0].split(","))
    assert first == {"a": "T", "f": "100", "q": "2", "c": "39", "r": "10", "m": "1"}
    assert [control for control, _ in sequences[1:]] == ["m=1"] * (len(sequences) - 2) + ["m=0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in sequences)
    png = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in sequences))))
    assert (png.format, png.size) == ("PNG", (390, 200))
    assert re.sub(r"\x1b_G.*?\x1b\\", "", text).split() == ["1", "2"]


def test_iterm_gets_a_png_with_its_size() -> None:
    text = drawn([Image.new("RGB", (30, 30), "red")], ["1"], 40, Protocol.ITERM)
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07\n1", text)
    assert found is not None
    png = base64.b64decode(found.group(2))
    assert dict(pair.split("=") for pair in found.group(1).split(";")) == {
        "inline": "1", "size": str(len(png)), "width": "19", "height": "10", "preserveAspectRatio": "0",
    }  # fmt: skip
    assert Image.open(io.BytesIO(png)).size == (190, 200)


def test_which_terminal_takes_what() -> None:
    for environ, wanted in (
        ({"TERM": "xterm-kitty"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "COLORTERM": "truecolor"}, Protocol.ITERM),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, Protocol.BLOCKS),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, Protocol.BLOCKS),
        ({"TERM": "xterm-256color"}, Protocol.BLOCKS_256),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, None),
        ({"TERM": "dumb"}, None),
        ({}, None),
    ):
        assert protocol_of(environ) is wanted
