"""How quickly does `shotdex serve` answer twenty users, and how much memory does it take?

    python benchmarks/serve.py [--images 70000] [--users 20] [--seconds 60] [--think 1.0]

Fills a store with synthetic vectors and 40 texts that it remembers, starts `shotdex serve` in a process of its own, and
lets each user search, think (exponentially distributed, `--think` seconds on average; 0: no pause), and search again.
One search in four is filtered, and one in eight is for the neighbours of an image. Printed are how long the server took
until it answered, the times of the answers, its processor time for a request, and its memory along the way. Then one
text of 100 classes changes in the tried prompts, again and again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import numpy as np
from measuring import heading, line
from synthetic import CLASSES, clustered, fill
from threadpoolctl import threadpool_limits

from shotdex.analysis.live import LiveClassifier, LiveImages
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.store.vectors import remember_texts

PORT = 18_400
TEXTS = [f"text {number}" for number in range(40)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=70_000)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=1.0, help="seconds; 0: without a pause")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        store = fill(root, options.images)
        with store.writing() as con:
            remember_texts(con, 1, TEXTS, clustered(len(TEXTS), seed=1))
        pause = f"{options.think:g} s of thinking" if options.think else "no thinking"
        heading(f"Serving {options.images:,} images to {options.users} users, {pause}")
        began = time.perf_counter()
        command = [sys.executable, "-m", "shotdex", "serve", "--store", str(root), "--port", str(PORT), "--no-browser"]
        said = (Path(folder) / "said").open("w+")
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            assert server.stdout is not None
            if not (address := server.stdout.readline()):
                raise SystemExit(f"the server ended: {(Path(folder) / 'said').read_text()}")
            port = int(address.rstrip("/\n").rsplit(":", 1)[1])
            assert ask(http.client.HTTPConnection("127.0.0.1", port), "/api/store")["images"] == options.images
            line("ready", f"{time.perf_counter() - began:.2f} s", "at most 2 s")
            load(server.pid, port, options)
        finally:
            server.terminate()
            server.wait(10)
    live(options.images)


def load(pid: int, port: int, options: argparse.Namespace) -> None:
    taken: list[float] = []
    failed: list[str] = []
    end = time.monotonic() + options.seconds

    def use(user: int) -> None:
        chance, connection = random.Random(user), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < end:
            if options.think:
                time.sleep(min(chance.expovariate(1 / options.think), max(0.0, end - time.monotonic())))
            began = time.perf_counter()
            try:
                ask(connection, query_of(chance, options.images))
                taken.append(time.perf_counter() - began)
            except Exception as error:
                failed.append(repr(error))
                connection.close()

    users = [threading.Thread(target=use, args=(user,)) for user in range(options.users)]
    processor, memory = processor_seconds(pid), [resident(pid)]
    for user in users:
        user.start()
    while any(user.is_alive() for user in users):
        time.sleep(options.seconds / 10)
        memory.append(resident(pid))
    processor = processor_seconds(pid) - processor
    found = np.array(taken) * 1e3
    line("requests", f"{len(found):,}, {len(found) / options.seconds:.1f}/s, {len(failed)} failed {failed[:1] or ''}")
    line("median", f"{np.median(found):.1f} ms")
    line(
        "95th percentile", f"{np.percentile(found, 95):.1f} ms", "at most 150 ms" if options.think else "at most 300 ms"
    )
    line("longest", f"{found.max():.1f} ms")
    line("processor time of the server for a request", f"{1e3 * processor / max(1, len(found)):.1f} ms")
    line("memory: at the start, then in tenths", ", ".join(f"{one:.0f}" for one in memory) + " MB", "at most 350 MB")


def query_of(chance: random.Random, images: int) -> str:
    if chance.random() < 1 / 8:
        return f"/api/images/{chance.randrange(1, images)}/neighbours?k=12"
    asked = {"text": chance.choice(TEXTS), "k": 50}
    if chance.random() < 1 / 4:
        asked["condition"] = f"condition {chance.randrange(5)}"
    return f"/api/search?{urlencode(asked)}"


def ask(connection: http.client.HTTPConnection, path: str) -> dict[str, object]:
    connection.request("GET", path, headers={"Host": "localhost"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} for {path}: {body[:200]!r}")
    found: dict[str, object] = json.loads(body)
    return found


def live(count: int) -> None:
    threadpool_limits(1, user_api="blas")  # as the server does
    rng = np.random.default_rng(3)
    names = [f"class {number:03d}" for number in range(CLASSES)]
    images = LiveImages(np.arange(count), clustered(count), rng.integers(CLASSES, size=count), tuple(names))
    texts = dict(zip([*names, *(f"new {turn}" for turn in range(20))], clustered(CLASSES + 20, seed=2), strict=True))
    classifier, taken = LiveClassifier(images), []
    for turn in range(20):
        own = {name: (name,) for name in names} | {names[turn]: (f"new {turn}",)}
        prompts = make_prompt_set("tried", own)
        began = time.perf_counter()
        classifier.classify(prompts, texts)
        taken.append(time.perf_counter() - began)
    line(f"one changed text of {CLASSES} classes, median", f"{1e3 * median(taken[1:]):.0f} ms", "at most 100 ms")


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident(pid: int) -> float:
    """Return the memory of a process in MB that no file backs: the mapped vectors are in the system's cache."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1000


if __name__ == "__main__":
    main()
