"""Largest differences from each family's own code: `python -m benchmarks.parity [--open-clip]`.

Every model has random weights. Images go through the family's own processor and image method, texts through its own
tokenizer and text method, one at a time; the table has the largest difference of any number of the unit vectors. `kept`
is that of the text tower which is kept next to an index, where there is one. The tests hold the same comparisons to
1e-5. `--open-clip` adds the architectures of open_clip.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from shotdex.models.families import FAMILIES, projected_features, tokenized
from shotdex.models.loaders import load_encoder
from shotdex.models.protocols import EncoderOptions
from shotdex.models.text_tower_export import keep_tower
from shotdex.models.text_tower_file import TextTower, open_tower
from shotdex.store.store import Store
from tests.models.test_families import processor_text, reference
from tests.support.beside import open_clip_on_path
from tests.support.families import TWO_TOWERS, save_family
from tests.support.images import noise
from tests.support.models import save_random_clip, save_random_siglip, save_random_siglip2
from tests.support.open_clips import SETTINGS, save_open_clip

LIMIT = 1e-5
TEXTS = ["a dog", "A photo of a Red cat!", "犬 狗 é", "dog " * 200]
SIZES = [(32, 32), (200, 133), (31, 90), (640, 480)]
Features = Callable[[Any], Any]


def main() -> None:
    """Print the table; exit with 1 where a difference is above the limit."""
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print(f"{'model':<28} {'dimensions':>10} {'images':>9} {'texts':>9} {'kept':>9}   (limit {LIMIT:.0e})")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, place, images, texts in _models(Path(folder)):
            encoder = load_encoder(str(place), EncoderOptions("cpu"))
            pictures = [noise(number, *size) for number, size in enumerate(SIZES)]
            apart: tuple[float, ...] = (
                _apart(encoder.encode_images(pictures), pictures, images),
                _apart(encoder.encode_texts(TEXTS), TEXTS, texts),
            )
            kept = _kept(encoder, Path(folder) / "stores" / name)
            if kept is not None:
                apart += (_apart(kept.encode(TEXTS), TEXTS, texts),)
            worst = max(worst, *apart)
            shown = " ".join(f"{one:>9.1e}" for one in apart) + ("         -" if kept is None else "")
            print(f"{name:<28} {encoder.id.dim:>10} {shown}", flush=True)
    sys.exit(worst > LIMIT)


def _kept(encoder: Any, folder: Path) -> TextTower | None:
    store = Store.create(folder)
    return open_tower(store, encoder.id) if keep_tower(store, encoder) else None


def _apart(made: np.ndarray, given: list[Any], of: Features) -> float:
    with torch.no_grad():
        wanted = np.concatenate([_unit(projected_features(of(one))) for one in given])
    return float(np.abs(made - wanted).max())


def _unit(features: torch.Tensor) -> np.ndarray:
    return np.asarray((features / features.norm(dim=-1, keepdim=True)).numpy())


def _models(folder: Path) -> Iterator[tuple[str, Path, Features, Features]]:
    plain = {"clip": save_random_clip, "siglip": save_random_siglip, "siglip2": save_random_siglip2}
    for kind, save in plain.items():
        yield kind, *_of_transformers(kind, save(folder / kind))
    for kind in TWO_TOWERS:
        yield kind, *_of_transformers(kind, save_family(kind, folder / kind))
    if "--open-clip" in sys.argv[1:]:
        with open_clip_on_path() as open_clip:
            for name in SETTINGS:
                place = save_open_clip(open_clip, name, folder / f"open_clip {name}")
                yield f"open_clip {name}", place, *_of_open_clip(open_clip, place)


def _of_transformers(kind: str, place: Path) -> tuple[Path, Features, Features]:
    images, texts = reference(kind, place)
    processor: Any = transformers.AutoImageProcessor.from_pretrained(place, backend="pil")

    def of_image(image: Image.Image) -> Any:
        return images(**processor(images=image, return_tensors="pt"))

    def of_text(text: str) -> Any:
        if kind in ("clip", "siglip", "siglip2"):
            config, tokenizer = (
                auto.from_pretrained(place) for auto in (transformers.AutoConfig, transformers.AutoTokenizer)
            )
            return texts(**tokenized([text], FAMILIES[kind], config, tokenizer))
        return texts(**processor_text(kind, place, text))

    return place, of_image, of_text


def _of_open_clip(open_clip: Any, place: Path) -> tuple[Features, Features]:
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{place}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{place}")
    model.eval()
    return (lambda image: model.encode_image(transform(image)[None]), lambda text: model.encode_text(tokenizer([text])))


if __name__ == "__main__":
    main()
