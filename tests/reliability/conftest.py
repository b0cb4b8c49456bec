"""Folders and disks for the tests of reliability."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.images import save_noise


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images with labels in their paths, a copy of one of them, and two broken ones."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(24):
        save_noise(folder / f"cond{i % 2}" / f"Cat{i:02}.png", seed=i)
    (folder / "cond1" / "Copy.png").write_bytes((folder / "cond0" / "Cat00.png").read_bytes())
    (folder / "cond0" / "Bad05.png").write_bytes(b"")
    (folder / "cond1" / "Bad17.jpg").write_text("<html>")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Give a disk in memory of so many KiB; called again, the same disk has that size from then on."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(kib: int) -> Path:
        how = ["-o", f"remount,size={kib}k"] if os.path.ismount(place) else ["-t", "tmpfs", "-o", f"size={kib}k"]
        done = subprocess.run(["mount", *how, "tmpfs", str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this user cannot mount a small disk: {done.stderr.strip()}")
        return place

    yield sized
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)
