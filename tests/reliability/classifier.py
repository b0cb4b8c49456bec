"""A program that writes runs: `python -m tests.reliability.classifier STORE TIMES NAME`."""

from __future__ import annotations

import sys
from pathlib import Path

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder


def classify_times(root: Path, times: int, name: str) -> None:
    """Classify everything that is there, so many times, a run each."""
    for i in range(times):
        prompts = make_prompt_set(f"{name}{i}", {"Cat": ("red", f"{name} {i}"), "Dog": ("blue",)})
        classify(Store.open(root), Classification(prompts, f"{name}{i}", k=2), lambda _: FakeEncoder())
        print(i, flush=True)


if __name__ == "__main__":
    classify_times(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
