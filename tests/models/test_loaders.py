"""A library of models is one loader: what it loads is indexed, goes on record and answers a search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.models import loaders
from shotdex.models.loaders import load_encoder, loader_of
from shotdex.models.model_files import TransformersLoader
from shotdex.models.protocols import EncoderOptions, ImageEncoder, Samples
from shotdex.store.errors import ModelUnavailable, OptionError
from shotdex.store.store import Store
from shotdex.store.types import Precision
from tests.conftest import Ran
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.models import save_random_clip


class ToyLoader:
    """Implements `Loader` for models called `toy:SIZE`."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, EncoderOptions]] = []

    def matches(self, name: str) -> bool:
        return name.casefold().startswith("toy:")

    def canonical_name(self, name: str) -> str:
        return name.casefold()

    def is_here(self, name: str) -> bool:
        return not name.endswith("far-away")

    def version(self, name: str) -> int:
        return 1

    def load(self, name: str, options: EncoderOptions, samples: Samples | None) -> ImageEncoder:
        self.loaded.append((name, options))
        if options.precision != "float32":
            raise OptionError(f"toys have no {options.precision}", "use --precision float32")
        if name.endswith("broken"):
            raise ModelUnavailable(f"the toy {name} is broken", "use another one")
        return FakeEncoder(fake_id(self.canonical_name(name)))


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> ToyLoader:
    loader = ToyLoader()
    monkeypatch.setattr(loaders, "LOADERS", (loader, *loaders.LOADERS))
    return loader


def test_its_model_indexes_and_answers(
    toys: ToyLoader, shotdex: Callable[..., Ran], colours: Path, tmp_path: Path
) -> None:
    at = ("--store", tmp_path / "store")
    planned = shotdex("index", colours, "--model", "TOY:big", "--dry-run", *at)
    assert "model: toy:big" in planned.out, planned.err
    assert shotdex("index", colours, "--model", "TOY:big", *at).status == 0
    with Store(tmp_path / "store").reading() as con:
        assert con.rows("SELECT name, precision FROM encoders") == [("toy:big", "float32")]
    found = shotdex("search", "red", "-k", "1", "--json", *at)
    assert Path(json.loads(found.out)[0]["path"]).name.startswith("Red"), found.err
    assert toys.loaded[-1] == ("toy:big", EncoderOptions("auto", "float32")), "by the name on record"
    again = len(toys.loaded)
    assert shotdex("index", colours, *at).status == 0
    assert len(toys.loaded) == again, "nothing is new, so nothing is loaded"
    assert shotdex("index", colours, "--model", "toy:BIG", *at).status == 0
    assert len(list((tmp_path / "store" / "index").glob("text-*"))) == 0, "it has no text tower to keep"


def test_what_it_raises_reaches_the_user(
    toys: ToyLoader, shotdex: Callable[..., Ran], colours: Path, tmp_path: Path
) -> None:
    at = ("--store", tmp_path / "store")
    ran = shotdex("index", colours, "--model", "toy:broken", *at)
    assert (ran.status, "is broken" in ran.err) == (1, True)
    ran = shotdex("index", colours, "--model", "toy:big", "--precision", "bf16", *at)
    assert (ran.status, "toys have no bf16" in ran.err) == (2, True)
    ran = shotdex("index", colours, "--model", "toy:far-away", "--dry-run", *at)
    assert "not on this machine" in ran.out


def test_every_other_name_is_transformers(toys: ToyLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_random_clip(tmp_path / "model")
    for name in ("demo", "model", str(folder), "org/name", "bad name!", ""):
        assert isinstance(loader_of(name), TransformersLoader)
    assert loader_of("toy:x") is toys
    assert load_encoder("model").id.name == str(folder)
    assert load_encoder("model", EncoderOptions("cpu", "bf16")).id.precision is Precision.BF16


def test_the_version_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    loader, folder = TransformersLoader(), save_random_clip(tmp_path / "model")
    before = loader.version(str(folder))
    assert loader.version(f"{folder}/../model") == before != ()
    (folder / "model.safetensors").write_bytes(b"")
    assert loader.version(str(folder)) != before
    assert loader.version("org/name") == ()
