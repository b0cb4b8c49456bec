"""The registry of source kinds: what one takes, and that only those are imported that a place may be of."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shotdex.media.sources import kinds, open_source
from shotdex.media.sources.address import join, split
from tests.conftest import Ran


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(out, "PNG")
    return out.getvalue()


def test_a_kind_is_one_file_and_one_line(tmp_path: Path, shotdex: Callable[..., Ran]) -> None:
    kinds.KINDS.insert(0, kinds.Kind("tests.media.sources.toy_kind", (".toy",)))
    try:
        place, root, out = tmp_path / "set.toy", tmp_path / "store", tmp_path / "out"
        lines = [f"{name}.png {base64.b64encode(png(name)).decode()}" for name in ("red", "blue")]
        place.write_text("\n".join(["toy", *lines]))
        assert open_source(place).kind == "toy"
        assert split(join("https://host/a.toy", "red.png")) == ("https://host/a.toy", "red.png")
        ran = shotdex("index", place, "--model", "demo", "--store", root, "--json")
        assert ran.status == 0, ran.err
        assert json.loads(ran.out)["added"] == 2
        ran = shotdex(
            "search", "--image", f"{place}!red.png", "-k", 1, "--store", root, "--with-itself", "--copy-to", out
        )
        assert ran.status == 0, ran.err
        assert [path.read_bytes() for path in out.iterdir()] == [png("red")]
        assert shotdex("verify", "--files", "--store", root).status == 0
        place.write_text("\n".join(["toy", lines[0]]))
        ran = shotdex("verify", "--files", "--store", root)
        assert ran.status == 1
        assert "gone: 1" in ran.out + ran.err
    finally:
        del kinds.KINDS[0]


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.module.rpartition(".")[2])
def test_every_line_names_a_module_that_has_what_it_takes(kind: kinds.Kind) -> None:
    module = kind.load()
    needed = ["matches", "open_source", *(["read", "facts"] if kind.has_members else [])]
    assert [name for name in needed if not callable(getattr(module, name, None))] == []
    assert kind.has_members or not kind.endings


PROBE = """
import json, sys
from shotdex.media.sources import open_source, read_bytes
source = open_source(sys.argv[1])
for found in source.scan():
    source.read(found.address, 10**6)
    read_bytes(found.address)
print(json.dumps(sorted(sys.modules)))
"""

LAZY = {
    "shotdex.media.sources.manifest": (),
    "shotdex.media.sources.datasets": (),
    "shotdex.media.sources.listed": (),
    "shotdex.media.sources.zipped": ("set.zip",),
    "shotdex.media.archives.zips": ("set.zip",),
    "shotdex.media.tables": (),
    "shotdex.media.datasets": (),
    "fsspec": (),
    "aiohttp": (),
}
"""What is imported only for some sources, and for which of those here."""


@pytest.mark.parametrize("name", ["folder", "set.zip"])
def test_a_source_imports_what_its_kind_needs(tmp_path: Path, name: str) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(png("red"))
    else:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.png", png("red"))
    command = [sys.executable, "-c", PROBE, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    imported = json.loads(done.stdout)
    assert [module for module, sources in LAZY.items() if module in imported and name not in sources] == []


OF_SOURCES = ("shotdex.media.sources", "shotdex.media.archives", "pyarrow", "duckdb")


def test_a_decoding_process_imports_no_source() -> None:
    probe = "import sys, json, shotdex.indexer.decode_worker\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
    assert [name for name in json.loads(done.stdout) if name in LAZY or name.startswith(OF_SOURCES)] == []
