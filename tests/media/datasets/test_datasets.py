"""Data sets by name: the real libraries, on data made here or shipped beside."""

from __future__ import annotations

import gc
import gzip
import io
import os
import re
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shotdex.media.datasets import torchvision_sets
from shotdex.media.datasets.dataset_rows import Row, image_file, plain
from shotdex.media.datasets.hf import HfRows
from shotdex.media.decoding.decode import decode
from shotdex.media.files.places import TooManyBytes
from shotdex.media.sources import datasets
from shotdex.store.errors import SourceError
from tests.support.beside import torchvision_on_path
from tests.support.images import encoded, noise, save_noise

LIMIT = 1 << 20


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    datasets.forget()
    yield
    datasets.forget()


@pytest.fixture
def torchvision() -> Iterator[None]:
    with torchvision_on_path():
        yield


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(torchvision_sets.VARIABLE, str(tmp_path / "root"))
    return tmp_path / "root"


def rows(dataset: str, split: str) -> list[Row]:
    return list(datasets.open_dataset(dataset).rows(split))


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [datasets.matches(text) for text in ("torchvision:MNIST", "hf:a/b", "/hf:x", "https://host/hf:x")] == [
        True, True, False, False,
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").mkdir()
    assert datasets.absolute("torchvision:MNIST") == "torchvision:MNIST"
    assert datasets.absolute("hf:user/name:small") == "hf:user/name:small"
    assert datasets.absolute("hf:./a:b") == f"hf:{tmp_path}/a:b"
    assert datasets.absolute("hf:./c:small") == f"hf:{tmp_path}/c:small"
    for empty in ("torchvision:", "hf:", "hf::small"):
        with pytest.raises(SourceError, match="does not name a data set"):
            datasets.absolute(empty)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "LA", "P", "RGBA", "I;16", "I", "F", "CMYK", "LAB", "YCbCr"])
def test_a_image_without_a_file_becomes_one_without_loss(mode: str) -> None:
    image = noise(3).convert("L").convert(mode) if mode in ("1", "I;16", "I", "F") else noise(3).convert(mode)
    data = image_file(image)
    assert image_file(image) == data
    again = Image.open(io.BytesIO(data))
    assert (again.mode, again.tobytes()) == (mode, image.tobytes())
    assert decode(data).size == image.size


def test_values_that_json_cannot_hold() -> None:
    from datetime import date
    from decimal import Decimal

    value = {"a": float("nan"), "b": [1, None, True, "x", 1.5], 3: date(2024, 1, 2), "d": Decimal("1.5")}
    assert plain(value) == {"a": None, "b": [1, None, True, "x", 1.5], "3": "2024-01-02", "d": "1.5"}


