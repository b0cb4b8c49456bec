"""The door: what a program can do with `import shotdex`, compared with what the layers below say."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import shotdex
from shotdex import demo, errors
from tests.conftest import ROOT


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, shotdex; heavy = {'numpy', 'torch', 'faiss', 'duckdb', 'pandas', 'matplotlib', 'pyarrow', 'PIL'}; "
        "print(sorted(heavy & set(sys.modules)), 'open' in dir(shotdex), shotdex.__version__ != '')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[] True True\n"


@pytest.mark.parametrize("command", ["status()", "sql('SELECT count(*) FROM images')"])
def test_what_answers_from_the_catalog_alone_imports_no_pyarrow(command: str, tmp_path: Path) -> None:
    shotdex.open(tmp_path / "s", create=True)
    code = (
        f"import sys, shotdex; len([shotdex.open({str(tmp_path / 's')!r}).{command}]); print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_every_public_name_is_there_and_no_other() -> None:
    assert [name for name in shotdex.__all__ if not hasattr(shotdex, name)] == []
    with pytest.raises(AttributeError, match="serch"):
        shotdex.serch  # noqa: B018
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert folders & set(shotdex.__all__) == set()


class TestOpen:
    def test_without_a_store_it_says_what_to_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(shotdex.errors.StoreNotFound) as caught:
            shotdex.open()
        assert caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def test_create_makes_one_here_and_a_folder_below_finds_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        made = shotdex.open(create=True)
        (tmp_path / "a" / "b").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "a" / "b")
        assert shotdex.open().path == made.path == tmp_path / ".shotdex"
        assert shotdex.open(create=True).path == made.path

    def test_the_environment_names_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shotdex.open(str(tmp_path / "s"), create=True)
        monkeypatch.setenv("SHOTDEX_STORE", str(tmp_path / "s"))
        assert len(shotdex.open()) == 0


class TestSearch:
    def test_hits_are_those_of_the_vectors(self, session: shotdex.Session) -> None:
        found = session.search("a duck", k=5)
        ids, vectors = session.vectors()
        with session.store.reading() as con:
            text = np.asarray(con.value("SELECT vector FROM text_vectors_1 WHERE text = 'a duck'"), dtype=np.float64)
        cosines = vectors.astype(np.float64) @ text
        assert len(found) == 5
        assert found.images == len(ids) == 320
        assert [hit.rank for hit in found] == [1, 2, 3, 4, 5]
        assert [hit.cosine for hit in found] == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-6)
        by_id = dict(zip(ids.tolist(), cosines, strict=True))
        assert [hit.cosine for hit in found] == pytest.approx([by_id[hit.image_id] for hit in found], abs=1e-6)

    def test_an_image_and_a_filter(self, session: shotdex.Session) -> None:
        image = demo.EVALUATION / "realistic" / "Hat01-openmoji.png"
        found = session.search(image=image, where="condition = 'realistic'", k=1, with_itself=True)
        assert Path(found[0].path).name == image.name
        assert found[0].cosine == pytest.approx(1, abs=1e-5)

    def test_an_image_larger_than_the_limit_and_than_those_indexed(
        self, session: shotdex.Session, tmp_path: Path
    ) -> None:
        """As large as an indexed one is allowed: whoever indexed that has lifted the limit."""
        image = session.search("a car", k=1)[0].path
        with Image.open(image) as opened:
            opened.resize((opened.width * 3, opened.height * 3)).save(tmp_path / "large.png")
        assert session.search(image=image, k=1, max_pixels=1)
        assert session.search(image=tmp_path / "large.png", k=1, max_pixels=0)
        with pytest.raises(shotdex.errors.UnreadableImage, match="--max-pixels 0 lifts the limit"):
            session.search(image=tmp_path / "large.png", k=1, max_pixels=1)

    def test_a_notebook_shows_thumbnails_and_no_name_is_markup(self, session: shotdex.Session) -> None:
        shown = session.search("<b>a duck</b>", k=3)._repr_html_()
        assert shown.count("data:image/jpeg;base64,") == 3
        assert "<b>" not in shown
        assert len(shown) < 60_000

    def test_eight_threads_get_what_one_gets(self, session: shotdex.Session) -> None:
        texts = [f"a {name}" for name in demo.CATEGORIES] * 3
        one = [[hit.image_id for hit in session.search(text, k=7)] for text in texts]
        with ThreadPoolExecutor(8) as pool:
            several = list(pool.map(lambda text: [hit.image_id for hit in session.search(text, k=7)], texts))
        assert several == one

    def test_what_is_no_query_is_an_option_error(self, session: shotdex.Session) -> None:
        for wrong in (None, 5, np.zeros(8), Path("a.png"), ("dog", "2")):
            with pytest.raises(errors.OptionError, match="a query is made of texts"):
                session.search(wrong)
        with pytest.raises(errors.OptionError, match="k is the number of images, not '3'"):
            session.search("a duck", k="3")
        with pytest.raises(errors.OptionError, match="an image_id or a selection"):
            session.search(like=1.5)

    def test_an_id_may_come_from_an_array(self, session: shotdex.Session) -> None:
        ids, _ = session.vectors()
        assert list(session.search(like=ids[0], k=2)) == list(session.search(like=int(ids[0]), k=2))
        assert list(session.search(like=ids[:2], k=2)) == list(session.search(like=ids[:2].tolist(), k=2))

    def test_another_process_opens_the_same_store(self, session: shotdex.Session) -> None:
        again = pickle.loads(pickle.dumps(session))
        assert list(again.search("a duck", k=3)) == list(session.search("a duck", k=3))

    def test_nothing_to_look_for(self, session: shotdex.Session) -> None:
        with pytest.raises(shotdex.errors.EmptyQuery):
            session.search("  ")


class TestConversions:
    def test_arrow_pandas_polars_and_dicts_hold_the_same(self, session: shotdex.Session) -> None:
        for result in (
            session.search("a hat", k=4),
            session.sql("SELECT path, category, image_id, NULL AS nothing FROM images ORDER BY image_id LIMIT 4"),
            session.run("photo").accuracy(by=["condition", "category"]),
            session.runs(),
            session.verify(),
            session.report("photo", by="condition", resamples=100),
        ):
            rows = result.to_dicts()
            table = result.to_arrow()
            assert table.column_names == list(result.columns) == list(rows[0])
            assert len(rows) == len(result) == table.num_rows == len(result.to_pandas()) == result.to_polars().height
            assert result.df().equals(result.to_pandas())
            assert result.pl().equals(result.to_polars())
            assert result.arrow().equals(table)
            assert repr(result)
            assert result._repr_html_().startswith("<p>")

    def test_sql_keeps_the_types_of_duckdb(self, session: shotdex.Session) -> None:
        table = session.sql("SELECT 1::SMALLINT AS a, NULL::DATE AS b, [1.5::FLOAT] AS c, 2 AS a").to_arrow()
        assert [str(kind) for kind in table.schema.types] == ["int16", "date32[day]", "list<l: float>", "int32"]
        assert table.column_names == ["a", "b", "c", "a_1"]

    def test_a_missing_package_is_named(self, session: shotdex.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "polars", None)
        with pytest.raises(shotdex.errors.ShotdexError, match="polars"):
            session.sql("SELECT 1").to_polars()


class TestEvaluation:
    def test_accuracy_is_the_share_of_right_predictions(self, session: shotdex.Session) -> None:
        run = session.run("photo")
        right = session.sql(
            "SELECT condition, avg(correct::INT), count(*) FROM outcomes WHERE run = 'photo' GROUP BY ALL"
        )
        expected = {name: (share, n) for name, share, n in right}
        found = run.accuracy(by="condition")
        assert {row.group: (pytest.approx(row.value), row.n) for row in found} == expected
        assert found["geons"].n == 64
        assert run.accuracy().n == 320
        assert all(row.low <= row.value <= row.high for row in found)
        with pytest.raises(KeyError, match="blurred"):
            found["nowhere"]

    def test_one_template_may_be_a_text(self, session: shotdex.Session) -> None:
        run = session.classify(["duck", "hat"], templates="a photo of a {}.", partial=True)
        try:
            assert run.prompts.classes["duck"] == ("a photo of a duck.",)
        finally:
            run.remove()
        with pytest.raises(errors.OptionError, match="classes are names"):
            session.classify({"duck": ["a duck"]})

    def test_runs_by_name(self, session: shotdex.Session) -> None:
        runs = session.runs()
        assert runs["names"].record.name == runs[0].name == "names"
        assert "accuracy@1" in repr(runs["names"])

    def test_compare_report_and_probe(self, session: shotdex.Session) -> None:
        compared = session.compare("names", "photo")
        assert (len(compared), compared[0].group, compared[0].a.n) == (1, "all", 320)
        first = compared[0].a
        assert f"{first.value:.3f} [{first.low:.3f}, {first.high:.3f}] n=320" in repr(compared)  # its own interval
        assert "95 % interval" not in repr(compared)
        report = session.report("names", by="condition", resamples=100)
        assert {row.group for row in report} >= {"all", "blurred"}
        assert report.details.run.name == "names"

    def test_a_baseline(self, session: shotdex.Session) -> None:
        session.import_baseline("toddlers")
        assert [row.name for row in session.baselines()] == ["toddlers"]
        verdicts = {row.condition: str(row.verdict) for row in session.compare_baseline("toddlers", "names")}
        assert verdicts["features"] == "worse"
        assert "0.540, no interval, n unknown" in repr(session.compare_baseline("toddlers", "names"))

    def test_the_model_says_what_it_is_made_of(self, session: shotdex.Session) -> None:
        lines = repr(session.describe()).splitlines()
        assert lines[0] == "demo: 4,490,497 parameters"
        assert lines[1].startswith(
            "  vision tower: 4 blocks of 789,760 parameters, width 256, 8 heads, MLP width 1,024"
        )

    def test_duplicates(self, session: shotdex.Session) -> None:
        found = session.duplicates(across="condition", limit=3)
        assert len(found) <= 3

    def test_figures(self, session: shotdex.Session) -> None:
        from matplotlib.figure import Figure

        assert isinstance(session.plot.confusion(run="photo"), Figure)
        assert isinstance(session.plot("topk"), Figure)
        with pytest.raises(shotdex.errors.OptionError, match="pie"):
            session.plot("pie")
        assert isinstance(session.search("a hat", k=2).sheet(), Figure)


@pytest.mark.parametrize(
    ("function", "wrong", "near"),
    [
        (shotdex.Session.index, "modle", "model"),
        (shotdex.Session.preview, "categores", "categories"),
        (shotdex.Session.search, "min_scor", "min_score"),
        (shotdex.Session.classify, "templats", "templates"),
        (shotdex.Session.report, "resample", "resamples"),
        (shotdex.Session.duplicates, "treshold", "threshold"),
        (shotdex.encode, "prt", "part"),
        (shotdex.reproduce, "modle", "model"),
        (shotdex.where, "cammera", "camera"),
    ],
)
def test_a_misspelt_keyword_is_an_error_that_names_near_ones(
    function: Callable[..., object], wrong: str, near: str, session: shotdex.Session
) -> None:
    first = () if function in (shotdex.encode, shotdex.reproduce, shotdex.where) else (session,)
    needed: dict[str, str] = {"part": "0/1", "out": "nowhere"} if function is shotdex.encode else {}
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{wrong}'. Did you mean '{near}'"):
        function(*first, "x", **{wrong: "x"}, **needed)


class TestPrompts:
    def test_a_sweep_and_a_check(self, session: shotdex.Session) -> None:
        swept = session.sweep_prompts(["a photo of a {}.", "{}"])
        assert {row.kind for row in swept} == {"all", "alone"}
        shipped = session.check_prompts("fashion-mnist-many")
        assert len(shipped) > 0

    def test_a_run_again_and_what_differs(self, session: shotdex.Session) -> None:
        assert session.rerun("names").identical
        assert {row.what for row in session.diff("names", "photo")} >= {"prompt set"}


class TestRemove:
    def test_a_session_searches_what_is_left(self, tmp_path: Path, session: shotdex.Session) -> None:
        shutil.copytree(session.path, tmp_path / "store")
        with shotdex.open(tmp_path / "store") as store:
            ducks = store.search("a duck", k=40)
            found = store.remove(where="category = 'duck'")
            assert (found.images, found.compacted) == (40, True)
            assert "duck" not in {hit.category for hit in store.search("a duck", k=40)}
            assert "duck" in {hit.category for hit in ducks}
            assert store.run("photo").accuracy().n == 280
            assert all(check.ok for check in store.verify())
