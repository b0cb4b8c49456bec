"""What 10^6 to 10^9 images take, as formulas, and a simulation of workers that fail: the numbers of docs/scale.md.

    python benchmarks/scale.py [--gpu-price 1.5]

Prints the tables of that page; a test compares each with it. Nothing here is measured: rates and prices are stated.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

SIZES = (10**6, 10**7, 10**8, 10**9)
ROW, CONTENT = 250, 32
"""Bytes of an image's row in the catalog, and of its content hash in memory while its source is indexed."""

PART = 16_384
"""Images of a shard unless `--part-rows` says otherwise."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model: lengths of its joint and vision vectors, and the published images a second of one A100."""

    name: str
    dim: int
    vision_dim: int
    rate: float


B32, L14 = Model("ViT-B/32", 512, 768, 2500), Model("ViT-L/14", 768, 1024, 312)
DECODING = 128
"""Images of 500 x 375 that one core decodes in a second: see "Indexing" in docs/benchmarks.md."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars: an hour of a GPU and of a core, a month of a GB in a bucket, an hour of a GB of memory."""

    gpu: float = 1.50
    core: float = 0.04
    storage: float = 0.023
    memory: float = 0.008


MONTH = 730
"""Hours."""


def joint(images: int, model: Model) -> float:
    """Return the bytes of the joint vectors in float32."""
    return 4.0 * images * model.dim


def both(images: int, model: Model) -> float:
    """Return the bytes of the vectors of both spaces in float32."""
    return 4.0 * images * (model.dim + model.vision_dim)


def index_bytes(images: int, model: Model) -> dict[str, float]:
    """Return the memory of each kind of index in bytes; HNSW with M = 16 has 2 M links of 4 bytes and as many again."""
    full, links = joint(images, model), images * 2 * 16 * 4 * 1.1
    return {
        "flat, float32": full,
        "flat, 8 bits": full / 4,
        "HNSW, float32": full + links,
        "HNSW, 8 bits": full / 4 + links,
        "PQ, 64 bytes": images * (64.0 + 8),
        "1 bit": full / 32 + images * 16.0,
    }


def gpu_hours(images: int, model: Model) -> float:
    """Return the hours of one GPU for encoding."""
    return images / model.rate / 3600


def core_hours(images: int) -> float:
    """Return the hours of one core for decoding."""
    return images / DECODING / 3600


