"""How fast clip-retrieval encodes a folder once it has started; run by `indexing.py` in an environment that has it.

    PYTHON benchmarks/clip_retrieval_rate.py FOLDER MODEL OUTPUT

Runs `clip_inference` in one process over the folder in five parts, with 2 x cores images decoded ahead, and writes
the rate of each part to OUTPUT/rates.json. Loading, its warm-up and the first batch of each part, which waits for the
decoding processes to start, are not counted.

A fresh install of clip-retrieval 2.45 does not run. What ran with it: Python 3.11, setuptools<70, numpy<2,
transformers<4.47, the torch and torchvision of one release, and its other requirements.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

PARTS = 5
BATCH = 32
FEWEST = 2 * PARTS * BATCH
RATES = "rates.json"


def main() -> None:
    """Run it."""
    from clip_retrieval.clip_inference.logger import LoggerWriter
    from clip_retrieval.clip_inference.main import main as clip_inference

    batches: dict[int, list[dict[str, float]]] = {}
    log = LoggerWriter.__call__

    def recorded(self: Any, stats: dict[str, float]) -> None:
        batches.setdefault(id(self), []).append(stats)
        log(self, stats)

    LoggerWriter.__call__ = recorded
    folder, model, output = sys.argv[1:]
    clip_inference(
        input_dataset=folder,
        output_folder=output,
        clip_model=f"hf_clip:{model}",
        batch_size=BATCH,
        num_prepro_workers=os.cpu_count() or 2,
        enable_text=False,
        output_partition_count=PARTS,
    )
    parts = [part[1:] for part in batches.values() if len(part) > 1]
    if not parts:
        sys.exit(f"{FEWEST} images or more are needed: the first {BATCH} of each part do not count")
    rates = [sum(b["sample_count"] for b in p) / sum(b["total_duration"] for b in p) for p in parts]
    Path(output, RATES).write_text(json.dumps(rates), encoding="utf-8")  # its logger prints, now and later


if __name__ == "__main__":
    main()
