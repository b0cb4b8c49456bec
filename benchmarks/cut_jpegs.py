"""How many JPEGs that lack bytes before a kept end marker are taken for whole: `python -m benchmarks.cut_jpegs [N]`.

N photograph-like images (smooth colours, edges, noise) in each coding, each without its last 1 to 10, 11 to 40 and 41
to 400 bytes. A file counts as taken where it is decoded, and as changed where its pixels are not those of the whole
file. Whole ones must be taken with the pixels that Pillow gives.
"""

from __future__ import annotations

import io
import sys
from collections import Counter
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from shotdex.media.decoding.decode import decode
from shotdex.store.errors import ImageFailure

CODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline 4:2:0": ("RGB", {"subsampling": 2}),
    "baseline 4:4:4": ("RGB", {"subsampling": 0}),
    "baseline, restart markers": ("RGB", {"restart_marker_blocks": 5}),
    "progressive 4:2:0": ("RGB", {"progressive": True, "subsampling": 2}),
    "progressive 4:4:4": ("RGB", {"progressive": True, "subsampling": 0}),
    "progressive, restart markers": ("RGB", {"progressive": True, "restart_marker_blocks": 5}),
    "grey": ("L", {}),
    "progressive grey": ("L", {"progressive": True}),
    "CMYK": ("CMYK", {}),
    "progressive CMYK": ("CMYK", {"progressive": True}),
}
CUTS = {"1 to 10": (1, 10), "11 to 40": (11, 40), "41 to 400": (41, 400)}
END = b"\xff\xd9"


def photograph(rng: np.random.Generator) -> Image.Image:
    """Return an RGB image of some hundred pixels a side with gradients, edges and noise of random strength."""
    width, height = (int(side) for side in rng.integers(90, 420, 2))
    coarse = rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 6))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        draw.ellipse((x, y, x + width // 4, y + height // 4), fill=tuple(rng.integers(0, 256, 3).tolist()))
    noisy = np.asarray(image) + rng.normal(0, rng.choice([0, 2, 6, 15]), (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def shown(data: bytes) -> np.ndarray | None:
    """Return the pixels of a file, or None where it is a failure."""
    try:
        return np.asarray(decode(data))
    except ImageFailure:
        return None


def measure(count: int, seed: int = 0) -> dict[str, Counter[str]]:
    """Return for each coding how many files were whole, wrongly refused, and taken or changed by length of the cut."""
    found: dict[str, Counter[str]] = {}
    for name, (mode, options) in CODINGS.items():
        rng, counts = np.random.default_rng(seed), Counter[str]()
        for _ in range(count):
            out = io.BytesIO()
            photograph(rng).convert(mode).save(out, "JPEG", quality=int(rng.integers(50, 96)), **options)
            data = out.getvalue()
            with Image.open(io.BytesIO(data)) as opened:
                whole = np.asarray(opened.convert("RGB"))
            got = shown(data)
            counts["refused"] += got is None or not np.array_equal(got, whole)
            for cut, (least, most) in CUTS.items():
                missing = int(rng.integers(least, most + 1))
                got = shown(data[: -2 - missing] + END)
                counts[f"{cut} taken"] += got is not None
                counts[f"{cut} changed"] += got is not None and not np.array_equal(got, whole)
        found[name] = counts
    return found


def main() -> None:
    """Print a line for each coding."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"of {count} files of each coding: whole ones refused; cut ones taken (with other pixels)")
    for name, counts in measure(count).items():
        taken = [f"{cut} bytes: {counts[f'{cut} taken']} ({counts[f'{cut} changed']})" for cut in CUTS]
        print(f"{name:30} refused {counts['refused']}; " + "; ".join(taken), flush=True)


if __name__ == "__main__":
    main()
