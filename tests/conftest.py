"""What many tests share. No test reaches a model hub: its address is one where nothing answers."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

MEMORY = Path("/dev/shm")
"""Where files lie in memory, on Linux. DuckDB waits for the disk at every commit, which tests do all the time."""

ROOM = 2 << 30
"""Bytes that must be free there."""


def _work_in_memory() -> None:
    """Put all temporary files of the tests, and of the processes that they start, into memory if there is room."""
    if "SHOTDEX_TESTS_TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):  # a worker has its parent's
        return
    there = os.statvfs(MEMORY)
    if there.f_bavail * there.f_frsize < ROOM or there.f_flag & os.ST_NOEXEC:
        return
    for left in MEMORY.glob("shotdex-tests-*"):  # by tests that were killed
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"shotdex-tests-{os.getpid()}-", dir=MEMORY)
    atexit.register(_remove, folder, os.getpid())
    os.environ.update(TMPDIR=folder, SHOTDEX_TESTS_TMPDIR=folder)
    tempfile.tempdir = None


def _remove(folder: str, maker: int) -> None:
    if os.getpid() == maker:  # not at the end of a forked process
        shutil.rmtree(folder, ignore_errors=True)


_work_in_memory()
_CACHE = tempfile.mkdtemp(prefix="shotdex-tests-hub-")
# Read when huggingface_hub is imported, so they must stand before anything imports it.
os.environ.update(HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_CACHE=_CACHE, HF_HOME=_CACHE, HF_HUB_DISABLE_TELEMETRY="1")

# The models and stores of the tests are tiny: one thread is quicker than several that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from shotdex import demo  # noqa: E402
from shotdex.indexer.layout import parse_layout  # noqa: E402
from shotdex.indexer.run import IndexOptions, index_source  # noqa: E402
from shotdex.media.decoding.decode import quiet_pillow  # noqa: E402
from shotdex.media.sources import open_source  # noqa: E402
from shotdex.store.store import Store  # noqa: E402
from shotdex.store.types import IndexReport  # noqa: E402

from .support.fakes import FakeEncoder  # noqa: E402
from .support.images import save_colour  # noqa: E402

# How long an example takes says how busy the machine is; the same examples each time, as on a CI machine.
settings.register_profile(
    "shotdex", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shotdex")

# A script that starts the tests with & lets them ignore Ctrl-C, and every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
FASHION = ROOT.parent / "shared" / "data" / "fashion-mnist"


LONG = (
    "tests/test_readme.py", "tests/web/page/", "tests/analysis/document/", "tests/cli/test_index.py",
    "tests/reliability/", "tests/analysis/figures/test_every_size.py", "tests/indexer/test_interruption.py",
    "tests/cli/test_render.py", "tests/store/test_shard_vectors.py", "tests/indexer/test_run.py",
    "tests/analysis/test_classify.py", "tests/cli/test_commands.py", "tests/api/test_examples.py",
    "tests/indexer/test_shards.py", "tests/store/engines/", "tests/api/test_reproduction.py",
    "tests/cli/test_engine.py",
)  # fmt: skip
"""What takes longest, longest first: begun last, one of them would keep a single core busy at the end."""

TOGETHER = ("tests/web/page/", "tests/analysis/document/")
"""Folders whose files share a browser, a store and what was made of it: one worker runs each of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))

    items.sort(key=place)  # which keeps the order of the others


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for browsers, disks and other processes for a fifth of their time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or cores + 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, give out the files of `TOGETHER` a folder at a time."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next(filter(nodeid.startswith, TOGETHER), None) or super()._split_scope(nodeid)

    return ByFolder(config, log)


def pytest_collection() -> None:
    """Thousands of tests are made and none is dropped: the collector of garbage would look at all of them again."""
    gc.disable()


def pytest_collection_finish() -> None:
    _freeze()
    gc.enable()


def _freeze() -> None:
    """Spare the collector of garbage what is loaded: statsmodels calls it in every test of several p values."""
    gc.collect()
    gc.freeze()


_loaded = 0


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """What the tests before have imported, such as torch or umap, is not looked through each time either."""
    global _loaded
    if len(sys.modules) > _loaded + 300:
        _freeze()
        _loaded = len(sys.modules)


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOTDEX_STORE", raising=False)
    quiet_pillow()


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    if not FASHION.is_dir():
        pytest.skip("needs the shared data: ../shared/data/fashion-mnist is not here")
    return FASHION


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from .support.models import save_random_clip

    return save_random_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from .support.models import save_random_siglip

    return save_random_siglip(tmp_path_factory.mktemp("models") / "siglip")


@pytest.fixture(scope="session")
def siglip2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from .support.models import save_random_siglip2

    return save_random_siglip2(tmp_path_factory.mktemp("models") / "siglip2")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    assert (demo.MODEL / "model.safetensors").is_file(), "the model that ships with the package is not there"
    return demo.MODEL


@cache
def _empty_store() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="shotdex-tests-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Store.create(folder / "store").root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store of one's own; made once and then copied."""
    shutil.copytree(_empty_store(), tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def fake() -> FakeEncoder:
    return FakeEncoder()


def index(
    store: Store,
    place: Path,
    encoder: FakeEncoder,
    layout: str | None = None,
    categories: tuple[str, ...] = (),
    **settings: float,
) -> IndexReport:
    """Index as the command does, with a layout as the user writes it."""
    chosen = parse_layout(layout, categories) if layout or categories else None
    return index_source(store, open_source(place), encoder, IndexOptions(chosen, **settings))  # type: ignore[arg-type]


COLOURS = ("red", "green", "blue", "yellow", "white")


def save_colours(folder: Path) -> Path:
    """Save ten images, `condition/Colour<number>.png`; one of each colour in two conditions."""
    for i, colour in enumerate(COLOURS):
        save_colour(folder / "plain" / f"{colour.title()}{i}.png", colour)
        save_colour(folder / "wide" / f"{colour.title()}{i}.png", colour, (30, 8))
    return folder


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Ten images of one's own; see `save_colours`."""
    return save_colours(tmp_path / "colours")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def shotdex(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process, through the same `main` as the installed script."""
    from shotdex.cli import main

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["shotdex", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        written = capsys.readouterr()
        return Ran(status, written.out, written.err)

    return run


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with three runs (see tests/support/evaluated.py), which tests leave as it is."""
    from .support.evaluated import evaluated_store

    return evaluated_store(tmp_path_factory.mktemp("evaluated") / "store")


@pytest.fixture
def own(tmp_path: Path) -> Store:
    """The same store, to be changed."""
    from .support.evaluated import evaluated_store

    return evaluated_store(tmp_path / "own")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The openings of a catalog so far."""
    counted: list[str] = []
    from shotdex.store import opening

    for name in ("to_read", "to_write"):
        real = getattr(opening, name)

        def count(*arguments: Any, _name: str = name, _real: Any = real, **named: Any) -> Any:
            counted.append(_name)
            return _real(*arguments, **named)

        monkeypatch.setattr(opening, name, count)
    yield counted
