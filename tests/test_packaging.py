"""What is installed, and what importing it costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from shotdex.store.store import Store

from .conftest import ROOT, index
from .support.fakes import FakeEncoder

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOOL = PROJECT["tool"]["setuptools"]
TOP = ("store", "media", "models", "indexer", "query", "analysis", "exchange", "upkeep", "web", "cli", "demo")


def folders() -> list[Path]:
    found = [path.parent for top in TOP for path in (ROOT / top).rglob("__init__.py")]
    return sorted(folder.relative_to(ROOT) for folder in found)


def sources() -> list[Path]:
    return [path for folder in folders() for path in (ROOT / folder).glob("*.py")]


def test_every_folder_with_code_is_packaged() -> None:
    names = sorted("shotdex." + folder.as_posix().replace("/", ".") for folder in folders())
    assert sorted(TOOL["packages"]) == ["shotdex", *names]
    places = {name: name.removeprefix("shotdex.").replace(".", "/") for name in names}
    assert TOOL["package-dir"] == {"shotdex": "api"} | places


def test_every_folder_at_the_root_with_code_is_known() -> None:
    others = {"tests", "benchmarks", "making"}
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - others
    assert found == {"api", *TOP}


def test_no_code_lies_outside_the_packages() -> None:
    known = {ROOT / folder for folder in folders()}
    assert [p for top in TOP for p in (ROOT / top).rglob("*.py") if p.parent not in known] == []


def test_type_checkers_see_every_folder() -> None:
    there = (ROOT / "typings" / "shotdex").iterdir()
    links = {path.name: path.resolve() for path in there if path.name != "__pycache__"}
    door = {path.name: path for path in (ROOT / "api").iterdir() if path.suffix in (".py", ".typed")}
    assert links == {top: ROOT / top for top in TOP} | door


def test_imports_are_relative_within_a_folder_and_absolute_across() -> None:
    wrong = []
    for path in [*sources(), *(ROOT / "tests").rglob("*.py")]:
        place = path.relative_to(ROOT)
        own = ".".join(["shotdex", *place.parts[:-1]]) + "."
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if node.level == 0 else []
                wrong += [f"{place}: {node.level} dots"] if node.level > 1 else []
            wrong += [f"{place}: {name}" for name in names if name.split(".")[0] in TOP or name.startswith(own)]
    assert wrong == []


PROBE = """
import json, sys
sys.argv = json.loads(sys.argv[1])
from shotdex.cli import main
try:
    main()
except SystemExit as exit_:
    status = exit_.code
else:
    status = 0
names = ("torch", "transformers", "matplotlib", "sklearn", "umap", "pyarrow", "numpy.ma", "faiss", "duckdb")
print(json.dumps([status, [name for name in names if name in sys.modules]]), file=sys.stderr)
"""


def probe(*arguments: object) -> tuple[str, list[str]]:
    """Run a command in a process of its own; return its output and which heavy packages it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(["shotdex", *map(str, arguments)])],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        check=False,
    )
    status, imported = json.loads(done.stderr.splitlines()[-1])
    assert status in (0, None), done.stderr
    return done.stdout, imported


def test_quick_commands_import_no_model(store: Store, fake: FakeEncoder, colours: Path) -> None:
    from shotdex.query.search import search
    from shotdex.store.queries import Query

    index(store, colours, fake)
    search(store, Query(("red",)), lambda _: fake)
    text, imported = probe("--help")
    assert "Commands:" in text
    assert imported == []
    text, imported = probe("sql", "SELECT count(*) AS n FROM images", "--store", store.root)
    assert text == " n\n--\n10\n"
    assert imported == ["duckdb"]
    text, imported = probe("search", "red", "-k", "2", "--format", "paths", "--store", store.root)
    assert text == f"{colours}/plain/Red0.png\n{colours}/wide/Red0.png\n"
    assert imported == ["faiss", "duckdb"]


def test_the_version_is_the_packages() -> None:
    text, imported = probe("--version")
    assert text == f"shotdex {PROJECT['project']['version']}\n"
    assert imported == []


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what git would ship."""
    import shutil

    copy, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, copy / name)
    for top in ("api", *TOP):
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> list[str]:
    """The names in the wheel."""
    with zipfile.ZipFile(wheel_file) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_code_and_nothing_at_the_top_but_shotdex(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"shotdex"}
    wanted = [f"shotdex/{p.relative_to(ROOT).as_posix()}" for p in sources()]
    wanted += [f"shotdex/{p.name}" for p in (ROOT / "api").iterdir() if p.suffix in (".py", ".typed")]
    wanted += [f"shotdex/analysis/document/{name}" for name in ("document.css", "explore.js")]
    page = [path for path in (ROOT / "web" / "page").rglob("*") if path.is_file()]
    assert len(page) > 25
    wanted += [f"shotdex/{path.relative_to(ROOT).as_posix()}" for path in page]
    assert sorted(set(wanted) - set(wheel)) == []


def test_the_wheel_holds_the_images_prompts_and_licences(wheel: list[str]) -> None:
    places = [ROOT / "demo" / folder for folder in ("pictures", "prompts", "benchmarks")]
    shipped = [path for folder in places for path in folder.rglob("*") if path.is_file()]
    assert len(shipped) > 2000
    assert [p for p in shipped if f"shotdex/{p.relative_to(ROOT).as_posix()}" not in wheel] == []
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_the_wheel_holds_the_model(wheel: list[str], demo_model: Path) -> None:
    for name in ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"):
        assert f"shotdex/demo/model/{name}" in wheel
    assert (demo_model / "model.safetensors").stat().st_size <= 20_000_000


PROGRAM = """
import shotdex
store = shotdex.open(create=True)
store.index("photos/", model="demo")
hits = store.search("a purple fish", k=3)
run = store.classify(["duck", "hat"], templates=["a photo of a {}."], name="photo")
print(shotdex.__file__, len(hits), run.record.scored, store.sql("FROM outcomes").to_pandas().shape[0])
"""


def test_a_program_runs_from_the_wheel(wheel_file: Path, tmp_path: Path) -> None:
    import os
    import shutil

    with zipfile.ZipFile(wheel_file) as archive:
        archive.extractall(tmp_path / "site")
    for name in ("duck", "hat"):
        for path in sorted((ROOT / "demo" / "pictures" / "evaluation" / "realistic").glob(f"{name.title()}*"))[:3]:
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "photos" / name)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "site" / "shotdex" / "__init__.py"), "3", "6", "6"]