class TestTorchvision:
    """The classes of torchvision, as they are."""

    def test_fashion_mnist(self, torchvision: None, root: Path, fashion_mnist: Path) -> None:
        raw = root / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for path in fashion_mnist.glob("*.gz"):
            (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        opened = datasets.open_dataset("torchvision:FashionMNIST")
        assert opened.splits == ("train", "test")
        found = rows("torchvision:FashionMNIST", "test")
        labels = (raw / "t10k-labels-idx1-ubyte").read_bytes()[8:]
        names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag"]
        assert [row.category for row in found] == [[*names, "Ankle boot"][label] for label in labels]
        assert {(row.split, row.size_bytes, row.metadata) for row in found} == {("test", 784, None)}
        pixels = (raw / "t10k-images-idx3-ubyte").read_bytes()[16:]
        for i in (0, 17, 9999):
            data = datasets.read("torchvision:FashionMNIST", f"test/{i}", LIMIT)
            assert data == b"P5 28 28 255\n" + pixels[784 * i : 784 * (i + 1)]
        with pytest.raises(TooManyBytes):
            datasets.read("torchvision:FashionMNIST", "test/0", 100)
        for member in ("test/10000", "val/0", "test/-1", "test/x", "17", "test/"):
            with pytest.raises(KeyError):
                datasets.read("torchvision:FashionMNIST", member, LIMIT)

        mark = found[0].modified_ns
        datasets.forget()
        assert next(datasets.open_dataset("torchvision:FashionMNIST").rows("test")).modified_ns == mark
        changed = bytearray((raw / "t10k-images-idx3-ubyte").read_bytes())
        changed[-1] ^= 1
        (raw / "t10k-images-idx3-ubyte").write_bytes(changed)
        datasets.forget()
        assert next(datasets.open_dataset("torchvision:FashionMNIST").rows("test")).modified_ns != mark

    def test_images_that_are_files_stay_what_they_are(self, torchvision: None, root: Path) -> None:
        for split in ("train", "valid", "test"):
            for i, country in enumerate(("AD", "US")):
                path = save_noise(root / "country211" / split / country / f"{i}.png", i)
                os.utime(path, ns=(1, 1_700_000_000_000_000_000 + i))
        assert datasets.open_dataset("torchvision:Country211").splits == ("train", "valid", "test")
        found = rows("torchvision:Country211", "valid")
        path = root / "country211" / "valid" / "US" / "1.png"
        assert found[1] == Row("valid", 1, path.stat().st_size, 1_700_000_000_000_000_001, "US", None)
        assert datasets.read("torchvision:Country211", "valid/1", LIMIT) == path.read_bytes()
        path.unlink()
        with pytest.raises(FileNotFoundError):
            datasets.read("torchvision:Country211", "valid/1", LIMIT)

    def test_a_set_without_splits(self, torchvision: None, root: Path) -> None:
        found = datasets.open_dataset("torchvision:FakeData").rows("all")
        first = next(found)
        assert (first.size_bytes, first.split, first.position) == (3 * 224 * 224, "all", 0)
        data = datasets.read("torchvision:FakeData", "all/0", LIMIT)
        assert decode(data).size == (224, 224)
        assert data == datasets.read("torchvision:FakeData", "all/0", LIMIT)

    def test_a_pickle_that_is_not_the_published_one_is_not_opened(self, torchvision: None, root: Path) -> None:
        import pickle

        folder = root / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        for name in ("data_batch_1", "test_batch", "batches.meta"):
            (folder / name).write_bytes(pickle.dumps(Bomb(str(root / "bang"))))
        with pytest.raises(SourceError, match="cannot be downloaded"):
            rows("torchvision:CIFAR10", "train")
        assert not (root / "bang").exists()

    def test_only_checked_files_are_unpickled(self, torchvision: None) -> None:
        import torchvision.datasets as known

        folder = Path(known.__file__).parent
        unpickling = re.compile(r"pickle\.load|torch\.load\((?!.*weights_only=True)|allow_pickle=True|joblib")
        assert {path.stem for path in folder.glob("*.py") if unpickling.search(path.read_text())} == {"cifar", "lsun"}
        assert {"LSUN", "LSUNClass"} <= set(torchvision_sets.REFUSED)

    @pytest.mark.parametrize(
        ("name", "message", "hint"),
        [
            ("cifar1", "no data set cifar1", "did you mean CIFAR10 or CIFAR100?"),
            ("zzz", "no data set zzz", "https://"),
            ("__all__", "no data set", ""),
            ("VisionDataset", "no data set", ""),
            ("wrap_dataset_for_transforms_v2", "no data set", ""),
            ("CocoDetection", "needs annFile", "index its folder"),
            ("EMNIST", "needs split", "index its folder"),
            ("LSUN", "unpickles", "index its folder"),
            ("ImageFolder", "any folder", "index its folder"),
            ("VOCDetection", "splits of torchvision:VOCDetection are not known", "index its folder"),
            ("ImageNet", "cannot be loaded", "does not download it: put its files in"),
        ],
    )
    def test_what_cannot_be(self, torchvision: None, root: Path, name: str, message: str, hint: str) -> None:
        with pytest.raises(SourceError, match=re.escape(message)) as caught:
            opened = datasets.open_dataset(f"torchvision:{name}")
            list(opened.rows(opened.splits[0]))
        assert hint in caught.value.hint

    def test_no_connection(self, torchvision: None, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import torchvision.datasets as known

        monkeypatch.setattr(known.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")
        with pytest.raises(SourceError, match=r"torchvision:CIFAR10 cannot be downloaded: .*refused") as caught:
            rows("torchvision:CIFAR10", "train")
        assert str(root) in caught.value.hint


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.path),))


