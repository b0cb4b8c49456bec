"""HEIC, as phones save it, where pillow-heif is installed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from shotdex.media.decoding.decode import decode, looks_like_image
from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason
from tests.support.images import noise

heif = pytest.importorskip("pillow_heif")


def heic(image: Image.Image, **options: object) -> bytes:
    made = heif.from_pillow(image)
    data = io.BytesIO()
    made.save(data, quality=-1, chroma=444, **options)
    return data.getvalue()


def test_a_whole_image() -> None:
    decoded = decode(heic(noise(1, 64, 48)))
    assert (decoded.mode, decoded.size) == ("RGB", (64, 48))
    difference = np.abs(np.asarray(decoded, int) - np.asarray(noise(1, 64, 48), int))
    assert difference.max() <= 4, "lossless but for the way through YCbCr"
    assert looks_like_image("IMG_0001.HEIC")


def test_alpha_over_white() -> None:
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    assert np.asarray(decode(heic(clear))).min() >= 250


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_a_cut_one_is_refused(share: float) -> None:
    data = heic(noise(1, 64, 48))
    with pytest.raises(ImageFailure):
        decode(data[: int(len(data) * share)])


def test_the_limit_on_pixels_counts() -> None:
    with pytest.raises(ImageFailure) as refused:
        decode(heic(noise(1, 64, 48)), Limits(pixels=1000))
    assert refused.value.reason is Reason.TOO_LARGE
