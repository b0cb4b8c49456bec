"""The command line with an encoder that needs no model: `python -m tests.reliability.command index FOLDER ...`.

The environment says how it behaves: SLOW are seconds a batch, ROWS the rows of a commit; the model does not begin its
third batch before the file UNTIL is there.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import shotdex.indexer.run as run_module
import shotdex.models.transformers_encoder as encoder_module
from shotdex.cli import main
from tests.support.fakes import FakeEncoder

from .states import BATCH


def prepare() -> None:
    """Put the encoder and the settings of the environment in their places."""
    encoder = FakeEncoder(before=_wait, slow=float(os.environ.get("SLOW", "0")))
    encoder_module.load_encoder = lambda *_: encoder  # type: ignore[assignment]
    rows = int(os.environ.get("ROWS", str(BATCH)))
    run_module.IndexOptions = partial(run_module.IndexOptions, commit_rows=rows, commit_seconds=1e9)  # type: ignore[assignment,misc]


def _wait(batch: int) -> None:
    until = os.environ.get("UNTIL")
    while batch == 3 and until and not Path(until).exists():
        time.sleep(0.05)


def run(*arguments: object) -> int:
    """Run a command line and return its exit status."""
    sys.argv = ["shotdex", *map(str, arguments)]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    prepare()
    sys.exit(run(*sys.argv[1:]))
