"""How near is indexing to what the processor can do, and how far ahead of a notebook's loop and of clip-retrieval?

    python benchmarks/indexing.py [--pictures 192] [--small] [--clip-retrieval PYTHON] [--model NAME_OR_PATH ...]

Makes its own images (500 x 375 JPEGs) and a ViT-B/32 with random weights, and for each model measures in turns:
decoding alone (read, decode, resize, crop; a process a core, no hashing, nothing sent back), encoding alone (ready
uint8 in, vectors out; all cores), both by the indexer, from files on disk to a committed store and its index, and the
notebook's loop over some of the images. Five turns each after one that does not count. The limit end to end is
1 / (1/encode + 1/decode). PYTHON is an interpreter that has clip-retrieval; see `clip_retrieval_rate.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import numpy as np
from measuring import heading, in_turns, line, ratio
from notebook_loop import CLASSES, notebook
from photos import save_photos, save_vit

from shotdex.indexer.run import index_source
from shotdex.media.decoding.decode import decode
from shotdex.media.sources import open_source
from shotdex.models.precision import lowest_cosine
from shotdex.models.preprocessing import FixedSize
from shotdex.models.protocols import Prepared
from shotdex.models.transformers_encoder import EncoderOptions, TransformersEncoder, load_encoder
from shotdex.store.store import Store
from shotdex.store.types import ImageVectors, Limits

NOTEBOOK = 12
"""Images that the notebook's loop sees in one turn."""

COPIES = 12
"""How many times as many images the demo model gets: it is so much faster."""

THEIRS = 2
"""How many times as many clip-retrieval gets: the first batch of each of its five parts does not count."""

FLIPPED = 128
"""Images that are encoded in bfloat16, too."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    images: int
    models: list[str]
    clip_retrieval: str | None


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=192)
    parser.add_argument("--small", action="store_true", help="32 images: a try")
    parser.add_argument("--model", action="append", help="measure these instead of ViT-B/32 and demo")
    parser.add_argument("--clip-retrieval", metavar="PYTHON")
    given = parser.parse_args()
    wanted = Options(32 if given.small else given.images, given.model or ["ViT-B/32", "demo"], given.clip_retrieval)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        photos = save_photos(place / "few", wanted.images)
        many = save_photos(place / "many", wanted.images, COPIES)
        for name in wanted.models:
            path = save_vit(place / "vit") if name == "ViT-B/32" else Path(name)
            if name == "demo":
                measure(name, name, many, None, place)
            else:
                measure(name, str(path), photos, path, place)
                against_clip_retrieval(path, place, wanted.clip_retrieval)
            precision(name if name == "demo" else str(path), photos)
        on_a_gpu(str(place / "vit") if (place / "vit").is_dir() else "demo", photos)


def measure(title: str, name: str, photos: Sequence[Path], loop_over: Path | None, place: Path) -> None:
    """Print rates alone, together, and of the notebook's loop."""
    encoder = load_encoder(name, EncoderOptions("cpu"))
    batch = encoder.good_batch()
    heading(f"Indexing with {title}: {len(photos):,} JPEGs, {batch} images a batch, {os.cpu_count()} cores")
    prepared = [encoder.prepare(decode(path.read_bytes(), Limits())) for path in photos[: 2 * batch]]
    with decoding(encoder, photos) as decode_all:
        work: dict[str, Callable[[], object]] = {
            "decode": decode_all,
            "encode": lambda: encode_all(encoder, prepared, len(photos), batch),
            "both": lambda: index_all(photos[0].parent, encoder, place / "store"),
        }
        if loop_over is not None:
            loop = notebook(loop_over)
            work["notebook"] = lambda: loop(photos[:NOTEBOOK])
        times = in_turns(work)
    rates = {what: len(photos) / took.median for what, took in times.items()}
    limit = 1 / (1 / rates["encode"] + 1 / rates["decode"])
    line("decode alone, images a second", f"{rates['decode']:.1f}")
    line("encode alone", f"{rates['encode']:.1f}")
    line("the limit end to end", f"{limit:.1f}")
    line("end to end", f"{rates['both']:.1f}   {times['both']}")
    ratio("end to end / the limit", rates["both"], limit, "0.9 or more")
    line("of float32 matrix products' own speed, encoding has", f"{rates['encode'] / matmul_bound(encoder):.2f}")
    if loop_over is not None:
        alone = NOTEBOOK / times["notebook"].median
        line("the notebook's loop, images a second", f"{alone:.1f}   {times['notebook']}")
        ratio("end to end / the notebook's loop", rates["both"], alone, "more than 1; 6 with bfloat16 matrix units")


@contextmanager
def decoding(encoder: TransformersEncoder, photos: Sequence[Path]) -> Iterator[Callable[[], None]]:
    """Give what decodes all images in a process a core, which have started already."""
    assert encoder.portable is not None
    cores = os.cpu_count() or 1
    parts = [([str(path) for path in photos[start::cores]], dict(encoder.portable)) for start in range(cores)]
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        yield lambda: print(end="" if sum(pool.map(decode_some, parts)) == len(photos) else "images are missing\n")


def decode_some(part: tuple[list[str], dict[str, Any]]) -> int:
    """Read, decode, resize and crop some images."""
    prepare = FixedSize.of(part[1])
    return sum(bool(prepare.prepare(decode(Path(name).read_bytes(), Limits()))) for name in part[0])