def shards(images: int, part: int = PART) -> int:
    """Return how many shards there are."""
    return -(-images // part)


def repeated(part: int, rate: float, mtbf: float) -> float:
    """Return the share of images encoded twice: a failure, after `mtbf` seconds of work, loses half a part."""
    return part / (2 * rate * mtbf)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Workers (`rate` images a second each) that fail after `mtbf` seconds on average, and are `away` for some."""

    workers: int
    rate: float
    mtbf: float = 6 * 3600
    away: float = 180 + 60


@dataclass(frozen=True, slots=True)
class Simulated:
    """Hours until all is encoded and until all is committed, the share encoded twice, and how many workers failed."""

    encoded: float
    committed: float
    repeated: float
    failures: float


def simulate(images: int, part: int, cluster: Cluster, commit_rate: float, seed: int) -> Simulated:
    """Encode parts in order on workers that fail, repeat what was in flight, and commit the parts in their order."""
    drawn, count = random.Random(seed), shards(images, part)
    seconds, waiting, again = part / cluster.rate, 0, list[int]()
    free = [(0.0, worker) for worker in range(cluster.workers)]
    fails = [drawn.expovariate(1 / cluster.mtbf) for _ in free]
    done, lost, failures = [0.0] * count, 0.0, 0
    heapq.heapify(free)
    while again or waiting < count:
        now, worker = heapq.heappop(free)
        number = heapq.heappop(again) if again else waiting
        waiting += number == waiting
        if fails[worker] < now + seconds:
            ended = max(now, fails[worker])
            lost += (ended - now) * cluster.rate
            failures += 1
            heapq.heappush(again, number)
            heapq.heappush(free, (ended + cluster.away, worker))
            fails[worker] = ended + cluster.away + drawn.expovariate(1 / cluster.mtbf)
        else:
            done[number] = now + seconds
            heapq.heappush(free, (now + seconds, worker))
    committed = 0.0
    for ready in done:
        committed = max(committed, ready) + part / commit_rate
    return Simulated(max(done) / 3600, committed / 3600, lost / images, failures)


CASES = (
    *((10**8, Cluster(64, 312), part, 50_000) for part in (4096, PART, 65_536, 1_000_000)),
    *((10**9, Cluster(64, 312), part, 50_000) for part in (65_536, 1_000_000)),
    (10**9, Cluster(256, 875), PART, 5_600),
    (10**9, Cluster(256, 875), PART, 50_000),
)
"""Images, cluster, part size and images a second that are committed."""

SEEDS = 5


def averaged(images: int, cluster: Cluster, part: int, commit_rate: float, seeds: int = SEEDS) -> Simulated:
    """Return the mean of several simulations."""
    found = [simulate(images, part, cluster, commit_rate, seed) for seed in range(seeds)]
    return Simulated(*(fmean(getattr(one, name) for one in found) for name in Simulated.__slots__))


def power(images: int) -> str:
    return f"10^{len(str(images)) - 1}"


def gigabytes(size: float) -> str:
    """Return bytes as GB with two digits, or as whole ones."""
    return f"{size / 1e9:,.0f}" if size >= 1e10 else f"{size / 1e9:.2g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def storage_table() -> str:
    head = ("images", "joint", "both spaces", f"shards of {PART:,}", "rows in the catalog", "content hashes in memory")
    rows = [
        [
            power(n),
            *map(gigabytes, (joint(n, B32), both(n, B32))),
            f"{shards(n):,}",
            gigabytes(n * ROW),
            gigabytes(n * CONTENT),
        ]
        for n in SIZES
    ]
    return table(head, rows)


def memory_table() -> str:
    kinds = index_bytes(1, B32)
    return table(("images", *kinds), [[power(n), *map(gigabytes, index_bytes(n, B32).values())] for n in SIZES])


def time_table() -> str:
    head = ("images", "GPU-hours, ViT-B/32", "GPU-hours, ViT-L/14", "core-hours for decoding")
    rows = [
        [power(n), *(f"{hours:,.1f}" for hours in (gpu_hours(n, B32), gpu_hours(n, L14), core_hours(n)))] for n in SIZES
    ]
    return table(head, rows)


def price_table(prices: Prices) -> str:
    head = (
        "images, ViT-L/14",
        "GPUs, once",
        "shards, a month",
        "flat in memory, a month",
        "8 bits, a month",
        "1 bit, a month",
    )
    rows = []
    for n in SIZES:
        kinds = index_bytes(n, L14)
        month = [kinds[name] / 1e9 * MONTH * prices.memory for name in ("flat, float32", "flat, 8 bits", "1 bit")]
        costs = [gpu_hours(n, L14) * prices.gpu, both(n, L14) / 1e9 * prices.storage, *month]
        rows.append([power(n), *(f"${cost:,.0f}" if cost >= 10 else f"${cost:,.2f}" for cost in costs)])
    return table(head, rows)


def failure_table() -> str:
    head = (
        "images",
        "workers, images/s",
        "part",
        "ideal h",
        "encoded h",
        "encoded twice",
        "formula",
        "committed h",
        "failures",
    )
    rows = []
    for images, cluster, part, commit_rate in CASES:
        found = averaged(images, cluster, part, commit_rate)
        formula = repeated(part, cluster.rate, cluster.mtbf)
        ideal = images / cluster.workers / cluster.rate / 3600
        hours = [f"{value:.2f}" for value in (ideal, found.encoded, found.committed)]
        shares = [f"{found.repeated:.2%}", f"{formula:.2%}"]
        told = [power(images), f"{cluster.workers}, {cluster.rate:.0f}", f"{part:,}", *hours[:2], *shares]
        rows.append([*told, f"{hours[2]} at {commit_rate:,}/s", f"{found.failures:.0f}"])
    return table(head, rows)


def tables(prices: Prices) -> dict[str, str]:
    """Return the tables of docs/scale.md by what they are about."""
    return {
        "storage": storage_table(),
        "memory": memory_table(),
        "time": time_table(),
        "prices": price_table(prices),
        "failures": failure_table(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu-price", type=float, default=Prices().gpu, help="dollars for an hour of a GPU")
    given = parser.parse_args()
    for name, text in tables(Prices(gpu=given.gpu_price)).items():
        print(f"\n{name}\n\n{text}")


if __name__ == "__main__":
    main()