def test_where_torchvision_data_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(torchvision_sets.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert torchvision_sets.root() == tmp_path / "shotdex" / "torchvision"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert torchvision_sets.root() == Path.home() / ".cache" / "shotdex" / "torchvision"
    monkeypatch.setenv(torchvision_sets.VARIABLE, str(tmp_path / "mine"))
    assert torchvision_sets.root() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("target", "names", "expected"),
    [
        (1, ["cat", "dog"], ("dog", None)),
        (np.int64(1), ["cat", "dog"], ("dog", None)),
        (1, [("tench", "Tinca"), ("goldfish", "Carassius")], ("goldfish", None)),
        (7, None, ("7", None)),
        (7, ["cat"], ("7", None)),
        (-1, ["cat"], (None, None)),
        ("cat", None, ("cat", None)),
        (None, None, (None, None)),
        (np.array([1, 0]), None, (None, {"target": [1, 0]})),
        ({"box": (1, 2)}, None, (None, {"target": {"box": [1, 2]}})),
        (Image.new("L", (2, 2)), None, (None, None)),
    ],
)
def test_what_a_target_stands_for(target: Any, names: Any, expected: Any) -> None:
    assert torchvision_sets._label(target, names) == expected


@pytest.mark.parametrize(
    ("module", "name", "extra"), [("torchvision", "torchvision:MNIST", "torchvision"), ("datasets", "hf:a/b", "hf")]
)
def test_a_library_that_is_not_installed(module: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in [part for part in sys.modules if part.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, part)
    monkeypatch.setattr(sys, "meta_path", [Without(module), *sys.meta_path])
    with pytest.raises(SourceError, match="not installed") as caught:
        datasets.open_dataset(name)
    assert caught.value.hint == f'pip install "shotdex[{extra}]"'


class Without:
    """Finds nothing for a module, as where it is not installed."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == self.module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.module)


def test_a_torchvision_that_was_built_for_another_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match="cannot be loaded: operator nms does not exist") as caught:
        datasets.open_dataset("torchvision:MNIST")
    assert "built for your torch" in caught.value.hint


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # `datasets` leaves metadata.csv open
class TestHf:
    """Hugging Face's datasets, on folders made here."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        import datasets as hf

        monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        yield
        gc.collect()

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        """A folder of images: two splits, and a table about one of them."""
        folder = tmp_path / "pictures"
        for split, number in (("train", 3), ("test", 2)):
            lines = ["file_name,label,year,note"]
            for i in range(number):
                save_noise(folder / split / f"{i}.png", i + len(split))
                lines.append(f"{i}.png,{'cat' if i else 'dog'},{1990 + i},{'' if i else 'first'}")
            (folder / split / "metadata.csv").write_text("\n".join(lines) + "\n")
        return folder

    def test_a_folder_of_images(self, images: Path) -> None:
        name = f"hf:{images}"
        assert set(datasets.open_dataset(name).splits) == {"train", "test"}
        found = rows(name, "train")
        assert [(row.category, row.metadata) for row in found] == [
            ("dog", {"year": 1990, "note": "first", "file_name": "0.png"}),
            ("cat", {"year": 1991, "note": None, "file_name": "1.png"}),
            ("cat", {"year": 1992, "note": None, "file_name": "2.png"}),
        ]
        for i, row in enumerate(found):
            path = images / "train" / f"{i}.png"
            assert (row.size_bytes, row.modified_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
            assert datasets.read(name, f"train/{i}", LIMIT) == path.read_bytes()
        with pytest.raises(TooManyBytes):
            datasets.read(name, "train/0", 10)
        for member in ("train/3", "val/0", "train/x"):
            with pytest.raises(KeyError):
                datasets.read(name, member, LIMIT)

    @pytest.mark.parametrize("form", ["parquet", "saved"])
    def test_images_in_a_table(self, tmp_path: Path, form: str) -> None:
        import datasets as hf

        jpegs = [encoded(noise(i), "JPEG") for i in range(3)]
        features = hf.Features(
            {
                "img": hf.Image(),
                "kind": hf.ClassLabel(names=["cat", "dog"]),
                "boxes": [[hf.Value("int32")]],
                "weight": hf.Value("float64"),
                "blob": hf.Value("binary"),
                "thumb": hf.Image(),
            }
        )
        made = hf.Dataset.from_dict(
            {
                "img": [{"bytes": data, "path": f"a/{i}.jpg"} for i, data in enumerate(jpegs)],
                "kind": [1, 0, -1],
                "boxes": [[[1, 2]], [], [[3], [4]]],
                "weight": [0.5, float("nan"), None],
                "blob": [b"x"] * 3,
                "thumb": [{"bytes": jpegs[0], "path": None}] * 3,
            },
            features=features,
        )
        folder = tmp_path / form
        folder.mkdir()
        if form == "parquet":
            made.to_parquet(folder / "train.parquet")
        else:
            made.save_to_disk(folder)
        found = rows(f"hf:{folder}", "train")
        assert [(row.category, row.size_bytes) for row in found] == [
            ("dog", len(jpegs[0])),
            ("cat", len(jpegs[1])),
            (None, len(jpegs[2])),
        ]
        assert [row.metadata for row in found] == [
            {"boxes": [[1, 2]], "weight": 0.5, "file_name": "0.jpg"},
            {"boxes": [], "weight": None, "file_name": "1.jpg"},
            {"boxes": [[3], [4]], "weight": None, "file_name": "2.jpg"},
        ]
        assert len({row.modified_ns for row in found}) == 1
        assert 0 <= found[0].modified_ns < 2**63
        for i, data in enumerate(jpegs):
            assert datasets.read(f"hf:{folder}", f"train/{i}", LIMIT) == data, "the bytes that it came with"
        datasets.forget()
        assert rows(f"hf:{folder}", "train") == found, "nothing changed, so nothing is to be read again"

    def test_a_row_cannot_name_a_file_elsewhere(self, tmp_path: Path) -> None:
        import datasets as hf

        outside = save_noise(tmp_path / "outside.png", 1)
        folder = tmp_path / "set"
        inside = save_noise(folder / "pictures" / "1.png", 2)
        paths = [str(outside), f"{folder}/../outside.png", "https://127.0.0.1:9/a.png", "x.png", str(inside)]
        cells = [*({"bytes": None, "path": path} for path in paths), None]
        made = hf.Dataset.from_dict({"image": cells}, features=hf.Features({"image": hf.Image()}))
        opened = HfRows(str(folder), {"train": made}, "image", None, [str(folder)])
        assert [row.size_bytes for row in opened.rows("train")] == [0, 0, 0, 0, inside.stat().st_size, 0]
        for i in (0, 1, 2, 3, 5):
            with pytest.raises(KeyError, match="has no image"):
                opened.file("train", i, LIMIT)
        assert opened.file("train", 4, LIMIT) == inside.read_bytes()

    def test_the_class_numbers_of_webdataset(self, tmp_path: Path) -> None:
        (tmp_path / "test").mkdir()
        with tarfile.open(tmp_path / "test" / "0.tar", "w") as tar:
            for name, content in (("s0.webp", b"image"), ("s0.cls", b"7")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        ((_, category),) = [
            (row.position, row.category) for row in datasets.open_dataset(f"hf:{tmp_path}").rows("test")
        ]
        assert category == "7"

    def test_no_images(self, tmp_path: Path) -> None:
        (tmp_path / "texts").mkdir()
        (tmp_path / "texts" / "a.csv").write_text("text,label\nhello,1\n")
        with pytest.raises(SourceError, match="no column of images; it has text, label"):
            datasets.open_dataset(f"hf:{tmp_path}/texts")

    def test_what_is_not_there(self, tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        began = time.monotonic()
        for name in ("hf:no-such-user/no-such-set", "hf:mnist-of-nobody:small", f"hf:{tmp_path}/gone"):
            with pytest.raises(SourceError, match="cannot be loaded") as caught:
                datasets.open_dataset(name)
            assert "check the name" in caught.value.hint
        assert time.monotonic() - began < 5, "no long wait where nobody answers"
        (tmp_path / "empty").mkdir()
        with pytest.raises(SourceError, match="cannot be loaded"):
            datasets.open_dataset(f"hf:{tmp_path}/empty")
        with pytest.raises(SourceError, match="cannot be loaded") as caught:
            datasets.open_dataset(f"hf:{images}:nosuch")
        assert "choose one of its configurations" in caught.value.hint

    def test_a_script_is_not_run(self, tmp_path: Path) -> None:
        folder = tmp_path / "scripted"
        folder.mkdir()
        (folder / "scripted.py").write_text(f"open({str(tmp_path / 'bang')!r}, 'w')")
        with pytest.raises(SourceError):
            datasets.open_dataset(f"hf:{folder}")
        assert not (tmp_path / "bang").exists()
