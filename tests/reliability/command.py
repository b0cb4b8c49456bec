"""The command line with an encoder that needs no model: `python -m tests.reliability.command index FOLDER ...`.

The environment says how it behaves: SLOW are seconds a batch, ROWS the rows of a commit.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import shotdex.indexer.encoder as encoder_module
import shotdex.indexer.run as run_module
from shotdex.cli import main
from tests.fakes import FakeEncoder

from .states import BATCH


def prepare() -> None:
    """Put the encoder and the settings of the environment in their places."""
    encoder = FakeEncoder(slow=float(os.environ.get("SLOW", "0")))
    encoder_module.load_encoder = lambda *_: encoder  # type: ignore[assignment]
    rows = int(os.environ.get("ROWS", str(BATCH)))
    run_module.IndexSettings = partial(run_module.IndexSettings, commit_rows=rows, commit_seconds=1e9)  # type: ignore[assignment,misc]


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
