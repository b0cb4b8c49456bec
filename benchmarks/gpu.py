"""Does a GPU give the processor's vectors, and is it kept busy?

    python benchmarks/gpu.py [--json FILE] [--seconds 260]
    python benchmarks/gpu.py --toy                             # on the processor, tiny models: does it run at all?

One command, under six minutes on one data-centre GPU, nothing from the network: models of the size of ViT-B/32 and
ViT-L/14 with random weights, JPEGs made on the spot, and ready uint8 arrays. For each model: vectors next to the
processor's in float32, bf16 and fp16; images a second of the encoder alone from ready arrays, and what share that is of
a bf16 matrix product measured in the same run; `--batch-size auto`; two batches in flight next to one; a batch that
does not fit under an artificial limit of memory; from JPEGs to a committed store, and the share of that time in which
the encoder computes; `--compile`. Prints a table, and JSON with --json. What the time does not reach is said.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from indexing import index_all
from measuring import commit, heading, line, machine
from photos import save_photos, save_vit

from shotdex.models.image_tower import Fetch, ImageTower
from shotdex.models.precision import lowest_cosine
from shotdex.models.protocols import EncoderOptions, Prepared
from shotdex.models.transformers_encoder import TransformersEncoder, load_encoder
from shotdex.store.types import ImageVectors

L14 = (
    {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    },
    {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
)
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
TOY = (TINY | {"image_size": 64, "patch_size": 16}, TINY)

MODELS: dict[bool, dict[str, tuple[dict[str, int], dict[str, int]]]] = {
    False: {"ViT-B/32": ({}, {}), "ViT-L/14": L14},
    True: {"toy": TOY},
}

PRECISIONS = ("bf16", "float32", "fp16")
"""bf16 first: its batch size is the one that is found."""

BATCHES = 4
"""Batches that are encoded in a row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One result: `good` says whether it is as wanted, None where nothing is wanted or it was not measured."""

    model: str
    what: str
    value: str
    wanted: str = ""
    good: bool | None = None


@dataclass(slots=True)
class Bench:
    """What all parts share. `run_s` is about how long one measurement of a rate runs."""

    toy: bool
    device: str
    ends: float
    run_s: float
    model: str = ""
    rows: list[Row] = field(default_factory=list)

    def row(self, what: str, value: str, wanted: str = "", good: bool | None = None) -> None:
        """Record and print a result."""
        self.rows.append(Row(self.model, what, value, wanted, good))
        line(what, value, f"{wanted}{'' if good is None else '  ok' if good else '  MISSED'}")

    def part(self, what: str, run: Callable[[], None]) -> None:
        """Run one part; one that fails, or for which there is no time left, is said and the rest goes on."""
        if time.monotonic() > self.ends:
            self.row(what, "not measured: no time left")
            return
        try:
            run()
        except Exception as error:
            self.row(
                what, f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", "", False
            )

    def encoder(self, path: Path, precision: str, **options: Any) -> TransformersEncoder:
        """Load a model."""
        return load_encoder(str(path), EncoderOptions(self.device, precision, **options))

    def wait(self) -> None:
        """Wait for the GPU."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()


