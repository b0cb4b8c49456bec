"""Exports read back by programs with many packages of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import shotdex
from shotdex import demo
from tests.support.browser import chromium

from .conftest import free_port, python_of

pytestmark = pytest.mark.engine

IMPORTER = """
import json, sys
from fiftyone.utils.data.importers import FiftyOneImageClassificationDatasetImporter as Importer
found = {}
for name in ("labels.json", "predictions.json"):
    with Importer(dataset_dir=sys.argv[1], labels_path=name) as importer:
        rows = [(path, label) for path, _, label in importer]
    found[name] = [(path, label and label.label, label and label.confidence) for path, label in rows]
print("FOUND" + json.dumps(found))
"""

SAMPLES = """
import json, sys
import shotdex
store = shotdex.open(sys.argv[1])
samples = store.to_fiftyone(where="category = 'hat'", run="names")
found = [(s.filepath, s.ground_truth.label, s.prediction.label, s.prediction.confidence) for s in samples]
hits = [(s.filepath, s.cosine) for s in store.search(like=1, k=3).to_fiftyone()]
print("FOUND" + json.dumps([found, hits]))
"""

DATASET = """
import sys
import fiftyone, shotdex
dataset = fiftyone.Dataset()
dataset.add_samples(shotdex.open(sys.argv[1]).to_fiftyone(run="names"))
print("FOUND" + str(dataset.count_values("ground_truth.label")))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    """64 images and the model that ships, with a run."""
    store = shotdex.open(tmp_path_factory.mktemp("exchange") / "store", create=True)
    categories = list(demo.CATEGORIES)
    store.index(demo.EVALUATION / "realistic", model="demo", layout="{category}*", categories=categories)
    store.classify(name="names")
    return store


def test_fiftyone_imports_labels_and_predictions(store: shotdex.Session, tmp_path: Path) -> None:
    """The importer reads the folder without FiftyOne's database, which a Dataset would need."""
    store.export("fiftyone", tmp_path / "fo", run="names")
    command = [str(python_of("fiftyone")), "-c", IMPORTER, str(tmp_path / "fo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout.split("FOUND")[1])
    rows = list(store.sql("SELECT image_id, category, predicted, probability FROM outcomes ORDER BY image_id"))
    for name, column in (("labels.json", 1), ("predictions.json", 2)):
        read = {int(Path(path).name.split("_")[0]): (label, confidence) for path, label, confidence in found[name]}
        assert {image_id: label for image_id, (label, _) in read.items()} == {row[0]: row[column] for row in rows}
    assert {image_id: confidence for image_id, (_, confidence) in read.items()} == pytest.approx(
        {row[0]: row[3] for row in rows}
    )


def test_samples_for_fiftyone(store: shotdex.Session) -> None:
    done = _fiftyone(SAMPLES, store)
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    found, hits = json.loads(done.stdout.split("FOUND")[1])
    query = "SELECT path, category, predicted, probability FROM outcomes WHERE category = 'hat' ORDER BY image_id"
    rows = [list(row) for row in store.sql(query)]
    assert [row[:3] for row in found] == [row[:3] for row in rows]
    assert [row[3] for row in found] == pytest.approx([row[3] for row in rows])
    assert [path for path, _ in hits] == [hit.path for hit in store.search(like=1, k=3)]


def test_samples_become_a_dataset(store: shotdex.Session) -> None:
    """Needs the database of FiftyOne, MongoDB, which its package downloads; without it the test is skipped."""
    done = _fiftyone(DATASET, store)
    if "FOUND" not in done.stdout and re.search("mongo|database", done.stderr, re.I):
        pytest.skip("FiftyOne has no MongoDB here")
    assert "'hat': 8" in done.stdout, done.stderr[-2000:]


def _fiftyone(program: str, store: shotdex.Session) -> subprocess.CompletedProcess[str]:
    command = [str(python_of("fiftyone")), "-c", program, str(store.path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_embedding_atlas_serves_an_export(store: shotdex.Session, tmp_path: Path) -> None:
    """The command is the one that the export names; the map itself needs WebGPU, the counts and the table do not."""
    python = python_of("atlas")
    done = store.export("atlas", tmp_path / "images.parquet")
    words = done.notes[0].removeprefix("open it: ").split()
    port = free_port()
    command = [
        str(python.with_name(words[0])),
        *words[1:],
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-auto-port",
    ]
    environ = os.environ | {"PYTHONUNBUFFERED": "1"}  # or its address stays in a buffer
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ) as server:
        try:
            assert server.stdout is not None
            assert any("URL: " in line for line in server.stdout)
            with chromium() as browser:
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{port}")
                page.get_by_text("64 / 64 points").wait_for()
                page.get_by_text("hat", exact=True).first.wait_for()
                seen = page.locator("body").inner_text()
        finally:
            server.terminate()
    counts = dict(re.findall(r"^([a-z]+)\n(\d+)$", seen, re.M))
    assert {name: counts.get(name) for name in demo.CATEGORIES} == dict.fromkeys(demo.CATEGORIES, "8")
