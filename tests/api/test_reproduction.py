"""Published accuracies: the shipped table holds together, and a run is compared with a number of it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shotdex
from shotdex import demo
from shotdex.analysis.prompts.files import read_prompt_file
from shotdex.analysis.reproduction import (
    Evaluated,
    PublishedModel,
    Reproduced,
    Verdict,
    is_copy,
    likely_causes,
    published_prompts,
    read_table,
)
from shotdex.store.errors import OptionError, UnknownClass
from shotdex.store.types import Estimate
from tests.conftest import Ran

CLASSES = {
    "imagenet": 1000, "cifar10": 10, "cifar100": 100, "stl10": 10, "mnist": 10, "fashion-mnist": 10, "eurosat": 10,
    "dtd": 47, "pets": 37, "food101": 101, "toddlers": 8,
}  # fmt: skip

REFERENCE = {
    "imagenet": (0.6333, 0.7549, 0.6650, 0.003),
    "cifar10": (0.8982, 0.9569, 0.9351, 0.003),
    "cifar100": (0.6453, 0.7613, 0.7557, 0.006),
    "stl10": (0.9708, 0.9938, 0.9657, 0.003),
    "mnist": (0.4855, 0.7679, 0.6922, 0.025),
}


def test_the_shipped_table_has_prompts_for_every_number() -> None:
    table = read_table()
    assert set(table.benchmarks) == set(CLASSES)
    for name, benchmark in table.benchmarks.items():
        for entry in benchmark.entries:
            assert len(read_prompt_file(entry.prompts).classes) == CLASSES[name]
            assert set(entry.values) <= set(table.models)
            assert entry.source
            assert 0 < entry.tolerance < 0.03


@pytest.mark.parametrize("name", REFERENCE)
def test_the_shipped_numbers(name: str) -> None:
    (entry,) = read_table().benchmarks[name].entries
    assert (*entry.values.values(), entry.tolerance) == REFERENCE[name]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("cifar100", ["aquarium_fish", "lawn mower", "Willow_Tree"]),
        ("eurosat", ["AnnualCrop", "SeaLake"]),
        ("mnist", ["0 - zero", "7 - seven"]),
        ("cifar10", ["0", "9", "3"]),
        ("fashion-mnist", ["T-shirt/top", "Ankle boot"]),
        ("fashion-mnist", ["0", "9"]),
    ],
)
def test_labels_of_data_sets_find_their_class(name: str, labels: list[str]) -> None:
    benchmark = read_table().benchmarks[name]
    prompts = published_prompts(benchmark, benchmark.entries[0].prompts, labels)
    known = {label for own in prompts.aliases.values() for label in own} | set(prompts.classes)
    assert set(labels) <= known
    if labels[0] == "0" and name == "cifar10":
        assert prompts.aliases["airplane"] == ("0",)
        assert prompts.aliases["truck"] == ("9",)


def test_imagenet_by_wordnet_ids() -> None:
    benchmark = read_table().benchmarks["imagenet"]
    labels = [f"n{1000 + number:08d}" for number in range(1000)]
    prompts = published_prompts(benchmark, benchmark.entries[0].prompts, labels)
    assert prompts.aliases["tench"] == (labels[0],)
    assert prompts.aliases["toilet paper"] == (labels[-1],)
    with pytest.raises(UnknownClass):
        published_prompts(benchmark, benchmark.entries[0].prompts, labels[:-1])


def test_labels_of_another_data_set_are_an_error() -> None:
    benchmark = read_table().benchmarks["cifar10"]
    with pytest.raises(UnknownClass, match="'tench'"):
        published_prompts(benchmark, benchmark.entries[0].prompts, ["cat", "tench"])


def test_other_templates_take_the_published_names() -> None:
    benchmark = read_table().benchmarks["fashion-mnist"]
    prompts = published_prompts(benchmark, benchmark.entries[0].prompts, [], ["an X-ray of a {}."])
    assert prompts.classes["T-shirt/top"] == ("an X-ray of a T - shirt / top.",)


def row(ours: float, published: float, n: int = 100, images: int = 100, tolerance: float = 0.01) -> Reproduced:
    estimate = Estimate(ours, ours, ours, n, "")
    difference = Estimate(ours - published, 0, 0, n, "")
    return Reproduced("all", "p", estimate, published, difference, tolerance, images, "s", "r")


def test_the_verdict() -> None:
    assert row(0.64, 0.63).verdict is Verdict.REPRODUCED  # the difference is the tolerance, but for rounding
    assert row(0.641, 0.63).verdict is Verdict.NOT_REPRODUCED
    assert row(0.63, 0.63, n=99).verdict is Verdict.NOT_REPRODUCED
    assert row(0.63, 0.63, n=99, images=0).verdict is Verdict.REPRODUCED
    assert row(float("nan"), 0.63, n=0, images=0).verdict is Verdict.NOT_REPRODUCED


def test_what_is_known_to_differ_is_the_cause() -> None:
    model = PublishedModel("B", ("openai/b",), "quick_gelu", 224)
    same: dict[str, Any] = {"model": "openai/b@main", "activation": "quick_gelu", "pixels": 224}
    same |= {"precision": "float32", "failed": 0, "templates": ()}
    wrong = [row(0.5, 0.63)]
    assert likely_causes([row(0.63, 0.63)], model, Evaluated(**same)) == ()
    assert [cause.split(":")[0] for cause in likely_causes(wrong, model, Evaluated(**same))] == [
        "QuickGELU", "prompts", "preprocessing",
    ]  # fmt: skip
    for changed, word in (
        ({"activation": "gelu"}, "QuickGELU"),
        ({"pixels": 64}, "preprocessing"),
        ({"templates": ("{}",)}, "prompts"),
        ({"precision": "bf16"}, "precision"),
        ({"model": "demo"}, "model"),
        ({"failed": 3}, "images"),
    ):
        (cause,) = likely_causes(wrong, model, Evaluated(**(same | changed)))
        assert cause.startswith(f"{word}: ")
    (cause,) = likely_causes([row(0.63, 0.63, n=10)], model, Evaluated(**same))
    assert "10 were evaluated" in cause


def test_a_model_is_known_by_its_names() -> None:
    model = PublishedModel("ViT-B/32 openai", ("openai/clip-vit-base-patch32",))
    assert is_copy(model, "OpenAI/clip-vit-base-patch32@refs/pr/62")
    assert not is_copy(model, "openai/clip-vit-base-patch16")
    table = read_table()
    imagenet = table.benchmarks["imagenet"]
    assert table.model("open_clip:ViT-B-32/laion2b_s34b_b79k", None, imagenet).name == "ViT-B/32 laion2b_s34b_b79k"
    assert table.model("demo", None, imagenet).name == "ViT-B/32 openai"
    assert table.model("demo", "vit l/14 openai", imagenet).name == "ViT-L/14 openai"
    with pytest.raises(OptionError, match="no accuracy of 'RN50'"):
        table.model("demo", "RN50", imagenet)
    with pytest.raises(OptionError) as raised:
        table.benchmark("cifar11")
    assert "did you mean cifar10" in str(raised.value.hint)


def test_the_toddlers_stimuli_are_not_reproduced_with_the_demo_model(session: shotdex.Session) -> None:
    made = shotdex.reproduce("toddlers", demo.EVALUATION, model="demo", store=session.path)
    assert (made.verdict, [one.group for one in made]) == (
        "not reproduced", ["realistic", "silhouettes", "geons", "blurred", "features"],
    )  # fmt: skip
    assert made[0].ours.n == 64
    assert {cause.split(":")[0] for cause in made.causes} == {"images", "model", "QuickGELU", "preprocessing"}
    assert made.to_dicts()[0]["verdict"] == "not reproduced"
    again = shotdex.reproduce("toddlers", demo.EVALUATION, model="demo", store=session.path)
    assert [run.name for run in again.runs] == [run.name for run in made.runs]
    assert "not reproduced" in repr(again)


@pytest.mark.parametrize(
    ("place", "precisions"),
    [
        ("{condition}/{name}", ["float32"]),
        ("{condition}/{category}/{name}", ["float32", "bf16"]),  # two encoders of one name
        ("{category}/{condition}/{name}", ["float32"]),
    ],
)
def test_folders_of_the_stimuli(tmp_path: Path, place: str, precisions: list[str]) -> None:
    for condition in ("geons", "blurred"):
        for category in ("Car", "Cup"):
            name = next((demo.EVALUATION / condition).glob(f"{category}*"))
            parts = {"condition": condition.title(), "category": category, "name": name.name}
            target = tmp_path / "stimuli" / place.format(**parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)
    for precision in precisions:
        made = shotdex.reproduce(
            "toddlers", tmp_path / "stimuli", model="demo", precision=precision, store=tmp_path / "store"
        )
        assert [row.ours.n for row in made] == [0, 0, 2, 2, 0]
        assert made.runs[0].encoder.precision == precision


@pytest.fixture
def table(tmp_path: Path) -> Callable[[float], Path]:
    """A table whose number is what the demo's model reaches on the shipped images."""

    def make(value: float) -> Path:
        (tmp_path / "shapes.toml").write_text(f"classes = {json.dumps(list(demo.CATEGORIES))}", "utf-8")
        path = tmp_path / "table.toml"
        path.write_text(
            f"""
            [models.small]
            names = ["demo"]
            [benchmarks.shapes]
            images = 320
            layout = "{{condition}}/{{category}}*"
            [[benchmarks.shapes.entries]]
            prompts = "shapes.toml"
            tolerance = 0.005
            source = "a test"
            values = {{ small = {value} }}
            """,
            "utf-8",
        )
        return path

    return make


