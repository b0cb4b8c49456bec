"""Our decoding processes compared with pebble's pool and with concurrent.futures: what each costs, and what each loses.

    pip install pebble; python -m benchmarks.decode_pools [--images 200] [--rounds 3]

All three decode and resize the same photographs by the same function, in turn within each round. CPU seconds are those
of this process and all its workers, so that another program on the machine changes them little. Then a worker is killed
with SIGKILL, as the system does where memory runs out, and an image comes that takes longer than its time.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import signal
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from PIL import Image

from shotdex.indexer import decode_worker
from shotdex.indexer.decode_worker import answer
from shotdex.indexer.decoders import Workers
from shotdex.models.preprocessing import FixedSize
from shotdex.store.types import Limits

SECONDS, PATIENCE = 1.0, 20.0
LIMITS = Limits(seconds=SECONDS)
PREPARE = FixedSize(224, None, (224, 224), 3, 1 / 255, (0.5,) * 3, (0.5,) * 3)


def work(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode one image as a decoding process does; what goes back are its pixels."""
    header, pixels = answer(data, LIMITS, PREPARE)
    return header, bytes(pixels)


def begin() -> None:
    """Give a worker of another pool the limits and the low priority that ours have."""
    decode_worker._expect_the_worst(LIMITS)
    decode_worker._step_back()
    decode_worker._be_silent()


class Ours:
    """Our processes, used by as many threads."""

    def __init__(self, workers: int) -> None:
        self.workers = Workers(LIMITS, PREPARE.portable, workers)
        self.threads = ThreadPoolExecutor(2 * workers)

    def submit(self, data: bytes) -> Future[Any]:
        return self.threads.submit(self.workers.decode, data)

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.workers._all]

    def close(self) -> None:
        self.workers.close(now=True)
        self.threads.shutdown(cancel_futures=True)


class Pebble:
    """pebble.ProcessPool: a time limit for each task, and a dead worker is replaced."""

    def __init__(self, workers: int) -> None:
        from pebble import ProcessPool

        self.pool = ProcessPool(workers, initializer=begin, context=multiprocessing.get_context("spawn"))

    def submit(self, data: bytes) -> Future[Any]:
        return self.pool.schedule(work, args=[data], timeout=SECONDS)  # type: ignore[no-any-return]

    def pids(self) -> list[int]:
        return list(self.pool._pool_manager.worker_manager.workers)

    def close(self) -> None:
        self.pool.stop()
        self.pool.join()


class Standard:
    """concurrent.futures.ProcessPoolExecutor."""

    def __init__(self, workers: int) -> None:
        self.pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=begin)

    def submit(self, data: bytes) -> Future[Any]:
        return self.pool.submit(work, data)

    def pids(self) -> list[int]:
        return list(self.pool._processes)

    def close(self) -> None:
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)  # one that waits did not return after a worker was killed
        for process in processes:
            process.kill()
            process.join()


KINDS: dict[str, Callable[[int], Any]] = {"ours": Ours, "pebble": Pebble, "concurrent.futures": Standard}


def photographs(count: int) -> list[bytes]:
    """Return JPEGs of 500 x 375 pixels, smooth with some noise, as photographs are."""
    random, made = np.random.default_rng(0), []
    for _ in range(min(count, 20)):
        small = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375))
        pixels = np.clip(np.asarray(small) + random.normal(0, 6, (375, 500, 3)), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return [made[i % len(made)] for i in range(count)]


def slow_image() -> bytes:
    """Return a PNG of 169 megapixels, which takes longer to decode than the time limit."""
    file = io.BytesIO()
    Image.new("RGB", (13_000, 13_000)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def cpu() -> float:
    """Return the CPU seconds of this process and of its workers that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def cost(kind: str, workers: int, images: Sequence[bytes]) -> tuple[float, float, float]:
    """Return seconds to the first image, CPU milliseconds an image, start included, and images a second after it."""
    before, began = cpu(), time.monotonic()
    pool = KINDS[kind](workers)
    pool.submit(images[0]).result()
    started = time.monotonic()
    for each in [pool.submit(data) for data in images[1:]]:
        each.result()
    ended = time.monotonic()
    pool.close()
    return started - began, 1000 * (cpu() - before) / len(images), (len(images) - 1) / (ended - started)


def lost(kind: str, images: Sequence[bytes], trouble: bytes | None) -> str:
    """Return how many images are lost where a worker is killed, or one image takes too long, and how long it took."""
    pool = KINDS[kind](2)
    pool.submit(images[0]).result()
    began = time.monotonic()
    tasks = [pool.submit(data) for data in images[:20]]
    if trouble is not None:
        tasks.insert(0, pool.submit(trouble))
    else:
        threading.Timer(0.02, lambda: os.kill(pool.pids()[0], signal.SIGKILL)).start()
    tasks += [pool.submit(data) for data in images[20:]] if trouble is not None else later(pool, images[20:])
    done, waiting = wait(tasks, PATIENCE)
    failed = sum(task.exception() is not None for task in done)
    text = f"{failed} of {len(tasks)} in {time.monotonic() - began:.1f} s" + f", {len(waiting)} hang" * bool(waiting)
    pool.close()
    return text


def later(pool: Any, images: Sequence[bytes]) -> list[Future[Any]]:
    """Submit images one after the other, as a folder is read; what is refused is a future with that error."""
    found = []
    for data in images:
        try:
            found.append(pool.submit(data))
        except Exception as error:
            found.append(Future())
            found[-1].set_exception(error)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    images = photographs(chosen.images)
    for workers in (1, 2):
        found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
        for _ in range(chosen.rounds):
            for kind in KINDS:
                found[kind].append(cost(kind, workers, images))
        for kind, rows in found.items():
            first, each, rate = (statistics.median(column) for column in zip(*rows, strict=True))
            what = f"first image after {first:.2f} s, {each:.2f} ms CPU an image, {rate:.0f}/s"
            print(f"{workers} worker(s), {kind}: {what}", flush=True)
    slow = slow_image()
    for kind in KINDS:
        print(f"{kind}: worker killed: lost {lost(kind, images[:100], None)}", flush=True)
        print(f"{kind}: slow image: lost {lost(kind, images[:100], slow)}", flush=True)


if __name__ == "__main__":
    main()
