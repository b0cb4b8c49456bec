"""Programs of users under `mypy --strict`; `make check` runs them, after mypy has seen the package itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.check


def test_a_program_of_a_user_passes_mypy_and_misspellings_do_not(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import shotdex\n\n"
        "store = shotdex.open(create=True)\n"
        'store.index("photos/", model="demo")\n'
        'hits = store.search("a purple fish", k=3)\n'
        "names: list[str] = [hit.path for hit in hits]\n"
        'run = store.classify(templates=["a photo of a {}."], name="photo")\n'
        'n: int = run.accuracy(by="condition")[0].n\n'
        "value: float = run.accuracy().value\n"
        'store.plot.map(method="tsne", color="correct", title="Mine").savefig("map.png")\n'
        'accuracy: str = store.report("photo", by=["condition"], out=None)[0].metric\n'
        'store.export("parquet", "out.parquet", where="true", overwrite=True)\n'
        'store.duplicates("leaks", across="split", limit=3)\n'
        "store.probe(few_shot=[1, 2], progress=True)\n"
        'shotdex.reproduce("cifar10", "cifar/", model="demo", batch_size=8)\n'
        'frame = store.sql("FROM outcomes WHERE NOT correct").to_pandas()\n'
    )
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        'import shotdex\n\nshotdex.nope()\nshotdex.open().serch("x")\n'
        'shotdex.open().index("photos/", modle="demo")\nshotdex.open().index("photos/", batch_size="8")\n'
        'shotdex.open().plot.map(neighbours=5)\nshotdex.open().report(bins="15")\n'
    )
    environment = {"MYPYPATH": str(ROOT / "typings"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(ROOT / ".mypy_cache"), str(program), str(wrong)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert "program.py" not in done.stdout, done.stdout
    assert '"nope"' in done.stdout
    assert '"serch"' in done.stdout
    assert '"modle"' in done.stdout
    assert '"batch_size"' in done.stdout
    assert '"neighbours"' in done.stdout
    assert '"bins"' in done.stdout
