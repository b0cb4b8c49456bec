"""`shotdex model`, through the same `main` as the installed script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.cli.model import Count, Flops
from shotdex.models.model_files import load_model
from shotdex.store.store import Store
from tests.conftest import Ran, index
from tests.support.fakes import FakeEncoder, fake_id

Run = Callable[..., Ran]


def cells(text: str, name: str) -> list[str]:
    """Return the columns of the first row of that name."""
    return next(line.split() for line in text.splitlines() if line.strip().startswith(name))[len(name.split()) :]


def test_the_base_model_of_clip(shotdex: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    ran = shotdex("model", tmp_path)
    assert (ran.status, ran.err) == (0, "")
    assert "151,277,313 parameters: 605.1 MB in float32, 302.6 MB in bf16" in ran.out
    assert "224 x 224 pixels, 3 channels" in ran.out
    assert "50: 49 patches of 32 x 32 and the class token" in ran.out
    assert cells(ran.out, "heads") == ["12", "of", "64", "8", "of", "64"]
    assert cells(ran.out, "MLP width") == ["3,072", "2,048"]
    assert cells(ran.out, "FLOPs") == ["8.82", "G", "for", "one", "image", "5.96", "G", "for", "one", "text"]
    assert cells(ran.out, "block ") == ["7,079,424", "8,448", "12", "85,054,464", "56.2%", "8.59", "G"]
    assert cells(ran.out, "query") == ["589,824", "768", "12", "7,087,104", "4.7%", "708", "M"]
    assert cells(ran.out, "attention") == ["12", "92.2", "M"]
    assert cells(ran.out, "the vision tower") == ["87,849,216", "58.1%", "8.82", "G"]
    assert cells(ran.out, "the text tower") == ["63,428,096", "41.9%", "5.96", "G"]
    assert cells(ran.out, "the whole model") == ["151,277,313", "100.0%"]
    assert "one text of 77 tokens" in " ".join(ran.out.split())


@pytest.mark.parametrize("folder", ["clip_folder", "siglip_folder", "siglip2_folder", "demo_model"])
def test_text_fits_the_page_and_explains_each_part(folder: str, shotdex: Run, request: pytest.FixtureRequest) -> None:
    ran = shotdex("model", request.getfixturevalue(folder))
    lines = ran.out.splitlines()
    assert ran.status == 0, ran.err
    # The first line is the name, which may be a long path.
    assert max(map(len, lines[1:])) <= 100
    assert len(lines) <= 100
    start = next(i for i, line in enumerate(lines) if line.endswith("what it does"))
    explained = {line.split("  ")[0] for line in lines[start + 2 : lines.index("", start)]}
    ends = [i for i, line in enumerate(lines) if line.startswith("the ") and "tower" in line]
    starts = [i for i, line in enumerate(lines) if line.endswith("FLOPs")]
    rows = {lines[i].strip().split("  ")[0] for a, b in zip(starts, ends, strict=True) for i in range(a + 2, b)}
    assert rows <= explained
    assert {"block", "query", "attention", "MLP", "projection", "logit scale"} <= explained


@pytest.mark.parametrize("folder", ["clip_folder", "siglip_folder", "siglip2_folder"])
def test_json_adds_up(folder: str, shotdex: Run, request: pytest.FixtureRequest) -> None:
    place = request.getfixturevalue(folder)
    found = json.loads(shotdex("model", place, "--json").out)
    real = sum(parameter.numel() for parameter in load_model(str(place)).model.parameters())
    towers = [found["vision"], found["text"]]
    for tower in towers:
        parts = tower["parts"]
        assert all(part["parameters"] == part["copies"] * (part["weights"] + part["biases"]) for part in parts)
        assert tower["parameters"] == sum(part["parameters"] for part in parts)
        assert tower["flops"] == sum(part["flops"] for part in parts)
        assert all(part["does"].endswith(".") for part in parts)
        block = [part for part in parts if part["place"] == "block"]
        assert tower["parameters_per_block"] == sum(part["weights"] + part["biases"] for part in block)
        assert {part["copies"] for part in block} == {tower["layers"]}
    between = sum(part["parameters"] for part in found["comparison"])
    assert found["parameters"] == sum(tower["parameters"] for tower in towers) + between == real
    assert found["size_bytes"] == {"float32": 4 * real, "bf16": 2 * real}
    assert "torch.utils.flop_counter" in found["convention"]
    assert towers[1]["input"] == {"context": 16, "vocabulary": 400, "padded": folder != "clip_folder"}


def test_another_kind_of_model(shotdex: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    ran = shotdex("model", tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert f"error: {tmp_path} is a 'bert' model; shotdex reads clip, siglip, siglip2" in ran.err
    assert "try: choose another" in ran.err


class TestOfTheStore:
    """Without a name."""

    def test_the_model_that_the_store_was_made_with(self, shotdex: Run, store: Store, colours: Path) -> None:
        index(store, colours, FakeEncoder(fake_id("demo")))
        index(store, colours, FakeEncoder(fake_id("demo", "1" * 64)))
        assert shotdex("model", "--store", store.root).out == shotdex("model", "demo").out

    def test_several(self, shotdex: Run, store: Store, colours: Path) -> None:
        index(store, colours, FakeEncoder(fake_id("one/a")))
        index(store, colours, FakeEncoder(fake_id("two/b", "1" * 64)))
        ran = shotdex("model", "--store", store.root)
        assert (ran.status, ran.out) == (2, "")
        assert "several models: one/a, two/b" in ran.err
        assert "shotdex model one/a" in ran.err

    def test_none(self, shotdex: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "nothing has been indexed" in shotdex("model", "--store", store.root).err
        monkeypatch.chdir(tmp_path)
        ran = shotdex("model")
        assert (ran.status, ran.out) == (2, "")
        assert "no model was given" in ran.err
        assert "shotdex model demo" in ran.err
        assert shotdex("model", "--store", tmp_path / "nowhere").status == 1


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.00"),
        (7, "7.00"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (8_817_819_648, "8.82 G"),
        (10**12, "1.00 T"),
        (10**16, "10.0 P"),
    ],
)
def test_operations_in_three_digits(number: int, text: str) -> None:
    assert str(Flops(number)) == text


def test_whole_numbers_in_groups() -> None:
    assert str(Count(151_277_313)) == "151,277,313"