def test_a_number_of_ones_own_is_reproduced(
    session: shotdex.Session, table: Callable[[float], Path], shotdex: Callable[..., Ran]
) -> None:
    value = session.run("names").accuracy().value
    arguments = ["reproduce", "shapes", str(demo.EVALUATION), "--model", "demo", "--store", str(session.path)]
    ran = shotdex(*arguments, "--table", str(table(value)), "--json")
    found = json.loads(ran.out)
    assert (ran.status, found["verdict"], found["likely_causes"]) == (0, "reproduced", [])
    assert found["results"][0]["difference"]["value"] == pytest.approx(0, abs=1e-9)
    ran = shotdex(*arguments, "--table", str(table(value - 0.02)))
    assert ": not reproduced" in ran.out
    assert "+0.0200" in ran.out


def test_one_split_of_idx_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("train", 30), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in images.shape)
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        labels = bytes([0, 0, 8, 1]) + count.to_bytes(4, "big") + bytes(i % 10 for i in range(count))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    made = shotdex.reproduce("mnist", tmp_path, model="demo", store=tmp_path / "store")
    assert (made[0].ours.n, made.verdict) == (20, "not reproduced")
    with shotdex.open(tmp_path / "store") as store:
        assert store.sql("SELECT count(*) FROM images")[0][0] == 20


def test_what_cannot_be_evaluated(tmp_path: Path, shotdex: Callable[..., Ran]) -> None:
    ran = shotdex("reproduce", "imagenet", "--store", str(tmp_path / "s"))
    assert (ran.status, "cannot be downloaded" in ran.err) == (2, True)
    ran = shotdex("reproduce", "nothing")
    assert (ran.status, "there is no published benchmark" in ran.err) == (2, True)
    (tmp_path / "bad.toml").write_text("[benchmarks.x]\n[[benchmarks.x.entries]]\nprompts = 'p.toml'\n", "utf-8")
    ran = shotdex("reproduce", "--table", str(tmp_path / "bad.toml"))
    assert (ran.status, "is not of the right form" in ran.err) == (2, True)


def test_the_list(shotdex: Callable[..., Ran]) -> None:
    ran = shotdex("reproduce")
    assert (ran.status, ran.err) == (0, "")
    for name in CLASSES:
        assert f"\n{name}" in ran.out
    listed = json.loads(shotdex("reproduce", "--json").out)
    assert {"benchmark": "imagenet", "model": "ViT-L/14 openai", "accuracy": 0.7549}.items() <= listed[1].items()