def main() -> int:
    """Measure everything; return 1 where something was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--toy", action="store_true", help="tiny models on the processor: a try")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--seconds", type=float, default=260.0, help="begin no further part after so long")
    given = parser.parse_args()
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    if not given.toy and not torch.cuda.is_available():
        print("this machine has no CUDA device; --toy tries it at toy size on the processor", file=sys.stderr)
        return 2
    started = time.monotonic()
    device = "cpu" if given.toy else "cuda"
    bench = Bench(given.toy, device, started + given.seconds, 0.3 if given.toy else 1.5)
    card = "the processor, toy size" if given.toy else torch.cuda.get_device_name()
    heading(f"On {card}, torch {torch.__version__}")
    bench.model = "all"
    product = matrix_product(bench)
    bench.row("bf16 matrix product, TFLOP/s", f"{product / 1e12:.3g}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        photos = save_photos(place / "photos", 4 if given.toy else 64, 6 if given.toy else 128)
        for name, (vision, text) in MODELS[given.toy].items():
            bench.model = name
            print(f"\n  {name}")
            measure(bench, save_vit(place / name.replace("/", "-"), vision, text), photos, product)
    took = time.monotonic() - started
    print(f"\n  {took:.0f} s in all")
    if given.json:
        about = {"card": card, "torch": torch.__version__, "machine": machine(), "commit": commit(), "seconds": took}
        given.json.write_text(
            json.dumps(about | {"rows": [asdict(row) for row in bench.rows]}, indent=2) + "\n", "utf-8"
        )
    return int(any(row.good is False for row in bench.rows))


def matrix_product(bench: Bench) -> float:
    """Return the operations a second of large bf16 matrix products."""
    import torch

    n = 256 if bench.toy else 8192
    a, b = (torch.randn(n, n, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 * rate_of(bench, lambda: a @ b)


def rate_of(bench: Bench, run: Callable[[], object]) -> float:
    """Return how often a second something runs, the best of up to three stretches, after one that does not count."""
    best, count, ends = 0.0, 1, time.perf_counter() + 4 * bench.run_s
    for stretch in range(4):
        if stretch > 1 and time.perf_counter() > ends:
            break
        bench.wait()
        started = time.perf_counter()
        for _ in range(count):
            run()
        bench.wait()
        seconds = time.perf_counter() - started
        if stretch:
            best = max(best, count / seconds)
        count = max(1, round(count * bench.run_s / 3 / max(seconds, 1e-6)))
    return best


def ready(encoder: TransformersEncoder, count: int) -> list[Prepared]:
    """Return ready uint8 arrays, as a decoder hands them over."""
    size = encoder._model.config.vision_config.image_size
    rng = np.random.default_rng(0)
    few = [{"pixels": rng.integers(0, 256, (3, size, size), dtype=np.uint8)} for _ in range(min(count, 32))]
    return [few[i % len(few)] for i in range(count)]


def encode(encoder: TransformersEncoder, batch: Sequence[Prepared], in_flight: int) -> None:
    """Encode a batch several times, so many launched before the first is waited for."""
    waiting: list[Fetch] = []
    for _ in range(BATCHES):
        waiting.append(encoder.begin(batch))
        if len(waiting) >= in_flight:
            waiting.pop(0)()
    for fetch in waiting:
        fetch()


def measure(bench: Bench, path: Path, photos: Sequence[Path], product: float) -> None:
    """Measure one model."""
    bench.part("parity", lambda: parity(bench, path))
    sizes: dict[str, int] = {}
    for precision in PRECISIONS:
        what = f"encoder alone, {precision}"
        bench.part(what, lambda precision=precision: alone(bench, path, precision, product, sizes))  # type: ignore[misc]
    bench.part("out of memory", lambda: out_of_memory(bench, path))
    bench.part("end to end", lambda: end_to_end(bench, path, photos))
    bench.part("--compile", lambda: compiled(bench, path, sizes.get("bf16", 32)))


def parity(bench: Bench, path: Path) -> None:
    """Compare vectors with the processor's float32."""
    reference = load_encoder(str(path), EncoderOptions("cpu", "float32"))
    images = ready(reference, 8)
    exact = reference.encode_prepared(images)
    for precision in PRECISIONS:
        found = bench.encoder(path, precision).encode_prepared(images)
        if precision == "float32":
            off = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs(exact, found))
            bench.row("float32 next to the processor's, largest difference", f"{off:.2g}", "1e-4", off <= 1e-4)
            continue
        cosine = min(lowest_cosine(a, b) for a, b in pairs(exact, found))
        bench.row(f"{precision} next to it, lowest cosine", f"{cosine:.6f}", ".999", cosine >= 0.999)


def pairs(first: ImageVectors, second: ImageVectors) -> Iterator[tuple[Any, Any]]:
    """Yield both spaces of two sets of vectors."""
    yield first.joint, second.joint
    yield first.vision, second.vision


