"""The command line, through the same `main` as the installed script, on a store made by it."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shotdex.store.store import Store
from tests.conftest import COLOURS, Ran, index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour, save_noise

from .checks import strict_json

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> Path:
    """A folder with images and a store `.shotdex`, made with a random CLIP, with one run."""
    from shotdex.analysis.classify import Classification, classify
    from shotdex.analysis.prompts.build import from_names
    from shotdex.models.transformers_encoder import EncoderOptions, load_encoder

    folder = tmp_path_factory.mktemp("made")
    for i, colour in enumerate(COLOURS * 2):
        save_noise(folder / "pics" / f"cond{i % 2}" / f"{colour.title()}{i}.png", seed=i)
    (folder / "pics" / "cond0" / "broken.png").write_bytes(b"")
    encoder = load_encoder(str(clip_folder), EncoderOptions("cpu"))
    store = Store.create(folder / ".shotdex")
    index(store, folder / "pics", encoder, "{condition}/{category}*", COLOURS)  # type: ignore[arg-type]
    classify(store, Classification(from_names(COLOURS), name="bare"), lambda _: encoder)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working folder; its images stay where they were."""
    shutil.copytree(made / ".shotdex", tmp_path / ".shotdex")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(ran: Ran, status: int, *words: str) -> None:
    assert ran.status == status, ran
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for word in words:
        assert word in ran.err


class TestIndex:
    """shotdex index"""

    def test_a_folder_then_again(self, shotdex: Run, colours: Path, clip_folder: Path, tmp_path: Path) -> None:
        (colours / "plain" / "bad.png").write_bytes(b"")
        (colours / "plain" / "notes.txt").write_text("x")
        arguments = ("index", colours, "--store", tmp_path / "s", "--layout", "{condition}/{category}*")
        listed = ("--categories", "red,green,blue,yellow")
        first = shotdex(*arguments, *listed, "--model", clip_folder, "--device", "cpu")
        assert first.status == 0, first.err
        assert "10 added, 0 unchanged, 1 failed" in first.out
        assert "failed, empty file: 1" in first.out
        assert "1 other file" in first.out
        again = shotdex(*arguments, *listed, "--device", "cpu", "--json")
        report = strict_json(again.out)
        assert (again.status, report["added"], report["unchanged"], report["rejected"]) == (0, 0, 10, 1)
        assert report["failures"][0]["reason"] == "empty file"
        counted = shotdex(
            "sql",
            "SELECT category, count(*) FROM images GROUP BY 1 ORDER BY 1",
            "--store",
            tmp_path / "s",
            "--format",
            "csv",
        )
        assert counted.out == "category,count_star()\nblue,2\ngreen,2\nred,2\nyellow,2\n,2\n"

    def test_the_assumed_layout_is_said(self, shotdex: Run, tmp_path: Path, clip_folder: Path) -> None:
        for split in ("train", "test"):
            for category in ("cat", "dog"):
                save_noise(tmp_path / "p" / split / category / "1.png", seed=len(split) + len(category) * 7)
        ran = shotdex(
            "index", tmp_path / "p", "--store", tmp_path / "s", "--model", clip_folder, "--condition", "plain"
        )
        assert ran.status == 0, ran.err
        assert "{split}/{category}/*" in ran.out
        rows = shotdex(
            "sql",
            "SELECT DISTINCT split, condition FROM images ORDER BY 1",
            "--store",
            tmp_path / "s",
            "--format",
            "csv",
        )
        assert rows.out == "split,condition\ntest,plain\ntrain,plain\n"

    def test_errors(self, shotdex: Run, tmp_path: Path, clip_folder: Path, colours: Path) -> None:
        at = ("--store", tmp_path / "s")
        failed(shotdex("index", tmp_path / "gone", *at), 1, "there is nothing at", "try:")
        (tmp_path / "none").mkdir()
        failed(shotdex("index", tmp_path / "none", *at), 1, "no images")
        failed(shotdex("index", colours, "--layout", "{colour}/*", *at), 2, "{colour}", "try:")
        failed(shotdex("index", colours, "--categories", " , ", *at), 2, "--categories is empty")
        failed(shotdex("index", colours, "--precision", "int8", *at), 2, "int8")
        failed(shotdex("index", colours, "--batch-size", "0", *at), 2)
        failed(shotdex("index"), 2, "SOURCE")
        assert not (tmp_path / "s").exists(), "nothing is made before the source is known to be good"

    def test_no_usable_image(self, shotdex: Run, tmp_path: Path, clip_folder: Path) -> None:
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "a\x07\rb.png").write_bytes(b"junk")
        ran = shotdex("index", tmp_path / "bad", "--store", tmp_path / "s", "--model", clip_folder)
        failed(ran, 1, "none of the 1 images", "failures")
        assert "\x07" not in ran.err
        assert "\r" not in ran.err

    def test_without_hub(self, shotdex: Run, tmp_path: Path, colours: Path) -> None:
        ran = shotdex("index", colours, "--store", tmp_path / "s", "--model", "openai/clip-vit-base-patch32")
        failed(ran, 1, "openai/clip-vit-base-patch32", "hf download openai/clip-vit-base-patch32", "--model demo")
        assert not (tmp_path / "s").exists()

    def test_a_store_of_several_encoders(self, shotdex: Run, here: Path, made: Path, siglip_folder: Path) -> None:
        source = (made / "pics", "--layout", "{condition}/{category}*", "--categories", ",".join(COLOURS))
        ran = shotdex("index", *source, "--model", siglip_folder)
        assert "10 unchanged and encoded with another model" in ran.out, ran.err
        failed(shotdex("index", *source), 2, "several encoders", "--model")
        failed(shotdex("search", "red"), 2, "several encoders", "--model")
        by_number = shotdex("search", "red", "--model", "2", "--format", "paths")
        assert by_number.status == 0, by_number.err
        assert shotdex("search", "red", "--model", siglip_folder, "--format", "paths").out == by_number.out


