"""How long does the first answer take, from a cold process?

    python benchmarks/first_answer.py [--runs 11]

Indexes a few images with a ViT-B/32 of random weights (its speed is the real one's), then runs commands as a person
does, each in a new process, in turns with `python -c "import duckdb, faiss, click, numpy"`, which is the least that any
of them needs. Files are in the page cache; the interpreter's byte code is compiled.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import heading, in_turns, line, ratio
from photos import save_photos, save_vit

BARE = [sys.executable, "-c", "import duckdb, faiss, click, numpy"]
MODEL = [sys.executable, "-c", "import torch, transformers; transformers.CLIPModel"]
COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
SHOTDEX = [sys.executable, "-m", "shotdex.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11, help="how often each command is run")
    runs = parser.parse_args().runs
    heading("First answer: commands from a cold process, ViT-B/32")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        save_photos(place / "photos", 40)
        store = ["--store", str(place / "store")]
        took = run([*SHOTDEX, "index", str(place / "photos"), "--model", str(save_vit(place / "model")), *store])
        line("index 40 images and keep the text tower", f"{took:.1f} s")
        tower = next((place / "store" / "index").glob("text-*"))
        line("the text tower's file", f"{tower.stat().st_size / 1e6:.0f} MB")
        numbers, indexed = itertools.count(), str(next((place / "photos").rglob("*.*")))
        run([*SHOTDEX, "search", "a dog in the snow", *store])
        taken = in_turns(
            {
                "bare": lambda: run(BARE),
                "--help": lambda: run([*SHOTDEX, "--help"]),
                "status": lambda: run([*SHOTDEX, "status", *store]),
                "sql": lambda: run([*SHOTDEX, "sql", "SELECT count(*) FROM images", *store]),
                "search, asked before": lambda: run([*SHOTDEX, "search", "a dog in the snow", *store]),
                "search, an indexed image": lambda: run([*SHOTDEX, "search", "--image", indexed, *store]),
                "search, never asked": lambda: run([*SHOTDEX, "search", f"a dog and {next(numbers)} cats", *store]),
            },
            runs,
        )
        line("bare imports", taken["bare"])
        limits = {"--help": 1.3, "status": 1.3, "sql": 1.3, "search, asked before": 1.5}
        limits |= {"search, an indexed image": 1.6, "search, never asked": 2.0}
        for name, limit in limits.items():
            line(name, taken[name])
            ratio("  to the bare imports", taken[name].median, taken["bare"].median, f"at most {limit}")
        of_text = taken["search, asked before"].median
        ratio(
            "an indexed image to a text asked before", taken["search, an indexed image"].median, of_text, "at most 1.5"
        )
        tower.unlink()
        models = in_turns({"imports": lambda: run(MODEL)}, 3)
        line("importing torch and transformers", models["imports"])
        ratio("  to the bare imports", models["imports"].median, taken["bare"].median)
        line(
            "search, never asked, no text tower kept yet", f"{run([*SHOTDEX, 'search', 'a bear', *store]):.1f} s, once"
        )


def run(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=COMPILED)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
