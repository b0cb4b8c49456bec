"""The real torchvision, where it can be had.

PyPI's torchvision for Linux is built for CUDA. Next to a torch for the CPU it cannot be imported, and as long as it is
installed transformers cannot load its image processors either. So it may lie beside, in `torchvision` in the virtual
environment (`pip install --no-deps --target .venv/torchvision torchvision==...`), and is on the path only while a test
uses it. What it lacks there are two operators, of which the data sets use none. Where it fits torch it defines them
itself, and to define one twice ends the interpreter: so another process tries first whether it lacks them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

BESIDE = Path(sys.prefix) / "torchvision"

_loaded: dict[str, ModuleType] = {}


@contextlib.contextmanager
def torchvision_on_path() -> Iterator[None]:
    """Make `import torchvision` give the real one for the length of the block; skip the test where there is none."""
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    if not BESIDE.is_dir():
        pytest.skip(f"torchvision is neither installed nor in {BESIDE}")
    if _lacks_operators():
        _operators()
    sys.path.append(str(BESIDE))
    sys.modules.update(_loaded)
    try:
        import torchvision.datasets  # noqa: F401

        yield
    finally:
        sys.path.remove(str(BESIDE))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "open_clip", "timm")]:
            _loaded[name] = sys.modules.pop(name)


@contextlib.contextmanager
def open_clip_on_path() -> Iterator[ModuleType]:
    """Make `import open_clip` give the real one, which needs torchvision; skip the test where there is none."""
    import transformers.utils

    transformers.utils.is_torchvision_available()  # remembered for good: not by what is on the path in this block
    with torchvision_on_path():
        try:
            yield importlib.import_module("open_clip")
        except ModuleNotFoundError as error:
            pytest.skip(f"open_clip is neither installed nor in {BESIDE}: {error}")


@cache
def _lacks_operators() -> bool:
    """Tell whether the torchvision beside needs the operators; skip the test where it cannot be had even so."""
    statement = "import sys; sys.path.append(sys.argv[1]); import torchvision.datasets"
    tried = subprocess.run(
        [sys.executable, "-c", statement, str(BESIDE)], capture_output=True, text=True, errors="replace", check=False
    )
    lacking = "operator torchvision::nms does not exist" in tried.stderr
    if tried.returncode and not lacking:
        pytest.skip(f"the torchvision in {BESIDE} cannot be imported: {tried.stderr.strip()[-300:]}")
    return lacking


@cache
def _operators() -> object:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
