"""Runs the blocks of the README and of the hand-written pages in docs/: commands, SQL, Python and prompt sets.

Offline, in a folder with small stand-ins for the files that the pages name, next to a store of the demo images.
What cannot be run so is in `CANNOT`, with the reason; tests/test_readme.py parses those commands all the same.
"""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import shotdex as library
from shotdex import demo
from tests.conftest import ROOT, Ran

from .support.models import save_random_clip

pytestmark = pytest.mark.check

PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.stem not in ("api", "cli")
]
"""Without the two generated ones: the examples of api.md are run as doctests."""

CANNOT = {
    r"^pip install ": "installs packages",
    r"^make ": "sets up an environment of its own; tests/test_readme.py runs what `make demo` runs",
    r"^shotdex serve": "goes on until Ctrl-C; tests/web starts it",
    r"^shotdex reproduce cifar10": "downloads the images",
    r"^shotdex reproduce imagenet": "80,000 prompts take minutes without a GPU",
    r"torchvision:|hf-hub:|open_clip:|my-open-clip": "needs the packages of an extra, and a download",
    r"^shotdex engine add milvus|--engine milvus": "needs a Milvus server; make engines has one",
    r"--runner ray": "needs a Ray cluster; make engines has one",
    r"^(helm|kubectl) ": "needs a Kubernetes cluster",
}
"""Lines that cannot be run offline on one machine, and why."""

ELSEWHERE = ("/data/", "/local/", "/mnt/nas/", "/new/", "s3://bucket/", "remote:backup/")
"""Places that the pages name and that are folders of the test here."""

SCRIPTS = {
    "xdg-open": "#!/bin/sh\n",
    "duckdb": f"#!{sys.executable}\nimport duckdb, sys\nprint(duckdb.sql(sys.argv[2]))\n",
    "rclone": '#!/bin/sh\nmkdir -p "$3" && cp "$2" "$3"\n',
    "shotdex": f'#!/bin/sh\nexec {sys.executable} -m shotdex.cli "$@"\n',
}
"""Programs that a block calls by name."""

NEW = ("index", "shards")
"""Pages whose reader has no store yet; on the others there is one of the demo images with two runs."""

Block = tuple[int, str, str]
"""The number of its first line, its language ("sh" where it is indented) and its text."""


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced and the indented blocks of a page."""
    found = re.compile(r"^```(\w*)\n(.*?)^```$|(?<=\n\n)((?:    [^\n]+\n|\n(?=    ))+)", re.MULTILINE | re.DOTALL)
    text = page.read_text(encoding="utf-8")
    for match in found.finditer(text):
        language = match[1] or ("" if match[3] is None else "sh")
        content = match[2] if match[3] is None else re.sub(r"^    ", "", match[3], flags=re.MULTILINE)
        yield text[: match.start()].count("\n") + 1, language, content


def lines(language: str, content: str) -> list[str]:
    """Return the commands of a block, without comments; of a session only what follows a prompt."""
    joined = content.replace("\\\n", " ").splitlines()
    if language == "console":
        joined = [line[2:] for line in joined if line.startswith("$ ")]
    return [line for line in (re.sub(r"(^|\s+)#.*", "", line).strip() for line in joined) if line]


def photo(path: Path, seed: int, taken: str = "2023:08:01 12:00:00") -> None:
    """Save a photograph with the position, the camera and the time that the pages filter by."""
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64))
    exif = Image.Exif()
    exif[0x0110] = "EOS R5"
    exif.get_ifd(0x8769)[0x9003] = taken
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 36.0), 3: "E", 4: (2.0, 17.0, 24.0)})
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)


def idx(path: Path, values: np.ndarray) -> None:
    """Write an array in the format of MNIST."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


def photographs(folder: Path) -> None:
    """Save the photographs of somebody who reads the pages."""
    for i, name in enumerate(
        ("Pictures/holiday", "Pictures/family/a", "photos/dog", "photos/old/a", "photos/private/b")
    ):
        photo(folder / f"{name}.jpg", i, "2021:07:15 12:00:00" if i % 2 else "2023:08:01 12:00:00")
    for name in ("holiday", "photo", "query"):
        shutil.copy(folder / "Pictures/holiday.jpg", folder / f"{name}.jpg")
    for place in ("bucket/photos", "bucket/pictures", "mnt/nas/photos"):
        shutil.copytree(folder / "photos", folder / place)
    shutil.copytree(folder / "photos/old", folder / "data/photos")  # one image, which is in the first of 64 parts


