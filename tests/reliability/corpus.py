"""Small sources of every kind, with copies, broken images and labels: made by a seed, and changed by one."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.archives import save_tar
from tests.support.images import encoded, noise

LAYOUT = "{condition}/{category}*"
NAMES = ("Cat", "Dog", "Éland ", "-Owl", "Hen!", "'q\"", "🎈x", "new\nline")


@dataclass(frozen=True)
class Place:
    """One source of the corpus. Archives and tables are made from the folder of the same stem beside them."""

    path: Path
    layout: str | None


class Corpus:
    """A folder with a folder of images, a zip, a tar and a table, each indexed as a source of its own."""

    def __init__(self, root: Path, seed: int, images: int = 24, sources: int = 4) -> None:
        self.root = root
        self._sources = sources
        self.photos = root / "photos"
        self._random = random.Random(seed)
        self._seed = seed * 100_000
        self._clock = 1_700_000_000 * 10**9
        for i in range(images):
            self.save(self.photos / f"cond{i % 3}" / f"{NAMES[i % len(NAMES)]}{i:03}.png")
        for i in range(images // 8):
            self.copy()
            (self.photos / f"cond{i % 3}" / f"Broken{i}.jpg").write_bytes(encoded(noise(i), "JPEG")[: 40 * i])
        (self.photos / "cond0" / "notes.txt").write_text("no image", encoding="utf-8")
        self._hold("set")
        self.pack()

    def places(self) -> list[Place]:
        """Return the sources in the order in which they are indexed."""
        names = ("set.zip", "set.tar.gz", "set.csv")
        return [Place(self.photos, LAYOUT), *(Place(self.root / name, None) for name in names)][: self._sources]

    def save(self, path: Path) -> None:
        """Write an image that differs from all others, with a time that no other file has."""
        self._seed += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(self._seed).save(path, "PNG")
        self._stamp(path)

    def copy(self) -> None:
        """Copy one image under another name."""
        old = self._pick()
        new = old.with_name(f"copy{self._tick()}{old.name}")
        shutil.copy(old, new)
        self._stamp(new)

    def pack(self) -> None:
        """Make the archives and the table anew from the folders beside them."""
        members = sorted((self.root / "set").rglob("*.*"))
        named = [(path.relative_to(self.root / "set").as_posix(), path.read_bytes()) for path in members]
        with zipfile.ZipFile(self.root / "set.zip", "w") as archive:
            for name, data in named:
                archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
        tagged = [part for name, data in named for part in ((name, data), (f"{name[:-4]}.cls", b"7"))]
        save_tar(self.root / "set.tar.gz", tagged)
        rows = [f"set/{name},label{len(name)},{i}" for i, (name, _) in enumerate(named)]
        (self.root / "set.csv").write_text("\n".join(["file,category,weight", *rows, "set/nowhere.png,x,1", ""]))

    def change(self) -> str:
        """Change something, as people do; return what."""
        changes: dict[str, Callable[[], None]] = {
            "moved": self._move,
            "renamed folder": self._rename_folder,
            "changed": lambda: self.save(self._pick()),
            "deleted": lambda: self._pick().unlink(),
            "added": lambda: self.save(self.photos / "cond1" / f"Added{self._tick()}.png"),
            "copied": self.copy,
            "broken": lambda: self._write(self._pick(), b"\x89PNG\r\n\x1a\n broken"),
            "repaired": self._repair,
            "swapped": self._swap,
            "touched": lambda: self._stamp(self._pick()),
            "archives changed": self._change_archives,
        }
        name = self._random.choice(list(changes))
        changes[name]()
        return name

    def images(self) -> list[Path]:
        """Return the files of the folder that look like images."""
        return sorted(path for path in self.photos.rglob("*.*") if path.suffix in (".png", ".jpg"))

    def _hold(self, name: str) -> None:
        for i in range(5):
            self.save(self.root / name / f"part{i % 2}" / f"m{i}.png")
        shutil.copy(self._pick(), self.root / name / "part0" / "same.png")
        self._write(self.root / name / "part1" / "bad.png", b"not an image")

    def _pick(self) -> Path:
        return self._random.choice([path for path in self.images() if path.suffix == ".png"])

    def _move(self) -> None:
        (self.photos / "cond3").mkdir(exist_ok=True)
        self._pick().rename(self.photos / "cond3" / f"Moved{self._tick()}.png")

    def _rename_folder(self) -> None:
        folder = self._random.choice(sorted(path for path in self.photos.iterdir() if path.is_dir()))
        folder.rename(folder.with_name(f"cond{self._tick()}"))

    def _repair(self) -> None:
        broken = [path for path in self.images() if path.suffix == ".jpg"]
        self.save(self._random.choice(broken or self.images()))

    def _swap(self) -> None:
        one, other = self._pick(), self._pick()
        first, second = one.read_bytes(), other.read_bytes()
        self._write(one, second)
        self._write(other, first)

    def _change_archives(self) -> None:
        members = sorted((self.root / "set").rglob("*.png"))
        self.save(self._random.choice(members))
        self.save(self.root / "set" / "part0" / f"n{self._tick()}.png")
        if len(members) > 4:
            self._random.choice(members).unlink()
        self.pack()

    def _write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self._stamp(path)

    def _stamp(self, path: Path) -> None:
        # A file changed twice within one tick of the file system's clock, at the same size, looks unchanged.
        os.utime(path, ns=(self._clock, self._tick()))

    def _tick(self) -> int:
        self._clock += 10**9
        return self._clock
