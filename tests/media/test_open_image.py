"""Images beyond the limits: the error names the option, and who lifted it while indexing has lifted it everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shotdex.media.decoding.decode import decode
from shotdex.media.open_image import open_image
from shotdex.store.errors import ImageFailure, UnreadableImage
from shotdex.store.types import Limits
from tests.support.images import encoded


def test_a_limit_names_the_option_that_lifts_it(tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (30, 20)), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    for limits in (Limits(pixels=598), Limits(bytes=len(data) - 1)):
        with pytest.raises(ImageFailure, match="--max-pixels 0 lifts"):
            decode(data, limits)
    with pytest.raises(UnreadableImage, match=r"600 pixels.* 598 .*; --max-pixels 0 lifts"):
        open_image(str(tmp_path / "a.png"), 598)
    assert open_image(str(tmp_path / "a.png"), 600).size == open_image(str(tmp_path / "a.png"), 0).size == (30, 20)


def test_any_format_that_pillow_reads(tmp_path: Path) -> None:
    (tmp_path / "a.tga").write_bytes(encoded(Image.new("RGB", (3, 2), "red"), "TGA"))
    assert np.asarray(open_image(str(tmp_path / "a.tga")))[0, 0].tolist() == [255, 0, 0]
