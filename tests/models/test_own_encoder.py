"""An encoder that a user wrote: indexed with, taken again by id and length, and missed by the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

import shotdex as door
from shotdex.analysis.prompts.build import from_names
from shotdex.models.own_encoder import OwnEncoder
from shotdex.store.errors import EncoderMismatch, ModelOutputInvalid, ModelUnavailable, OptionError
from tests.conftest import COLOURS, ROOT, Ran
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour


class Colour:
    """Mean colours; `more` numbers at the end are all the same."""

    def __init__(self, identity: str = "colour 1", more: int = 0, kind: Callable[[Any], Any] = np.array) -> None:
        self.id, self.more, self.kind = identity, more, kind
        self.asked: list[str] = []

    def encode_images(self, images: Any) -> Any:
        return self.kind([[*(np.asarray(one).mean(axis=(0, 1)) / 255 - 0.5), *[0.1] * self.more] for one in images])

    def encode_texts(self, texts: Any) -> Any:
        self.asked += texts
        rows = [np.array(ImageColor.getrgb(text.split()[-1])) / 255 - 0.5 for text in texts]
        return self.kind([[*row, *[0.1] * self.more] for row in rows])


def test_indexed_and_taken_again(colours: Path, tmp_path: Path) -> None:
    with door.open(tmp_path / "store", create=True) as store:
        report = store.index(colours, model=Colour())
        assert (report.added, report.failed) == (10, 0)
        assert Path(store.search("all red", k=1)[0].path).name.startswith("Red")
        assert store.index(colours).unchanged == 10
        _, vectors = store.vectors(space="vision")
        assert vectors.shape == (10, 3)
        assert np.linalg.norm(vectors, axis=1).max() <= np.sqrt(0.75) + 1e-6, "as the object returned them"
    save_colour(colours / "plain" / "Lime9.png", "lime")
    with door.open(tmp_path / "store", model=Colour()) as store:
        assert store.index(colours).added == 1
        assert Path(store.search("bright lime", k=1)[0].path).name == "Lime9.png"
        image = next(colours.rglob("Blue*.png"))
        assert Path(store.search(image=image, k=1)[0].path).name.startswith("Blue")
    with door.open(tmp_path / "store") as store:
        assert store.search("all red", k=1), "the text is remembered"
        with pytest.raises(ModelUnavailable, match="exists only in Python"):
            store.search("very blue")
        with pytest.raises(ModelUnavailable, match="exists only in Python"):
            store.describe()
        assert Path(store.search("very blue", k=1, model=Colour())[0].path).name.startswith("Blue")
        assert store.classify(["red", "blue"], model=Colour(), where="path LIKE '%Red%'", partial=True)
        assert store.sql("SELECT name, dim FROM encoders").to_dicts() == [{"name": "colour 1", "dim": 3}]


def test_another_length_is_another_encoder(colours: Path, tmp_path: Path) -> None:
    with door.open(tmp_path / "store", create=True) as store:
        store.index(colours, model=Colour())
    with pytest.raises(EncoderMismatch, match="vectors of 5 numbers"):
        door.open(tmp_path / "store", model=Colour(more=2))
    with door.open(tmp_path / "store") as store:
        with pytest.raises(EncoderMismatch, match="vectors of 5 numbers"):
            store.search("red", model=Colour(more=2))
        with pytest.raises(EncoderMismatch, match="no vectors of 'other'"):
            store.search("red", model=Colour("other"))
        store.index(colours, model=Colour("other", more=2))
        first, second = (store.search("red", k=1, model=one) for one in (Colour(), Colour("other", 2)))
        assert Path(first[0].path).name[:3] == Path(second[0].path).name[:3] == "Red"


def test_every_method_takes_the_object_or_its_number(tmp_path: Path) -> None:
    for colour in COLOURS:
        for width in (8, 9):
            save_colour(tmp_path / "photos" / colour / f"{width}.png", colour, (width, 8))
    with door.open(tmp_path / "store", create=True) as store:
        store.index(tmp_path / "photos", model=Colour())
        store.index(tmp_path / "photos", model=Colour("other", more=2))
    names = from_names(COLOURS)
    with door.open(tmp_path / "store") as store:
        model = Colour("other", more=2)
        for known, dim in ((model, 5), (2, 5), ("1", 3)):
            assert store.vectors(model=known)[1].shape == (10, dim)
        assert store.text_vectors(["red"], model=model)["red"].shape == (5,)
        assert store.index_of(model).rows().vectors.shape == (10, 5)
        assert store.duplicates(model=model).details.encoder.dim == 5
        assert not store.check_prompts(names, model=model).details.lengths, "the object has no tokenizer"
        assert store.try_prompts(names, half="all", model=model).accuracy.n
        assert store.sweep_prompts(["{}", "a {}"], model=model).details.best
        assert store.export("parquet", tmp_path / "a.parquet", model=model).images == 10
        assert not store.drop_approximate(model=model)
        assert not store.remove_engine("milvus", model=model)
        assert len(store.search("red", k=1, model=2)) == 1


def test_an_object_with_the_name_of_a_model_in_the_store(colours: Path, tmp_path: Path) -> None:
    with door.open(tmp_path / "store", create=True) as store:
        store.index(colours, model=FakeEncoder())
        for use in (lambda: store.search("red", model=Colour("fake")), lambda: store.vectors(model=Colour("fake"))):
            with pytest.raises(EncoderMismatch, match="no vectors of the object 'fake'"):
                use()


def test_the_command_line_says_that_it_exists_only_in_python(
    colours: Path, tmp_path: Path, shotdex: Callable[..., Ran]
) -> None:
    at = ("--store", tmp_path / "store")
    with door.open(tmp_path / "store", create=True) as store:
        store.index(colours, model=Colour())
    save_colour(colours / "plain" / "Lime9.png", "lime")
    for command in (["search", "new"], ["index", colours], ["model"], ["classify", "--classes", "red,blue"]):
        ran = shotdex(*command, *at)
        assert ran.status == 1, command
        assert "exists only in Python" in ran.err, command
        assert "shotdex.open(path, model=encoder)" in ran.err
    for command in (["status"], ["sql", "SELECT count(*) FROM images"], ["duplicates"], ["verify"]):
        assert shotdex(*command, *at).status == 0, command


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda rows: np.array(rows, np.float64)])
def test_what_it_may_return(kind: Callable[[Any], Any]) -> None:
    encoder = OwnEncoder(Colour(kind=kind))
    image = Image.new("RGB", (20, 10), "red")
    wanted = np.array([0.5, -0.5, -0.5]) / np.sqrt(0.75)
    assert np.abs(encoder.encode_images([image])[0] - wanted).max() < 1e-6
    assert np.abs(encoder.encode_texts(["red"])[0] - wanted).max() < 1e-6
    assert encoder.encode_texts([]).shape == (0, 3)


class TestWrong:
    """Each mistake in such an object is one error."""

    @pytest.mark.parametrize("made", [[[1.0]] * 2, [1.0], "text", [["a"]], [[]], None, [[1.0], [1.0, 2.0]]])
    def test_what_it_may_not_return(self, made: object) -> None:
        model = Colour()
        model.encode_images = lambda images: made  # type: ignore[method-assign,assignment]
        with pytest.raises(ModelOutputInvalid, match="colour 1"):
            OwnEncoder(model)

    def test_one_length_for_images_and_another_for_texts(self) -> None:
        model = Colour()
        model.encode_texts = lambda texts: [[1.0, 2.0]]  # type: ignore[method-assign,assignment]
        with pytest.raises(ModelOutputInvalid, match=r"\(1, 3\)"):
            OwnEncoder(model).encode_texts(["red"])

    @pytest.mark.parametrize("vector", [[0.0] * 3, [np.nan] * 3])
    def test_no_direction(self, vector: list[float], colours: Path, tmp_path: Path) -> None:
        model = Colour()
        model.encode_texts = lambda texts: [vector] * len(texts)  # type: ignore[method-assign,assignment]
        with pytest.raises(ModelOutputInvalid, match="zero or not finite"):
            OwnEncoder(model).encode_texts(["red"])
        plain = model.encode_images
        model.encode_images = lambda images: [  # type: ignore[method-assign,assignment]
            vector if np.asarray(one).mean() > 250 else row for one, row in zip(images, plain(images), strict=True)
        ]
        with door.open(tmp_path / "store", create=True) as store:
            report = store.index(colours, model=model)
        assert (report.added, report.failed) == (8, 2), "white images alone become failures"

    @pytest.mark.parametrize("model", [object(), type("NoId", (), {"encode_images": list, "id": 3})()])
    def test_not_an_encoder(self, model: Any, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="encode_images"):
            door.open(tmp_path / "store", create=True, model=model)

    def test_without_texts(self) -> None:
        model = type("Images", (), {"id": "images", "encode_images": Colour().encode_images})()
        with pytest.raises(ModelUnavailable, match="no encode_texts"):
            OwnEncoder(model).encode_texts(["red"])


def test_the_example_in_the_documentation(colours: Path, tmp_path: Path) -> None:
    section = (ROOT / "docs" / "python.md").read_text(encoding="utf-8").split("## Your own encoder")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    colours.rename(tmp_path / "stimuli")
    program = found[1] + "\nprint(colours.search('something blue', k=1)[0].path)\n"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert "Blue" in ran.stdout


def test_a_published_number_against_an_encoder_object(tmp_path: Path) -> None:
    save_colour(tmp_path / "photos" / "red" / "a.png", "red")
    (tmp_path / "names.toml").write_text('name = "names"\nclasses = ["red", "blue"]\n')
    (tmp_path / "table.toml").write_text(
        '[benchmarks.mine]\nimages = 1\n[[benchmarks.mine.entries]]\nprompts = "names.toml"\ntolerance = 0.01\n'
        'source = "a test"\nvalues = { "colour 1" = 1.0 }\n'
    )
    table, store = tmp_path / "table.toml", tmp_path / "store"
    found = door.reproduce("mine", tmp_path / "photos", model=Colour(), table=table, store=store, layout="{category}/*")
    assert (found.verdict, found.model) == ("reproduced", "colour 1")
