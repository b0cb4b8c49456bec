"""A small store with runs that are right more often than not, and a second reading of it that shares no code with ours.

The images are colours under noise: `plain` little of it, `noisy` much; some have neither condition nor split.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import PromptSet, Run
from tests.conftest import index

from .fakes import FakeEncoder

COUNTS = {"red": 6, "green": 3, "blue": 4, "yellow": 2}
"""Images of each category in each place; unlike each other, so that means over classes differ from means over images.
"""

SIZES = ((8, 8), (16, 8), (100, 16))

NAMES = {name: (name,) for name in COUNTS}
WORDS = {"red": ("tomato",), "green": ("olive",), "blue": ("purple", "navy"), "yellow": ("orange",)}
SNOWY = WORDS | {"white": ("snow",)}
"""With a class that no image is of."""

THIRD = {"blue": ("teal",), "yellow": ("gold",), "red": ("brown",), "green": ("lime",)}


def save_noisy_colour(path: Path, colour: str, noise: float, seed: int) -> Path:
    """Save an image whose quarters are a colour, each moved by so much noise."""
    rng = np.random.default_rng(seed)
    base = np.array(ImageColor.getrgb(colour)[:3], float)
    quarters = np.clip(base * (1 - noise) + rng.uniform(0, 255, (2, 2, 3)) * noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(quarters).resize(SIZES[seed % len(SIZES)], Image.Resampling.NEAREST).save(path)
    return path


def save_images(folder: Path) -> Path:
    """Save 75 images: `labelled/split/condition/category/*.png` and `bare/category/*.png`."""
    places = [("labelled/train/plain", 0.65), ("labelled/test/plain", 0.7), ("labelled/train/noisy", 0.75)]
    seed = 0
    for place, noise in [*places, ("labelled/test/noisy", 0.8), ("bare", 0.6)]:
        for colour, count in COUNTS.items():
            for _ in range(count):
                seed += 1
                save_noisy_colour(folder / place / colour / f"{seed:03d}.png", colour, noise, seed)
    return folder


def index_images(store: Store, folder: Path, encoder: FakeEncoder | None = None) -> None:
    """Index what `save_pictures` saved, or what became of it."""
    used = encoder or FakeEncoder()
    index(store, folder / "labelled", used, "{split}/{condition}/{category}/*")
    index(store, folder / "bare", used, "{category}/*")


def run(store: Store, prompts: PromptSet | dict[str, tuple[str, ...]], encoder: Any = None, **how: Any) -> Run:
    """Classify, with all classes kept unless told otherwise."""
    chosen = prompts if isinstance(prompts, PromptSet) else make_prompt_set(how.get("name") or "x", prompts)
    used = encoder or FakeEncoder()
    return classify(store, Classification(chosen, **({"k": 99} | how)), lambda _: used)


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="shotdex-tests-evaluated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = Store.create(folder / "store")
    index_images(store, save_images(folder / "pictures"))
    for name, classes in (("names", NAMES), ("words", WORDS), ("third", THIRD)):
        run(store, classes, name=name)
    return folder


def evaluated_store(root: Path) -> Store:
    """Return a store at `root` with the runs `names`, `words` and `third`; made once and then copied."""
    shutil.copytree(_template() / "store", root)
    return Store(root)


def change(store: Store, sql: str) -> None:
    """Change the catalog behind the store's back."""
    with store.writing() as con:
        con.run(sql)


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reading() as con:
        return con.rows(sql)


@dataclass(frozen=True)
class Judged:
    """One labelled image of a run, read from the tables themselves: its classes, best first, and its columns."""

    image_id: int
    truth: str
    ranked: tuple[str, ...]
    chances: tuple[float, ...]
    columns: dict[str, Any]

    @property
    def right(self) -> bool:
        return self.ranked[0] == self.truth

    @property
    def rank(self) -> int:
        return self.ranked.index(self.truth) + 1


def judged(store: Store, name: str) -> list[Judged]:
    """Read the labelled images of a run that kept all its classes, by image id; the labels are those of now."""
    found: dict[int, list[tuple[int, str, float]]] = {}
    for image_id, rank, category, chance in rows(
        store,
        "SELECT p.image_id, p.rank, p.category, p.probability FROM predictions p, runs r "
        f"WHERE p.run_id = r.run_id AND r.name = '{name}'",
    ):
        found.setdefault(image_id, []).append((rank, category, chance))
    made = []
    names = ("image_id", "category", "condition", "split", "width")
    for values in rows(store, f"SELECT {', '.join(names)} FROM stored_images ORDER BY image_id"):
        columns = dict(zip(names, values, strict=True))
        ranked = sorted(found.get(values[0], []))
        if ranked and columns["category"] in [category for _, category, _ in ranked]:
            made.append(
                Judged(
                    values[0],
                    columns["category"],
                    tuple(category for _, category, _ in ranked),
                    tuple(chance for *_, chance in ranked),
                    columns,
                )
            )
    return made


def by_columns(images: Sequence[Judged], columns: Sequence[str]) -> dict[tuple[Any, ...], list[Judged]]:
    """Group images by the values of columns, sorted by value, images without one last."""
    groups: dict[tuple[Any, ...], list[Judged]] = {}
    for image in images:
        groups.setdefault(tuple(image.columns[column] for column in columns), []).append(image)
    return dict(sorted(groups.items(), key=lambda item: [(v is None, 0 if v is None else v) for v in item[0]]))


def shown(values: Sequence[Any]) -> str:
    """Return a group's name as tables show it."""
    return " · ".join("unlabelled" if value is None else str(value) for value in values)
