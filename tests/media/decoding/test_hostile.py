"""A corpus of bad and odd images: each is shown whole or refused for a reason that fits; nothing else happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from shotdex.media.decoding.decode import decode
from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason
from tests.conftest import ROOT
from tests.support import hostile
from tests.support.images import encoded

ALL = Limits(all_formats=True)

SHOWN_BY_PILLOW = {
    "jpeg 2000 without its last tile",
    "fax tiff zeroed",
    "pcx palette without its palette",
    "xbm of words",
}
"""What is incomplete or wrong and shown all the same with `all_formats`: nothing checks these formats."""

quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=100)


def pixels(data: bytes, limits: Limits = Limits()) -> np.ndarray | Reason:  # noqa: B008
    try:
        image = decode(data, limits)
    except ImageFailure as error:
        assert error.detail
        return error.reason
    assert image.mode == "RGB"
    return np.asarray(image)


def detail(data: bytes) -> str:
    with pytest.raises(ImageFailure) as failure:
        decode(data)
    return failure.value.detail


def test_there_are_enough_kinds() -> None:
    assert len(hostile.kinds()) >= 300
    assert len({kind.data for kind in hostile.kinds().values()}) > 290


@pytest.mark.parametrize("name", hostile.kinds())
def test_kind(name: str) -> None:
    kind = hostile.kinds()[name]
    got = pixels(kind.data)
    if got is Reason.UNSUPPORTED and got not in kind.reasons:
        assert "--all-formats" in detail(kind.data)
        got = pixels(kind.data, ALL)
        if name in SHOWN_BY_PILLOW:
            return
    if isinstance(got, Reason):
        assert got in kind.reasons
    else:
        assert kind.pixels is not None, f"shown, {got.shape}"
        assert got.shape == kind.pixels.shape
        assert (got == kind.pixels).all()


@pytest.mark.parametrize("name", hostile.whole_files())
def test_a_cut_file_is_refused_or_whole(name: str) -> None:
    data = hostile.whole_files()[name]
    whole, last = pixels(data, ALL), len(data)
    assert not isinstance(whole, Reason)
    wrong = []
    for cut in sorted({last * i // 40 for i in range(40)} | set(range(max(0, last - 12), last))):
        got = pixels(data[:cut], ALL)
        if not isinstance(got, Reason) and (got.shape != whole.shape or (got != whole).any()):
            wrong.append(cut)
    assert wrong == [] or name == "pcx palette"
    if name == "pcx palette":  # Pillow takes its numbers for grey values
        assert detail(data[: wrong[0]]).startswith("PCX is not one of")


def test_mutations_are_shown_or_refused() -> None:
    seen = set()
    whole = {name: pixels(data, ALL) for name, data in hostile.whole_files().items()}
    for mutation in hostile.mutations(1000, seed=4):
        got = pixels(mutation.data, ALL)
        seen.add(got if isinstance(got, Reason) else "shown")
        if mutation.cut and not isinstance(got, Reason) and mutation.of != "pcx palette":
            assert np.array_equal(got, whole[mutation.of]), mutation.name
    assert {"shown", Reason.TRUNCATED, Reason.CORRUPT, Reason.TOO_LARGE, Reason.NOT_AN_IMAGE} <= seen


@quick
@given(st.sampled_from(sorted(hostile.whole_files())), st.data())
def test_any_damage_is_shown_or_refused(name: str, data: st.DataObject) -> None:
    raw = bytearray(hostile.whole_files()[name])
    places = st.integers(0, len(raw) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        raw[place] = value
    pixels(bytes(raw), Limits(pixels=2_000_000, all_formats=True))


class TestLimits:
    """What a user may set."""

    def test_pixels(self) -> None:
        data = encoded(Image.new("RGB", (50, 40), "red"), "PNG")
        assert pixels(data, Limits(pixels=1999)) is Reason.TOO_LARGE
        assert np.shape(pixels(data, Limits(pixels=2000))) == (40, 50, 3)

    def test_lifted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        assert pixels(hostile.HUGE) is Reason.TOO_LARGE
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        icon = hostile.icon(encoded(Image.new("L", (50, 40)), "PNG"))
        assert np.shape(pixels(icon, Limits(pixels=None))) == (40, 50, 3)

    @pytest.mark.parametrize("wrap", [hostile.icon, hostile.icns])
    def test_pixels_of_a_image_within_a_image(self, wrap: object) -> None:
        data = wrap(encoded(Image.new("RGB", (256, 256)), "PNG"))  # type: ignore[operator]
        assert pixels(data, Limits(pixels=256 * 256 - 1, all_formats=True)) is Reason.TOO_LARGE
        assert np.shape(pixels(data, Limits(pixels=256 * 256, all_formats=True))) == (256, 256, 3)

    def test_bytes(self) -> None:
        data = encoded(Image.new("RGB", (5, 4), "red"), "BMP")
        assert pixels(data, Limits(bytes=len(data) - 1)) is Reason.TOO_LARGE
        assert np.shape(pixels(data, Limits(bytes=None))) == (4, 5, 3)

    def test_what_the_process_tolerates_does_not_count_and_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123)
        assert pixels(hostile.png()[:-200]) is Reason.TRUNCATED
        assert pixels(hostile.whole_files()["bmp"][:-9]) is Reason.TRUNCATED
        assert np.array_equal(pixels(hostile.png()), hostile.PIXELS)
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True
        assert Image.MAX_IMAGE_PIXELS == 123


def test_postscript_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gs", "gswin64c"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert pixels(hostile.kinds()["eps"].data) is Reason.UNSUPPORTED
    assert not (tmp_path / "ran").exists()


def test_the_corpus_can_be_written(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.support.hostile", str(tmp_path / "corpus"), "20", "3"]
    ran = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    names = sorted(path.name for path in (tmp_path / "corpus").iterdir())
    assert len(names) == len(hostile.kinds()) + 20
    assert ran.stdout.startswith(f"{len(names)} files")
    assert names[0] == "000000-whole-png.jpg"
