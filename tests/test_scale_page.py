"""docs/scale.md has the numbers that benchmarks/scale.py computes, and its formula agrees with its simulation."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks" / "scale.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module
    spec.loader.exec_module(module)
    return module


def test_every_table_is_computed(scale: ModuleType) -> None:
    for name, text in scale.tables(scale.Prices()).items():
        assert text in PAGE, f"{name}: run python benchmarks/scale.py and copy the table"


def test_the_numbers_in_its_sentences(scale: ModuleType) -> None:
    prices, model = scale.Prices(), scale.L14
    said = {
        f"{10**9 / 50_000 / 3600:.1f} hours",
        f"${prices.gpu:.2f} per hour for an A100",
        f"${prices.core} per hour for a core",
        f"${prices.storage} per month for a GB",
        f"${prices.memory} per hour for a GB",
        f"{scale.MONTH} hours per month",
        f"{scale.both(1, model) / scale.both(1, scale.B32):.1f} times as much",
        f"{round(scale.B32.rate / scale.DECODING)} cores must decode for ViT-B/32",
        f"{model.rate / scale.DECODING:.1f} for ViT-L/14",
        f"{scale.repeated(10**6, model.rate, 6 * 3600):.0%}".replace("%", " %"),
        f"{scale.joint(10**7, scale.B32) / 1e9:.0f} GB of memory",
        f"a file of {round(scale.both(2 * 10**7, scale.B32) / 1e9, -1):.0f} GB",
    }
    text = re.sub(r"\s+", " ", PAGE)
    assert [one for one in said if one not in text] == []
    month = scale.index_bytes(10**8, model)["flat, float32"] / 1e9 * scale.MONTH * prices.memory
    assert 9 < month / (scale.gpu_hours(10**8, model) * prices.gpu) < 15, "ten times as much each month"


@pytest.mark.parametrize(("images", "part", "seeds"), [(10**8, 16_384, 25), (10**8, 65_536, 60)])
def test_the_formula_agrees_with_the_simulation(scale: ModuleType, images: int, part: int, seeds: int) -> None:
    cluster = scale.Cluster(64, 312)
    assert scale.shards(images, part) >= 1000
    found = scale.averaged(images, cluster, part, 50_000, seeds)
    assert found.repeated == pytest.approx(scale.repeated(part, cluster.rate, cluster.mtbf), rel=0.2)


def test_without_failures_nothing_is_repeated(scale: ModuleType) -> None:
    found = scale.simulate(100_000, 1000, scale.Cluster(10, 100, mtbf=1e12), 1e9, 0)
    assert (found.repeated, found.failures) == (0, 0)
    assert found.encoded == pytest.approx(100_000 / 1000 / 3600)


def test_recipes_have_at_most_ten_lines() -> None:
    recipes = PAGE[PAGE.index("## Recipes") : PAGE.index("## Operating")]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", recipes, re.MULTILINE)
    lines = [[line for line in block.splitlines() if line.strip()] for block in blocks]
    assert all(1 <= len(one) <= 10 for one in lines if one)
