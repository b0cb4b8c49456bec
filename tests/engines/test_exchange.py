"""Exports read back by programs with many packages of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import shotdex
from shotdex import demo

from .conftest import python_of

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
