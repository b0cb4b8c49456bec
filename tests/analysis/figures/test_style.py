import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from shotdex.analysis.figures import contact_sheet, topk_figure
from shotdex.analysis.figures.saving import save
from shotdex.analysis.figures.style import OKABE_ITO, looks
from shotdex.store.errors import OptionError


def figure(size=1):
    drawn = Figure(figsize=(size, 1))
    drawn.add_subplot().plot([0, 1])
    return drawn


def test_few_categories_have_the_colour_blind_safe_colours():
    assert [look.colour for look in looks(8)] == list(OKABE_ITO)
    assert {(look.marker, look.hatch) for look in looks(8)} == {("o", "")}


def test_a_hundred_categories_look_different():
    assert len(set(looks(100))) == 100
    assert len({to_rgb(look.colour) for look in looks(20)}) == 20
    assert looks(0) == []


@pytest.mark.parametrize("name", ["a.png", "a.SVG", "a.pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path, name):
    save(figure(), tmp_path / name)
    first = (tmp_path / name).read_bytes()
    save(figure(), tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_png_has_200_dots_per_inch(tmp_path):
    from PIL import Image

    save(figure(size=2), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (400, 200)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.txt"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(OptionError) as caught:
        save(figure(), tmp_path / name)
    assert ".png, .svg, .pdf" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"no folder .*nowhere"):
        save(figure(), tmp_path / "nowhere" / "a.png")


def test_a_failure_leaves_the_old_figure(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"old shotdex figure")
    drawn = figure()

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawn, "savefig", fail)
    with pytest.raises(OptionError, match="No space left"):
        save(drawn, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"old shotdex figure"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX file modes")
def test_a_figure_is_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    save(figure(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("make", [lambda: topk_figure([]), lambda: contact_sheet([], [], "cat")])
def test_a_notebook_shows_a_figure_without_a_backend(make):
    formatters = pytest.importorskip("IPython.core.formatters")
    from PIL import Image

    drawn = make()
    data, sizes = formatters.DisplayFormatter().format(drawn)
    png = data["image/png"]
    with Image.open(io.BytesIO(base64.b64decode(png) if isinstance(png, str) else png)) as image:
        assert image.size == pytest.approx(drawn.get_size_inches() * 200, abs=1)
        shown = sizes["image/png"]
        assert (shown["width"], shown["height"]) == pytest.approx(np.array(image.size) / 2, abs=1)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_only_a_figure_of_shotdex_is_replaced(tmp_path: Path, suffix: str) -> None:
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    save(Figure(figsize=(2, 2)), ours)
    save(Figure(figsize=(3, 2)), ours)
    Figure(figsize=(2, 2)).savefig(theirs)
    before = theirs.read_bytes()
    with pytest.raises(OptionError, match="was not changed"):
        save(Figure(figsize=(3, 2)), theirs)
    assert theirs.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ours.name, theirs.name])
