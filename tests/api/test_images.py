"""Images classified without a store: the same numbers as on a store, and what is said of those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

import shotdex
from shotdex import demo
from shotdex.errors import MissingLabels, OptionError, UnreadableImage
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour

REALISTIC = demo.EVALUATION / "realistic"
DUCK, HAT = REALISTIC / "Duck02-noto.png", REALISTIC / "Hat02-openmoji-black.png"
TEMPLATES = ("a photo of a {}.", "a drawing of a {}.")


def test_the_probabilities_are_those_of_the_store(session: shotdex.Session) -> None:
    names = sorted(demo.CATEGORIES)
    paths = [str(path) for path in sorted(REALISTIC.glob("*.png"))][::7]
    found = shotdex.classify_images(paths, names, templates=TEMPLATES, k=8, model="demo")
    run = session.classify(names, templates=TEMPLATES, k=8, name="for images")
    kept = session.sql(
        "SELECT path, rank, p.category, probability, cosine, prompt FROM predictions p JOIN stored_images USING "
        "(image_id) WHERE run_id = $run AND path IN (SELECT unnest($paths)) ORDER BY path, rank",
        run=run.record.run_id,
        paths=paths,
    )
    run.remove()
    assert len(found) == len(kept) == len(paths) * 8
    for row, (path, rank, category, probability, cosine, prompt) in zip(found, kept, strict=True):
        assert (row.image, row.rank, row.category, row.prompt) == (path, rank, category, prompt)
        assert (row.probability, row.cosine) == pytest.approx((probability, cosine), abs=2e-5)
    for _, rows in found.by_image():
        assert sum(row.probability for row in rows) == pytest.approx(1)


def test_the_store_gives_its_model_and_categories(session: shotdex.Session) -> None:
    found = shotdex.classify_images(DUCK, store=session, k=1)
    assert (found.model.name, found[0].category, len(found.prompts.classes)) == ("demo", "duck", 8)
    assert shotdex.classify_images(DUCK, ["duck", "hat"], store=session, model="1").model == found.model
    with pytest.raises(OptionError, match="no prompt file"):
        shotdex.classify_images(DUCK, prompts="gone", model="demo")


def test_an_empty_store_gives_nothing(tmp_path: Path) -> None:
    empty = shotdex.open(tmp_path / "store", create=True)
    with pytest.raises(MissingLabels):
        shotdex.classify_images(DUCK, store=empty, model="demo")
    found = shotdex.classify_images(DUCK, "duck,hat", store=empty, model="demo")
    assert (found[0].category, len(empty)) == ("duck", 0)


def test_an_encoder_of_ones_own(tmp_path: Path) -> None:
    red = save_colour(tmp_path / "x.png", "red")
    found = shotdex.classify_images(red, ["red", "blue"], model=FakeEncoder())
    assert (found.model.name, found[0].category, found.notes) == ("fake", "red", ())


def test_classes_from_a_file(tmp_path: Path) -> None:
    listed = tmp_path / "classes.txt"
    listed.write_bytes("\ufeffduck\r\n\r\n  hat \r\nice cream, scoop\r\n".encode())
    for given in (listed, str(listed)):
        found = shotdex.classify_images([DUCK, str(HAT)], given, model="demo")
        assert list(found.prompts.classes) == ["duck", "hat", "ice cream, scoop"]
        assert [rows[0].category for _, rows in found.by_image()] == ["duck", "hat"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"junk")
    (tmp_path / "photos").mkdir()
    odd = save_colour(tmp_path / "a,b.png", "red")
    given = [tmp_path / "broken.png", DUCK, tmp_path / "photos", tmp_path / "gone.png", odd, ""]
    found = shotdex.classify_images(given, ["duck", "hat"], model="demo", k=1)
    assert [image for image, _ in found.by_image()] == [str(DUCK), str(odd)]
    assert [image for image, _ in found.failures] == [str(given[0]), str(given[2]), str(given[3]), ""]
    assert found.failures[1][1] == "is a folder, not an image"
    with pytest.raises(UnreadableImage, match="is a folder") as raised:
        shotdex.classify_images(tmp_path / "photos", ["duck", "hat"], model="not a model")
    assert "shotdex index" in raised.value.hint
    with pytest.raises(UnreadableImage, match=r"gone\.png cannot be read.* other 1 image"):
        shotdex.classify_images([tmp_path / "gone.png", ""], ["duck", "hat"], model="not a model")


@pytest.mark.parametrize(
    ("images", "options"), [((), {"classes": "a,b"}), (DUCK, {}), (DUCK, {"classes": "a"}), (DUCK, {"k": 0})]
)
def test_options_that_say_nothing(images: object, options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        shotdex.classify_images(images, model="demo", **options)  # type: ignore[arg-type]


def test_it_shows_itself(tmp_path: Path) -> None:
    hostile = save_colour(tmp_path / "<b>x.png", "red")
    found = shotdex.classify_images([DUCK, hostile], ["duck", "hat", "a photo of " + "very " * 90], model="demo")
    shown = found._repr_html_()
    assert shown.count("data:image/jpeg;base64,") == 2
    assert "<b>x.png" not in shown
    assert "&lt;b&gt;x.png" in shown
    assert repr(found) == found.bars(80)
    assert any("tokens" in note for note in found.notes)
    twins = shotdex.classify_images(DUCK, ["Duck", "duck", "hat"], model="demo")
    assert [note for note in twins.notes if "apart" in note] == [
        "the model cannot tell these 2 classes apart, and the first of them wins: 'Duck', 'duck'"
    ]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_bars_keep_to_the_width(columns: int) -> None:
    from shotdex.formatting import width

    names = ["duck", "hat", "an extremely long name of a class that nobody would give", "アイスクリームとチョコレート"]
    found = shotdex.classify_images(DUCK, names, model="demo")
    lines = found.bars(columns).splitlines()[-4:]
    assert max(map(width, lines)) <= columns
    longest = lines[0].count("█")
    for line, row in zip(lines, found, strict=True):
        assert f"  {row.probability:.3f}" in line
        assert line.count("█") == round(row.probability * longest / max(found[0].probability, 1e-9))
    assert found.bars(columns, ascii_only=True).count("#") == found.bars(columns).count("█")