def labelled(folder: Path) -> None:
    """Save data sets: folders by condition and by split, archives, tables, and images in the format of MNIST."""
    for place in ("stimuli", "IMAGES"):
        shutil.copytree(demo.EVALUATION, folder / place)
    for place in ("imagenet-like", "dataset"):
        for i, path in enumerate(sorted((demo.EVALUATION / "realistic").glob("*.png"))):
            to = folder / place / ("train", "test")[i % 2] / re.match("[A-Z][a-z]*", path.name)[0].lower() / f"{i}.png"  # type: ignore[index]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    for name in ("photos.zip", "more-dogs.zip", "data/set.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.write(folder / "photo.jpg", "a/b.jpg")
    for number in range(13):
        subprocess.run(["tar", "-cf", f"shards-{number:03d}.tar", "photo.jpg"], cwd=folder, check=True, timeout=60)
    table = pa.table({"file": ["photo.jpg"], "label": ["dog"], "photographer": ["me"], "year": ["1949"]})
    pq.write_table(table, folder / "list.parquet")
    (folder / "corrected.csv").write_text("path,category\ndataset/train/car/8.png,truck\n")
    (folder / "last-week").touch()
    os.utime(folder / "last-week", (0, 0))
    for kind in ("train", "t10k"):
        pixels = np.random.default_rng(0).integers(0, 255, (20, 28, 28))
        idx(folder / f"data/fashion-mnist/{kind}-images-idx3-ubyte.gz", pixels)
        idx(folder / f"data/fashion-mnist/{kind}-labels-idx1-ubyte.gz", np.arange(20) % 10)


def cached(hub: Path, name: str, model: Path, revision: str = "main", commit: str = "a" * 40) -> None:
    """Put a model into the cache of the hub, as if it had been downloaded."""
    place = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(model, place / "snapshots" / commit)
    (place / "refs" / revision).parent.mkdir(parents=True, exist_ok=True)
    (place / "refs" / revision).write_text(commit)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder with everything that the pages name, and a store of the demo images with their two runs."""
    folder = tmp_path_factory.mktemp("blocks") / "home"
    photographs(folder)
    labelled(folder)
    (folder / "bin").mkdir()
    for name, script in SCRIPTS.items():
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    store = library.open(folder / ".shotdex", create=True)
    images = folder / "IMAGES"
    store.index(images, model="demo", layout="{condition}/{category}*", categories=demo.CATEGORIES)
    store.index(demo.GALLERY, layout="*")
    store.index(folder / "list.parquet", columns={"image": "file", "category": "label"})
    store.index(folder / "photos")
    for name in ("names", "words"):
        store.classify(prompts=name, name=name)
    shutil.copytree(folder / ".shotdex", folder / "demo-out" / "store")
    hub = Path(os.environ["HF_HUB_CACHE"])
    small = "openai/clip-vit-base-patch32"
    cached(hub, small, demo.MODEL)
    cached(hub, small, demo.MODEL, "refs/pr/62", "b" * 40)
    cached(hub, small, demo.MODEL, "old", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268")
    cached(hub, "openai/clip-vit-large-patch14", save_random_clip(folder.parent / "large"))
    shutil.copytree(folder, folder.parent / "pristine")
    yield folder
    for place in hub.glob("models--openai--clip-vit-*"):
        shutil.rmtree(place)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_run(
    page: Path, surroundings: Path, shotdex: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = surroundings
    shutil.rmtree(here)
    shutil.copytree(here.parent / "pristine", here)
    classes = ("car", "cup", "hat") if page.stem == "python" else demo.CATEGORIES
    prompts = [f'{name} = "a {name}"\n' for name in classes]
    Path(here, "prompts.toml").write_text(f'name = "sentences"\n[classes]\n{"".join(prompts)}')
    if page.stem in NEW:
        shutil.rmtree(here / ".shotdex")
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("PATH", f"{here / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    names: dict[str, object] = {}
    wrong: list[str] = []
    for number, language, content in blocks(page):
        for place in ELSEWHERE:
            content = content.replace(place, f"{here}/{place.replace('s3://', '').replace(':', '').strip('/')}/")
        try:
            if language == "python":
                exec(compile(content, f"{page.name}:{number}", "exec"), names)
            elif language == "toml":
                tomllib.loads(content)
            elif language == "sql":
                done(shotdex("sql", content))
            elif language in ("sh", "bash", "console"):
                for line in lines(language, content):
                    run(line, shotdex, monkeypatch)
        except Exception as error:
            wrong.append(f"{page.name}:{number}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def run(line: str, shotdex: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a shell: shotdex in this process, everything else in bash."""
    if any(re.search(pattern, line) for pattern in CANNOT):
        return
    if line.startswith("shotdex remove "):
        line += " --yes"  # a reader is asked
    words = [os.path.expandvars(re.sub("^~/", "$HOME/", word)) for word in shlex.split(line)]
    if words[0] == "export":
        for name, _, value in (word.partition("=") for word in words[1:]):
            monkeypatch.setenv(name, value)
    elif words[0] == "shotdex" and "|" not in words:
        done(shotdex(*words[1:]), line)
    else:
        ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=100)
        done(Ran(ran.returncode, ran.stdout, ran.stderr), line)


def done(ran: Ran, line: str = "") -> None:
    """Fail unless a command ended well and found something."""
    well = (0, 1) if re.match("shotdex (prompts check|rerun) ", line) else (0,)  # 1: it found something
    assert ran.status in well, f"{line}\n{ran.err}"
    assert "no image passes" not in ran.err, line


def test_no_reason_without_its_line() -> None:
    shown = [
        line for page in PAGES for _, language, text in blocks(page) if language == "sh" for line in lines("sh", text)
    ]
    assert [pattern for pattern in CANNOT if not any(re.search(pattern, line) for line in shown)] == []