def encode_all(encoder: TransformersEncoder, prepared: Sequence[Prepared], count: int, batch: int) -> None:
    """Encode ready images, so many in all."""
    images = [prepared[i % len(prepared)] for i in range(count)]
    for start in range(0, count, batch):
        encoder.encode_prepared(images[start : start + batch])


def index_all(folder: Path, encoder: TransformersEncoder, root: Path) -> None:
    """Index a folder into a new store."""
    rmtree(root, ignore_errors=True)
    index_source(Store.create(root), open_source(folder), encoder)


def matmul_bound(encoder: TransformersEncoder, dtype: Any = None) -> float:
    """Return images a second if the model were matrix products alone, as large ones run here."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        encoder.encode_prepared([{"pixels": np.zeros((3, *_size(encoder)), np.uint8)}])
    device = encoder._device
    a = torch.randn(4096, 4096, device=device).to(dtype or torch.float32)
    a @ a

    def product() -> None:
        result = a @ a
        if device.type == "cuda":
            result[0, 0].item()

    seconds = in_turns({"product": product})["product"].median
    return 2 * 4096**3 / seconds / counter.get_total_flops()


def _size(encoder: TransformersEncoder) -> tuple[int, int]:
    size = encoder._model.config.vision_config.image_size
    return (size, size)


def against_clip_retrieval(model: Path, place: Path, python: str | None) -> None:
    """Print clip-retrieval's steady rate next to ours with the same weights and images, in turns."""
    if python is None:
        line("clip-retrieval", "not measured", "--clip-retrieval PYTHON")
        return
    encoder, theirs, ours = load_encoder(str(model), EncoderOptions("cpu")), [], []
    script = Path(__file__).with_name("clip_retrieval_rate.py")
    photos = place / "few"
    save_photos(place / "theirs", len(list(photos.iterdir())), THEIRS)
    for _ in range(2):
        started = time.perf_counter()
        index_all(photos, encoder, place / "store")
        ours.append(len(list(photos.iterdir())) / (time.perf_counter() - started))
        words = [python, str(script), str(place / "theirs"), str(model), str(place / "out")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            line("clip-retrieval", "not measured", done.stderr.strip().splitlines()[-1])
            return
        theirs += json.loads((place / "out" / "rates.json").read_text(encoding="utf-8"))
    line("clip-retrieval, images a second", f"{median(theirs):.1f} (of {len(theirs)} parts)")
    line("end to end, before and between", ", ".join(f"{rate:.1f}" for rate in ours))
    ratio("end to end / clip-retrieval", median(ours), median(theirs), "1 or more; 2.5 with bfloat16 matrix units")


def precision(name: str, photos: Sequence[Path]) -> None:
    """Print what `--precision auto` takes here, and how many predictions bfloat16 turns."""
    images = [decode(path.read_bytes(), Limits()) for path in photos[:FLIPPED]]
    started = time.perf_counter()
    auto = load_encoder(name, EncoderOptions("cpu", "auto"), lambda: images[:16])
    line(f"--precision auto (with loading {time.perf_counter() - started:.1f} s)", str(auto.choice))
    exact, other = (load_encoder(name, EncoderOptions("cpu", precision)) for precision in ("float32", "bf16"))
    texts = exact.encode_texts([f"a photo of a {word}" for word in CLASSES])
    first, second = (_vectors(encoder, images) for encoder in (exact, other))
    flips = int(((first.joint @ texts.T).argmax(axis=1) != (second.joint @ texts.T).argmax(axis=1)).sum())
    line("lowest cosine of bfloat16's joint vectors with float32's", f"{lowest_cosine(first.joint, second.joint):.6f}")
    line("predictions that differ", f"{flips} of {len(images)} images, {len(CLASSES)} classes")


def _vectors(encoder: TransformersEncoder, images: Sequence[Any]) -> ImageVectors:
    parts = [encoder.encode_prepared([encoder.prepare(image) for image in images[i : i + 16]]) for i in _steps(images)]
    return ImageVectors(np.concatenate([p.joint for p in parts]), np.concatenate([p.vision for p in parts]))


def _steps(images: Sequence[Any]) -> range:
    return range(0, len(images), 16)


def on_a_gpu(name: str, photos: Sequence[Path]) -> None:
    """Print how busy a GPU is kept, where there is one."""
    import torch

    heading("On a GPU")
    if not torch.cuda.is_available():
        for what in ("encoding from ready uint8 / matrix products", "end to end / the lower of decode and encode"):
            line(what, "not measured", "0.5, and 0.9 or more")
        return
    encoder = load_encoder(name, EncoderOptions("cuda", "auto"))
    line("--precision auto", str(encoder.choice))
    batch = encoder.good_batch()
    one = encoder.prepare(decode(photos[0].read_bytes(), Limits()))
    ready = [one] * batch

    def encode() -> None:
        fetches = [encoder.begin(ready) for _ in range(8)]
        for fetch in fetches:
            fetch()

    rate = 8 * batch / in_turns({"encode": encode})["encode"].median
    line(f"encode, images a second ({batch} a batch)", f"{rate:.0f}")
    ratio("encoding from ready uint8 / matrix products", rate, matmul_bound(encoder, encoder._tower.dtype), "0.5")
    with decoding(encoder, photos) as decode_all, tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        times = in_turns({"decode": decode_all, "both": lambda: index_all(photos[0].parent, encoder, root)})
    reached, possible = (len(photos) / times[what].median for what in ("both", "decode"))
    ratio("end to end / the lower of decode and encode", reached, min(rate, possible), "0.9 or more")


if __name__ == "__main__":
    sys.exit(main())