def alone(bench: Bench, path: Path, precision: str, product: float, sizes: dict[str, int]) -> None:
    """Measure the encoder alone; in bf16 also its share of a matrix product, batch sizes and batches in flight."""
    from torch.utils.flop_counter import FlopCounterMode

    encoder = bench.encoder(path, precision)
    started = time.perf_counter()
    size = sizes[precision] = encoder.good_batch() if precision == "bf16" else min(128, sizes.get("bf16", 128))
    took = time.perf_counter() - started
    batch = ready(encoder, size)
    with FlopCounterMode(display=False) as counter:
        encoder.encode_prepared(batch[:1])
    rate = BATCHES * size * rate_of(bench, lambda: encode(encoder, batch, 2))
    bench.row(f"encoder alone, {precision}, images a second", f"{rate:.0f}", f"batches of {size}")
    if precision != "bf16":
        return
    share = rate * counter.get_total_flops() / product
    bench.row(
        "  share of the bf16 matrix product",
        f"{share:.2f}",
        "" if bench.toy else "0.5",
        None if bench.toy else share >= 0.5,
    )
    bench.row("  --batch-size auto", f"{size}, found in {took:.1f} s")
    for other in (size // 2, size * 2):
        images = ready(encoder, other)
        found = BATCHES * other * rate_of(bench, lambda images=images: encode(encoder, images, 2))  # type: ignore[misc]
        bench.row(f"  batches of {other}, of that rate", f"{found / rate:.2f}")
    one = BATCHES * size * rate_of(bench, lambda: encode(encoder, batch, 1))
    bench.row(
        "  two batches in flight / one",
        f"{rate / one:.2f}",
        "" if bench.toy else "1 or more",
        None if bench.toy else rate >= 0.98 * one,
    )


def out_of_memory(bench: Bench, path: Path) -> None:
    """Encode a batch that does not fit; it must be cut, and give the same vectors."""
    encoder = bench.encoder(path, "float32")
    batch = ready(encoder, 64 if bench.toy else 2048)
    exact = encoder.encode_prepared(batch[:32])
    with little_memory(bench):
        found = encoder.encode_prepared(batch)
    most, cosine = encoder._tower.most, lowest_cosine(exact.joint, found.joint[:32])
    good = most is not None and most < len(batch) and len(found.joint) == len(batch) and cosine > 0.99999
    bench.row(
        "memory for a part of a batch only", f"{len(batch)} cut to {most}, cosine {cosine:.6f}", "cut, cosine 1", good
    )


@contextmanager
def little_memory(bench: Bench) -> Iterator[None]:
    """Limit what may be allocated: on a GPU to a GiB more than now, on the processor to batches of 10 images."""
    import torch

    if bench.device == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + (1 << 30)) / total))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return

    def limited(launch: Callable[..., Fetch], tower: ImageTower, batch: Sequence[Prepared]) -> Fetch:
        if len(batch) > 10:
            raise torch.OutOfMemoryError("an artificial limit: out of memory")
        return launch(tower, batch)

    with around_launch(limited):
        yield


@contextmanager
def around_launch(do: Callable[[Callable[..., Fetch], ImageTower, Sequence[Prepared]], Fetch]) -> Iterator[None]:
    """Have every launch of a batch go through a function."""
    launch = ImageTower.launch
    ImageTower.launch = lambda tower, batch: do(launch, tower, batch)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        ImageTower.launch = launch  # type: ignore[method-assign]


def end_to_end(bench: Bench, path: Path, photos: Sequence[Path]) -> None:
    """Index JPEGs into a new store; the second of two runs counts."""
    encoder = bench.encoder(path, "bf16")
    for _ in range(2):
        busy: list[Callable[[], float]] = []
        with around_launch(lambda launch, tower, batch, busy=busy: timed(bench, launch, tower, batch, busy)):  # type: ignore[misc]
            started = time.perf_counter()
            index_all(photos[0].parent, encoder, path.parent / "store")
            took = time.perf_counter() - started
    bench.row(f"end to end, bf16, {len(photos):,} JPEGs, images a second", f"{len(photos) / took:.0f}")
    share = sum(seconds() for seconds in busy) / took
    bench.row("  share of that time in which the encoder computes", f"{share:.2f}", "0.9, or decoding is the limit")


def timed(
    bench: Bench,
    launch: Callable[..., Fetch],
    tower: ImageTower,
    batch: Sequence[Prepared],
    busy: list[Callable[[], float]],
) -> Fetch:
    """Launch a batch, and note how long the device computes it."""
    if bench.device != "cuda":
        started = time.perf_counter()
        fetch = launch(tower, batch)
        seconds = time.perf_counter() - started
        busy.append(lambda: seconds)
        return fetch
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    fetch = launch(tower, batch)
    end.record()

    def elapsed() -> float:
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000

    busy.append(elapsed)
    return fetch


def compiled(bench: Bench, path: Path, size: int) -> None:
    """Compile the model, and compare its rate and vectors with those of the model as it is."""
    plain = bench.encoder(path, "bf16")
    batch = ready(plain, size)
    before, exact = rate_of(bench, lambda: encode(plain, batch, 2)), plain.encode_prepared(batch)
    started = time.perf_counter()
    encoder = bench.encoder(path, "bf16", compile=True)
    encode(encoder, batch, 2)
    bench.row("--compile, seconds until it runs", f"{time.perf_counter() - started:.0f}")
    bench.row("  its rate / without", f"{rate_of(bench, lambda: encode(encoder, batch, 2)) / before:.2f}")
    cosine = lowest_cosine(exact.joint, encoder.encode_prepared(batch).joint)
    bench.row("  lowest cosine with the vectors without", f"{cosine:.6f}", ".999", cosine >= 0.999)


if __name__ == "__main__":
    sys.exit(main())