def test_a_local_model_is_found_by_its_relative_path(
    shotdex: Run, clip_folder: Path, tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(clip_folder, tmp_path / "models" / "mine")
    first = shotdex("index", colours, "--model", "models/mine", "--store", "s")
    assert first.status == 0, first.err
    ran = shotdex("search", "red", "--model", "models/mine", "--store", "s")
    assert ran.status == 0, ran.err


class TestSearch:
    """shotdex search"""

    def test_formats_agree(self, shotdex: Run, here: Path, made: Path) -> None:
        hits = strict_json(shotdex("search", "a red thing", "-k", "4", "--json").out)
        assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
        lines = shotdex("search", "a red thing", "-k", "4", "--format", "jsonl").out.splitlines()
        assert [strict_json(line) for line in lines] == hits
        paths = shotdex("search", "a red thing", "-k", "4", "--format", "paths").out.splitlines()
        assert paths == [hit["path"] for hit in hits]
        table = shotdex("search", "a red thing", "-k", "4").out.splitlines()
        assert table[0].split() == ["rank", "cosine", "z", "category", "condition", "path"]
        assert [line.split()[1] for line in table[2:]] == [f"{hit['score']:.4f}" for hit in hits]

    def test_an_image_finds_itself_only_if_asked(self, shotdex: Run, here: Path, made: Path) -> None:
        path = made / "pics" / "cond1" / "Green1.png"
        hits = strict_json(shotdex("search", "--image", path, "--with-itself", "--json").out)
        assert (hits[0]["path"], hits[0]["score"]) == (str(path), pytest.approx(1, abs=1e-5))
        others = strict_json(shotdex("search", path, "-k", len(hits) - 1, "--json").out)
        assert [hit["path"] for hit in others] == [hit["path"] for hit in hits[1:]]
        like = shotdex("search", "--like", f"#{hits[0]['image_id']}", "-k", len(hits) - 1, "--json").out
        assert strict_json(like) == others

    def test_words_without_a_command(
        self, shotdex: Run, here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        want = shotdex("search", "a red thing").out
        assert shotdex("a red thing").out == shotdex("a", "red", "thing").out == want != ""
        assert shotdex("red", "-", "blue", "-k", "3").out == shotdex("search", "red", "-", "blue", "-k", "3").out
        assert "the command is called 'search'" in shotdex("serch").err
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        failed(shotdex("serch"), 2, "Did you mean 'search'?")
        failed(shotdex("serch", "red"), 2, "Did you mean 'search'?")
        failed(shotdex("a red thing"), 1, "there is no store")
        assert shotdex("red", "--store", here / ".shotdex").status == 0

    def test_parts_of_a_query(self, shotdex: Run, here: Path) -> None:
        sums = [
            strict_json(shotdex("search", *words, "--json").out)
            for words in (("2:red", "+", "-1:blue"), ("2:red", "-", "blue"), ("-1:blue", "+", "2:red"))
        ]
        assert sums[0] == sums[1] == sums[2]
        failed(shotdex("search", "red", "-", "red"), 1, "cancel each other out")
        failed(shotdex("search", "red", "-"), 1, "nothing follows the -")
        failed(shotdex("search", "--like", "red"), 2, "not the id of an image")
        failed(shotdex("search", "nowhere.png"), 1, "nowhere.png cannot be read: there is no such file")
        assert "to subtract" in shotdex("search", "red - blue").err

    def test_one_list_of_formats_and_fields(self, shotdex: Run, here: Path) -> None:
        hits = strict_json(shotdex("search", "red", "-k", "3", "--json").out)
        search = ("search", "red", "-k", "3", "--fields", "path,cosine")
        wanted = [{"path": hit["path"], "cosine": hit["cosine"]} for hit in hits]
        assert strict_json(shotdex(*search, "--json").out) == wanted
        for form, delimiter in (("csv", ","), ("tsv", "\t")):
            rows = list(csv.DictReader(shotdex(*search, "--format", form).out.splitlines(), delimiter=delimiter))
            assert [(row["path"], float(row["cosine"])) for row in rows] == [tuple(row.values()) for row in wanted]
        lines = shotdex(*search, "--format", "markdown").out.splitlines()
        assert [line.count("|") for line in lines] == [3] * 5
        failed(
            shotdex("search", "red", "--fields", "path,cosin"),
            2,
            "no field 'cosin'",
            "did you mean cosine?",
            "image_id",
        )
        failed(shotdex("search", "red", "-0", "--json"), 2, "--print0")
        failed(shotdex("search", "red", "-0", "--fields", "path"), 2, "--fields")

    def test_links_and_the_viewer(
        self, shotdex: Run, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hits = strict_json(shotdex("search", "red", "-k", "3", "--json").out)
        for _ in range(2):
            ran = shotdex("search", "red", "-k", "3", "--link-to", tmp_path / "links")
            assert "linked 3 of 3 images" in ran.err
        links = sorted((tmp_path / "links").iterdir())
        assert [str(link.resolve()) for link in links[::2]] == [hit["path"] for hit in hits]
        assert len(links) == 6 and all(link.is_symlink() for link in links)
        (tmp_path / "bin").mkdir()
        viewer = tmp_path / "bin" / "xdg-open"
        viewer.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/seen\n')
        viewer.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        assert shotdex("search", "red", "-k", "3", "--open").status == 0
        assert (tmp_path / "seen").read_text().splitlines() == [hit["path"] for hit in hits]

    def test_filter_and_sheet(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("search", "red", "--where", "condition = 'cond1'", "--sheet", "out.png", "--json")
        assert len(strict_json(ran.out)) == 5
        assert {hit["condition"] for hit in strict_json(ran.out)} == {"cond1"}
        assert "wrote out.png" in ran.err
        with Image.open(here / "out.png") as sheet:
            assert min(sheet.size) > 100
        empty = shotdex("search", "red", "--where", "false")
        assert (empty.status, empty.out) == (0, "")
        assert "no image passes the filter" in empty.err

    def test_errors(self, shotdex: Run, here: Path) -> None:
        failed(shotdex("search"), 1, "query is empty", "try:")
        failed(shotdex("search", "red", "-k", "0"), 2)
        failed(shotdex("search", "red", "--where", "nonsense = 1"), 1, "nonsense", "shotdex sql --schema")
        failed(shotdex("search", "--image", "gone.png"), 1, "gone.png")
        failed(shotdex("search", "red", "--model", "third"), 1, "third")
        failed(shotdex("search", "red", "--format", "xml"), 2, "xml")
        failed(shotdex("search", "red", "--store", "nowhere"), 1, "no store at nowhere", "shotdex index")

    def test_a_model_whose_files_changed(self, shotdex: Run, tmp_path: Path, colours: Path) -> None:
        from tests.support.models import save_random_clip

        save_random_clip(tmp_path / "m", seed=3)
        at = ("--store", tmp_path / "s")
        labels = ("--layout", "{condition}/{category}*")
        assert shotdex("index", colours, "--model", tmp_path / "m", *labels, *at).status == 0
        before = shotdex("search", "a red one", *at)
        save_random_clip(tmp_path / "m", seed=4)
        image = save_noise(tmp_path / "new.png", seed=9)
        failed(shotdex("search", "--image", image, *at), 1, "changed since", "shotdex index")
        # The text side is kept beside the vectors, so texts still get the vectors that belong to these.
        assert shotdex("search", "a red one", "-k", "10", *at).out == before.out != ""
        assert shotdex("classify", *at).status == 0
        next((tmp_path / "s" / "index").glob("text-*")).unlink()
        failed(shotdex("search", "another", *at), 1, "changed since", "shotdex index")
        failed(shotdex("classify", "--template", "the {}", *at), 1, "changed since")


class TestClassify:
    """shotdex classify, runs"""

    def test_bare_names(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--name", "mine")
        assert ran.status == 0, ran.err
        assert "run mine: prompts 'bare names', 5 for 5 classes" in ran.out
        assert "images: indexed 10, failed 1, unlabelled 0, of another category 0; evaluated 10" in ran.out
        assert "not scored: " in ran.out and "if those 1 counted as errors, accuracy@1 would be 0.182" in ran.out
        for group, names in (("condition", ["cond0", "cond1"]), ("category", sorted(COLOURS))):
            rows = [line.split() for line in ran.out.splitlines() if line.startswith(group)]
            assert [row[1] for row in rows] == names
        overall = next(line.split() for line in ran.out.splitlines() if line.startswith("all"))
        answer = strict_json(shotdex("sql", "SELECT n, accuracy FROM accuracy WHERE run = 'mine'", "--json").out)[0]
        assert (overall[-1], overall[1]) == ("10", f"{answer['accuracy']:.3f}")

    def test_json_templates_and_files(self, shotdex: Run, here: Path) -> None:
        ran = shotdex(
            "classify",
            "--template",
            "a {}",
            "--template",
            "the {}",
            "--classes",
            "red,blue",
            "--partial",
            "-k",
            "9",
            "--json",
        )
        found = strict_json(ran.out)
        assert found["prompts"]["classes"] == {"red": ["a red", "the red"], "blue": ["a blue", "the blue"]}
        assert (found["run"]["k"], found["run"]["outside"], found["accuracy"]["n"]) == (2, 6, 4)
        (here / "p.toml").write_text(
            'name = "mine"\ncombine = "max"\nclasses = {red = ["red", "rot"], blue = "blue"}\n'
        )
        found = strict_json(
            shotdex("classify", "--prompts", "p.toml", "--where", "condition = 'cond0'", "--partial", "--json").out
        )
        assert (found["prompts"]["name"], found["prompts"]["combine"], found["run"]["images"]) == ("mine", "max", 5)
        listed = strict_json(shotdex("runs", "--json").out)
        assert [entry["run"]["name"] for entry in listed] == ["bare", "run-2", "run-3"]
        table = shotdex("runs").out.splitlines()
        assert [line.split()[1] for line in table[2:]] == ["bare", "run-2", "run-3"]

    def test_errors(self, shotdex: Run, here: Path) -> None:
        failed(shotdex("classify", "--name", "bare"), 2, "already a run named 'bare'", "try:")
        failed(shotdex("classify", "--classes", "cat,dog"), 1, "cat, dog")
        failed(shotdex("classify", "--classes", ","), 2, "--classes is empty")
        failed(shotdex("classify", "--classes", "red"), 2, "1 class")
        failed(shotdex("classify", "--template", "no hole"), 2, "needs one {}")
        failed(shotdex("classify", "--prompts", "gone.toml"), 2, "gone.toml")
        failed(shotdex("classify", "--prompts", "p.toml", "--classes", "a,b"), 2, "--prompts")
        failed(shotdex("classify", "--where", "category IS NULL"), 1, "no images to classify")

    def test_the_record_of_one_run(self, shotdex: Run, here: Path) -> None:
        shotdex("classify", "--name", "mine", "--where", "condition = 'cond0'")
        ran = shotdex("runs", "mine")
        assert ran.status == 0, ran.err
        shown = dict(line.split("  ", 1) for line in ran.out.splitlines())
        shown = {name.strip(): text.strip() for name, text in shown.items()}
        kept = strict_json(shotdex("runs", "mine", "--json").out)
        assert shown["command"] == "shotdex classify --name mine --where 'condition = '\"'\"'cond0'\"'\"''"
        assert shown["filter"] == kept["run"]["where"] == "condition = 'cond0'"
        for name in ("data_sha256", "labels_sha256"):
            assert len(kept["run"][name]) == 64 and shown[name.replace("_", " ")] == kept["run"][name]
        assert shown["prompts sha256"] == kept["prompts"]["sha256"]
        assert shown["weights sha256"] == kept["encoder"]["weights_sha256"]
        assert f"duckdb {kept['run']['versions']['duckdb']}" in shown["versions"]
        failed(shotdex("runs", "yours"), 2, "no run 'yours'")

    def test_no_runs(self, shotdex: Run, store: Store) -> None:
        ran = shotdex("runs", "--store", store.root)
        assert (ran.status, ran.out) == (0, "")
        assert "shotdex classify" in ran.err
        assert strict_json(shotdex("runs", "--store", store.root, "--json").out) == []


class TestSql:
    """shotdex sql"""

    SELECT = "SELECT * FROM (VALUES (1, 'a,\"b', NULL), (2, 'ü\n', 0.5::DOUBLE)) AS t(n, s, x) ORDER BY n"

    def test_formats(self, shotdex: Run, here: Path) -> None:
        want = [{"n": 1, "s": 'a,"b', "x": None}, {"n": 2, "s": "ü\n", "x": 0.5}]
        assert strict_json(shotdex("sql", self.SELECT, "--json").out) == want
        jsonl = shotdex("sql", self.SELECT, "--format", "jsonl").out.splitlines()
        assert [strict_json(line) for line in jsonl] == want
        rows = list(csv.reader(io.StringIO(shotdex("sql", self.SELECT, "--format", "csv").out)))
        assert rows == [["n", "s", "x"], ["1", 'a,"b', ""], ["2", "ü\n", "0.5"]]
        ran = shotdex("sql", self.SELECT)
        assert ran.out == 'n  s        x\n-  ----  ----\n1  a,"b  NULL\n2  ü\\n    0.5\n'
        assert ran.err == "2 rows\n"

    def test_numbers_stay_numbers_in_json(self, shotdex: Run, here: Path) -> None:
        select = "SELECT 1.5 AS literal, 0.1::DECIMAL(9,2) AS money, 7::HUGEINT AS huge, true AS yes"
        want = {"literal": 1.5, "money": 0.1, "huge": 7, "yes": True}
        assert strict_json(shotdex("sql", select, "--json").out) == [want]

    def test_json_is_json(self, shotdex: Run, here: Path) -> None:
        select = (
            "SELECT 'inf'::DOUBLE AS i, 'nan'::DOUBLE AS n, DATE '2026-01-02' AS d, [1, NULL] AS l, "
            "{'a': 1} AS s, 'x'::BLOB AS b, INTERVAL 1 DAY AS t"
        )
        found = strict_json(shotdex("sql", select, "--json").out)[0]
        assert (found["n"], found["d"], found["l"], found["s"]) == (None, "2026-01-02", [1, None], {"a": 1})

    def test_columns_of_the_same_name_are_all_in_json(self, shotdex: Run, here: Path) -> None:
        found = strict_json(shotdex("sql", "SELECT 1 AS a, 2 AS a", "--json").out)
        assert sorted(found[0].values()) == [1, 2]

    def test_no_rows(self, shotdex: Run, here: Path) -> None:
        assert shotdex("sql", "SELECT 1 AS a WHERE false").out == "a\n-\n"
        assert shotdex("sql", "SELECT 1 AS a WHERE false", "--json").out == "[]\n"
        assert shotdex("sql", "SELECT 1 AS a WHERE false", "--format", "csv").out == "a\n"

    def test_errors(self, shotdex: Run, here: Path) -> None:
        failed(shotdex("sql", "SELEC 1"), 1, "DuckDB refuses", "try:")
        failed(shotdex("sql", "DROP TABLE runs"), 1, "read-only")
        failed(shotdex("sql", "FROM 'secret.csv'"), 1)
        failed(shotdex("sql"), 2, "STATEMENT")

    def test_control_characters_do_not_reach_the_terminal(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("sql", "SELECT 'a' || chr(7) || chr(27) || '[31m' || chr(13) || chr(155) || chr(8238) AS s")
        assert ran.out.splitlines()[2] == r"a\x07\x1b[31m\r\x9b\u202e"


class TestPlot:
    """shotdex plot"""

    @pytest.mark.parametrize("kind", ["samples", "counts", "accuracy", "confusion", "topk"])
    def test_each(self, shotdex: Run, here: Path, kind: str) -> None:
        ran = shotdex("plot", kind, "--out", "x.png")
        assert ran.status == 0, ran.err
        assert "wrote x.png" in ran.err
        with Image.open(here / "x.png") as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 10

    def test_map_is_kept(self, shotdex: Run, here: Path) -> None:
        how = ("plot", "map", "--method", "tsne", "--space", "vision", "--out", "m.png")
        first = shotdex(*how)
        assert first.status == 0, first.err
        assert "projected 10 images" in first.err
        again = shotdex(*how, "--color", "correct", "--thumbnails")
        assert "coordinates from the store" in again.err, again.err

    def test_a_image_that_cannot_be_written_is_refused_before_any_work(self, shotdex: Run, here: Path) -> None:
        for target in ("x.gif", "nowhere/x.png"):
            ran = shotdex("plot", "map", "--out", target)
            failed(ran, 2, target.split("/")[0])
            assert "projected" not in ran.err
            failed(shotdex("search", "red", "--sheet", target), 2, target.split("/")[0])

    def test_counts_are_printed(self, shotdex: Run, here: Path) -> None:
        lines = shotdex("plot", "counts").out.splitlines()
        assert lines[0].split() == ["category", "cond0", "cond1", "all"]
        assert lines[2].split() == ["blue", "1", "1", "2"]

    def test_errors(self, shotdex: Run, here: Path, store: Store) -> None:
        failed(shotdex("plot", "accuracy", "--run", "gone"), 2, "gone", "bare")
        failed(shotdex("plot", "pie"), 2, "pie")
        failed(shotdex("plot", "topk", "--store", store.root), 2, "no runs yet")
        failed(shotdex("plot", "counts", "--store", store.root), 1, "shotdex index")
        failed(shotdex("plot", "map", "--store", store.root), 1, "shotdex index")
        failed(shotdex("plot", "counts", "--where", "nonsense = 1"), 1, "nonsense")
        ran = shotdex("plot", "confusion", "--out", "x.unknown")
        assert ran.status in (1, 2)
        assert "Traceback" not in ran.err
        ran = shotdex("plot", "confusion", "--out", "no/such/folder/x.png")
        assert ran.status in (0, 1, 2)


class TestStatus:
    """shotdex status"""

    def test_text(self, shotdex: Run, here: Path, made: Path) -> None:
        ran = shotdex("status")
        assert ran.status == 0
        for line in (
            "images 10", "failures 1: 1 empty file", "runs 1: bare", "condition: cond0 5, cond1 5",
            "category: blue 2, green 2, red 2, white 2, yellow 2",
        ):  # fmt: skip
            assert line in ran.out.splitlines()
        assert "10 images, index " in ran.out

    def test_json(self, shotdex: Run, here: Path) -> None:
        found = strict_json(shotdex("status", "--json").out)
        assert (found["images"], found["failures"], found["removed"]) == (10, {"empty file": 1}, 0)
        assert found["encoders"][0]["images"] == 10
        assert found["encoders"][0]["index_bytes"] > 0
        assert found["catalog_bytes"] > 0
        assert found["storage_version"] == "v1.2.0"

    def test_no_store(self, shotdex: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        failed(shotdex("status"), 1, "there is no store in", "try:", "shotdex index")

    def test_the_environment_names_a_store(
        self, shotdex: Run, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Store.create(tmp_path / "other")
        monkeypatch.setenv("SHOTDEX_STORE", str(tmp_path / "other"))
        assert strict_json(shotdex("status", "--json").out)["images"] == 0
        assert strict_json(shotdex("status", "--json", "--store", here / ".shotdex").out)["images"] == 10

    def test_a_corrupt_store(self, shotdex: Run, here: Path) -> None:
        (here / ".shotdex" / "catalog.duckdb").write_bytes(b"junk")
        failed(shotdex("status"), 1, "cannot be read", "try:")


class TestGroup:
    """What holds for the whole command line."""

    @pytest.mark.parametrize(("typed", "meant"), [("serach", "search"), ("clasify", "classify"), ("stats", "status")])
    def test_typos(self, shotdex: Run, typed: str, meant: str) -> None:
        failed(shotdex(typed), 2, f"Did you mean {meant!r}?")

    def test_unknown_options(self, shotdex: Run) -> None:
        failed(shotdex("status", "--jsn"), 2, "--jsn", "--json")
        failed(shotdex("zzzzzzz"), 2, "zzzzzzz")

    def test_no_command(self, shotdex: Run) -> None:
        ran = shotdex()
        assert (ran.status, ran.err) == (0, "")
        assert "Commands:" in ran.out

    def test_interruption(self, shotdex: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("shotdex.upkeep.status.status", interrupt)
        failed(shotdex("status"), 130, "interrupted")

    def test_a_defect_stays_a_traceback(self, shotdex: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("shotdex.upkeep.status.status", broken)
        with pytest.raises(ZeroDivisionError):
            shotdex("status")

    def test_a_reader_that_stops_is_no_error(self, here: Path) -> None:
        command = [
            sys.executable,
            "-c",
            "from shotdex.cli import main; main()",
            "sql",
            "FROM range(200000)",
            "--format",
            "csv",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "range\n"
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == 0

    def test_odd_names_of_files(self, shotdex: Run, store: Store, fake: FakeEncoder, tmp_path: Path) -> None:
        save_colour(tmp_path / "odd" / "a\nb\x1b[31m\x07.png", "red")
        index(store, tmp_path / "odd", fake)
        ran = shotdex("sql", "SELECT path FROM images", "--store", store.root)
        assert ran.out.splitlines()[2].endswith(r"a\nb\x1b[31m\x07.png")
        found = strict_json(shotdex("sql", "SELECT path FROM images", "--store", store.root, "--json").out)
        assert found[0]["path"].endswith("a\nb\x1b[31m\x07.png")
        assert "\x07" not in shotdex("status", "--store", store.root).out
