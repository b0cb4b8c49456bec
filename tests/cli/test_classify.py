"""`shotdex classify`: published prompts, aliases, and what it says of the images that it could not score."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shotdex.analysis.stats.proportions import describe, wilson
from shotdex.store.store import Store
from tests.conftest import COLOURS, Ran, index
from tests.support.images import save_noise

Run = Callable[..., Ran]

LABELS = ("red", "green", "blue", "azure", "sky blue", "plaid")
TEMPLATES = {"colours": ["a photo of a {c} thing.", "{c}"], "other": ["the {c}"]}
NAMES = {"colours": ["red", "green", "blue"], "birds": ["duck", "owl"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> Path:
    """A store of 60 images of noise under six labels, one without, seven broken ones; a random CLIP."""
    from shotdex.models.transformers_encoder import EncoderOptions, load_encoder

    folder = tmp_path_factory.mktemp("made")
    for i in range(60):
        save_noise(folder / "pics" / ("odd" if i % 2 else "even") / LABELS[i % 6] / f"{i}.png", seed=i)
    for i in range(7):
        (folder / "pics" / "even" / "red" / f"broken{i}.png").write_bytes(b"junk" if i else b"")
    store, encoder = Store.create(folder / "store"), load_encoder(str(clip_folder), EncoderOptions("cpu"))
    index(store, folder / "pics", encoder, "{condition}/{category}/*")  # type: ignore[arg-type]
    index(store, save_noise(folder / "more" / "x.png", 999).parent, encoder, "*")  # type: ignore[arg-type]
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working folder, with published files in it."""
    shutil.copytree(made / "store", tmp_path / ".shotdex")
    (tmp_path / "t.json").write_text(json.dumps(TEMPLATES))
    (tmp_path / "n.json").write_text(json.dumps(NAMES))
    (tmp_path / "classnames.txt").write_text("red\ngreen\nblue\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(sql: str) -> list[tuple[Any, ...]]:
    with Store(Path(".shotdex")).reading() as con:
        return con.rows(sql)


def done(ran: Ran) -> Any:
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def predictions(name: str) -> list[tuple[Any, ...]]:
    return rows(
        "SELECT image_id, rank, p.category, prompt, cosine FROM predictions p JOIN runs USING (run_id) "
        f"WHERE name = '{name}' ORDER BY image_id, rank"
    )


class TestPublished:
    """Class names and templates from files, as they are."""

    def test_both(self, shotdex: Run, here: Path) -> None:
        given = ("--template", "t.json#colours", "--classes", "n.json#colours", "--name", "published", "--partial")
        found = done(shotdex("classify", *given, "--json"))
        assert found["prompts"]["classes"]["red"] == ["a photo of a red thing.", "red"]
        assert found["prompts"]["templates"] == ["a photo of a {} thing.", "{}"]
        assert (found["prompts"]["name"], found["prompts"]["source"]) == ("n.json#colours, t.json#colours",) * 2
        assert found["prompts"]["combine"] == "mean"
        by_hand = (
            "--template",
            "a photo of a {} thing.",
            "--template",
            "{}",
            "--classes",
            "red,green,blue",
            "--partial",
        )
        other = done(shotdex("classify", *by_hand, "--name", "hand", "--json"))
        assert other["prompts"]["sha256"] == found["prompts"]["sha256"]
        assert (other["prompts"]["name"], other["prompts"]["source"]) == ("a photo of a {} thing. | {}", "command line")
        assert predictions("published") == predictions("hand")
        assert len(predictions("hand")) == 61 * 3
        settings = json.loads(rows("SELECT settings FROM runs WHERE name = 'published'")[0][0])
        assert (settings["templates"], settings["classes"]) == (["t.json#colours"], "n.json#colours")

    def test_one_or_the_other(self, shotdex: Run, here: Path) -> None:
        found = done(shotdex("classify", "--template", "t.json#other", "--classes", "red,blue", "--partial", "--json"))
        assert found["prompts"]["classes"] == {"red": ["the red"], "blue": ["the blue"]}
        assert (found["prompts"]["name"], found["prompts"]["source"]) == ("t.json#other", "t.json#other")
        listed = ("--classes", f"{here}/classnames.txt", "--partial")
        found = done(shotdex("classify", "--template", "my {}", *listed, "--json"))
        assert list(found["prompts"]["classes"].values()) == [["my red"], ["my green"], ["my blue"]]
        assert (found["prompts"]["name"], found["prompts"]["source"]) == ("classnames.txt", f"{here}/classnames.txt")
        found = done(shotdex("classify", "--template", "t.json#other", "--json"))
        assert list(found["prompts"]["classes"]) == sorted(LABELS), "the classes are the indexed categories"

    def test_a_published_set_as_prompts(self, shotdex: Run, here: Path) -> None:
        found = done(shotdex("classify", "--prompts", "n.json#colours", "--partial", "--json"))
        assert found["prompts"]["classes"] == {"red": ["red"], "green": ["green"], "blue": ["blue"]}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--template", "t.json#colors"), ("no set 'colors'", "colours, other")),
            (("--classes", "n.json"), ("holds 2 sets", "colours, birds")),
            (("--classes", "gone.json#x"), ("gone.json cannot be read",)),
            (("--template", "gone.txt"), ("gone.txt cannot be read",)),
            (("--prompts", "n.json#colours", "--classes", "n.json#colours"), ("--prompts",)),
        ],
    )
    def test_errors(self, shotdex: Run, here: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
        ran = shotdex("classify", *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert "Traceback" not in ran.err
        assert all(word in ran.err for word in words)
        assert rows("FROM runs") == []

    def test_classes_that_no_image_has(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--classes", "n.json#birds")
        assert (ran.status, ran.out) == (1, "")
        assert "the classes are duck, owl" in ran.err
        assert "[aliases]" in ran.err


def test_prompts_that_a_run_used_are_used_again_by_name(shotdex: Run, here: Path) -> None:
    two = ("--classes", "red,green", "--template", "a {} wall", "--partial")
    assert shotdex("classify", *two, "--name", "first").status == 0
    again = done(shotdex("classify", "--prompts", "a {} wall", "--name", "again", "--partial", "--json"))
    by_digest = done(shotdex("classify", "--prompts", again["prompts"]["sha256"][:10], "--partial", "--json"))
    assert again["prompts"] == by_digest["prompts"]
    assert rows("SELECT DISTINCT prompt_set_id FROM runs") == [(1,)]
    assert predictions("first") == predictions("again")
    ran = shotdex("classify", "--prompts", "a {} fence")
    assert (ran.status, "a {} fence" in ran.err) == (2, True)


ALIASED = """
classes = ["red", "green", "blue"]
[aliases]
blue = ["azure", "sky blue"]
"""


class TestAliases:
    """Several labels of one class."""

    MEANT = {name: name for name in ("red", "green", "blue")} | {"azure": "blue", "sky blue": "blue"}

    @pytest.fixture
    def judged(self, shotdex: Run, here: Path) -> Any:
        (here / "p.toml").write_text(ALIASED)
        return done(shotdex("classify", "--prompts", "p.toml", "--name", "aliased", "--partial", "--json"))

    def test_accuracy_is_that_of_a_count_by_hand(self, judged: Any) -> None:
        labels = dict(rows("SELECT image_id, category FROM images"))
        best = [(self.MEANT.get(labels[i]), category) for i, rank, category, *_ in predictions("aliased") if rank == 1]
        known = [(true, guess) for true, guess in best if true]
        assert len(known) == 50
        right = sum(true == guess for true, guess in known)
        assert (judged["accuracy"]["value"], judged["accuracy"]["n"]) == (right / 50, 50)
        for name in ("red", "green", "blue"):
            own = [guess == true for true, guess in known if true == name]
            assert (judged["by_category"][name]["value"], judged["by_category"][name]["n"]) == (
                sum(own) / len(own),
                len(own),
            )
        assert set(judged["by_category"]) == {"red", "green", "blue"}
        found = {(true, guess): n for true, guess, n in rows("SELECT category, predicted, images FROM confusion")}
        assert found == Counter(known)
        by_category = {row[0]: row[1:] for row in rows("SELECT category, n, correct FROM accuracy_by_category")}
        assert by_category == {
            name: (sum(t == name for t, _ in known), sum(t == g == name for t, g in known)) for name in self.MEANT
            if name == self.MEANT[name]
        }  # fmt: skip
        ranks = dict(rows("SELECT image_id, true_rank FROM outcomes WHERE correct IS NOT NULL"))
        for image_id, rank, category, *_ in predictions("aliased"):
            assert (ranks.get(image_id) == rank) == (self.MEANT.get(labels[image_id]) == category)

    def test_the_rest_is_counted(self, judged: Any) -> None:
        counts = {"indexed": 61, "failed": 7, "unlabelled": 1, "other": 10, "evaluated": 50}
        assert judged["coverage"] == counts | {"categories": [5, 6]}
        assert judged["prompts"]["aliases"] == {"blue": ["azure", "sky blue"]}

    def test_without_them_the_labels_are_of_no_class(self, shotdex: Run, here: Path, judged: Any) -> None:
        (here / "q.toml").write_text(ALIASED.split("[")[0] + '["red", "green", "blue"]')
        plain = done(shotdex("classify", "--prompts", "q.toml", "--name", "plain", "--partial", "--json"))
        assert (plain["coverage"]["other"], plain["coverage"]["evaluated"]) == (30, 30)
        assert plain["prompts"]["sha256"] != judged["prompts"]["sha256"]
        assert predictions("plain") == predictions("aliased"), "aliases change what is right, not what is predicted"


class TestHeader:
    """What the accuracy does and does not speak of."""

    def test_what_is_missing_is_counted_and_listed(self, shotdex: Run, here: Path, made: Path) -> None:
        ran = shotdex("classify", "--classes", "red,green,blue", "--name", "mine", "--partial")
        lines = ran.out.splitlines()
        assert lines[:2] == [
            "run mine: prompts 'bare names', 3 for 3 classes",
            "images: indexed 61, failed 7, unlabelled 1, of another category 30; evaluated 30, 3 of 6 categories",
        ]
        assert lines[2:5] == [
            f"  10 images of category {name!r} match no class; a prompt file can define [aliases]"
            for name in ("azure", "plaid", "sky blue")
        ]
        assert lines[5:10] == [
            f"  not scored: {made}/pics/even/red/broken{i}.png (decode: {'not an image' if i else 'empty file'})"
            for i in range(5)
        ]
        assert lines[10] == '  and 2 more: shotdex sql "FROM failures"'
        correct = rows("SELECT correct FROM accuracy")[0][0]
        worst = describe(wilson(correct, 30 + 7))
        assert lines[11] == f"  if those 7 counted as errors, accuracy@1 would be {worst}"
        assert lines[12] == ""

    def test_json_has_them_all(self, shotdex: Run, here: Path) -> None:
        found = done(shotdex("classify", "--classes", "red,green,blue", "--partial", "--json"))
        assert [Path(path).name for path, *_ in found["not_scored"]] == [f"broken{i}.png" for i in range(7)]
        assert found["coverage"]["failed"] == found["run"]["failed"] == 7
        assert found["beyond_filter"] == 0

    def test_a_filter_cannot_speak_of_what_was_never_indexed(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--where", "condition = 'odd'")
        lines = ran.out.splitlines()
        assert lines[1] == "images: indexed 30, failed 0, unlabelled 0, of another category 0; evaluated 30"
        assert lines[2].startswith("  3 of 6 classes have no image in the filter: blue, red, sky blue; ")
        assert lines[3] == (
            "  7 images could not be indexed, and a filter cannot say whether they belong here: "
            'shotdex sql "FROM failures"'
        )
        assert "counted as errors" not in ran.out
        assert done(shotdex("classify", "--where", "condition = 'odd'", "--json"))["beyond_filter"] == 7

    def test_images_without_a_vector_of_the_encoder(
        self, shotdex: Run, here: Path, made: Path, siglip_folder: Path
    ) -> None:
        some = ("index", made / "pics" / "even" / "red", "--layout", "*", "--category", "red")
        assert shotdex(*some, "--model", siglip_folder).status == 0
        ran = shotdex("classify", "--model", siglip_folder, "--where", "category = 'red' OR category = 'blue'")
        first = rows("SELECT count(*) FROM vectors_2")[0][0]
        missing = 20 - first
        assert missing > 5
        assert f"indexed {first}, failed {missing}, unlabelled 0, of another category 0; evaluated {first}" in ran.out
        assert ran.out.count("(encode: no vector of this encoder)") == 5
        assert f"  and {missing - 5} more\n" in ran.out
        assert f"if those {missing} counted as errors, accuracy@1 would be " in ran.out

    def test_no_category_at_all(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--where", "category IS NULL", "--classes", "red,blue")
        assert ran.status == 0
        assert "indexed 1, failed 0, unlabelled 1, of another category 0; evaluated 0" in ran.out
        assert ran.out.endswith("so there is no accuracy; see: shotdex sql 'FROM outcomes'\n")

    def test_nothing_missing_nothing_said(self, shotdex: Run, tmp_path: Path, clip_folder: Path) -> None:
        for i, colour in enumerate(COLOURS):
            save_noise(tmp_path / "p" / colour / f"{i}.png", seed=i)
        at = ("--store", tmp_path / "s")
        assert shotdex("index", tmp_path / "p", "--model", clip_folder, *at).status == 0
        lines = shotdex("classify", *at).out.splitlines()
        assert lines[1:3] == ["images: indexed 5, failed 0, unlabelled 0, of another category 0; evaluated 5", ""]


class TestClasses:
    """Which classes there are to choose among, and which categories have none."""

    def test_a_filter_does_not_make_the_task_easier(self, shotdex: Run, here: Path) -> None:
        whole = done(shotdex("classify", "--name", "whole", "--json"))
        kept = "category IN ('green', 'plaid')"
        ran = shotdex("classify", "--where", kept, "--name", "some")
        assert ran.status == 0, ran.err
        assert "run some: prompts 'bare names', 6 for 6 classes\n" in ran.out
        assert (
            "4 of 6 classes have no image in the filter: azure, blue, red, sky blue; "
            "to choose among the others on purpose: --classes green,plaid\n"
        ) in ran.out
        # The same images are right and wrong as among all of them: the filter took away images, not choices.
        inside = rows("SELECT image_id FROM images WHERE category IN ('green', 'plaid')")
        of_whole = dict(rows("SELECT image_id, correct FROM outcomes WHERE run = 'whole'"))
        assert dict(rows("SELECT image_id, correct FROM outcomes WHERE run = 'some'")) == {
            image_id: of_whole[image_id] for (image_id,) in inside
        }
        assert whole["classes_without_images"] == []

    def test_the_classes_that_it_prints_narrow_it(self, shotdex: Run, here: Path) -> None:
        given = ("--where", "category IN ('red', 'sky blue')")
        printed = shotdex("classify", *given).out.split("on purpose: ")[1].splitlines()[0]
        found = done(shotdex("classify", *given, *shlex.split(printed), "--json"))
        assert list(found["prompts"]["classes"]) == ["red", "sky blue"]
        assert (found["classes_without_images"], found["coverage"]["evaluated"]) == ([], 20)

    def test_of_a_prompt_set_it_prints_no_classes(self, shotdex: Run, here: Path) -> None:
        (here / "p.toml").write_text(ALIASED.replace('"blue"]', '"blue", "plaid"]', 1))
        ran = shotdex("classify", "--prompts", "p.toml", "--where", "category = 'azure'")
        assert "3 of 4 classes have no image in the filter: red, green, plaid; " in ran.out
        assert "leave these out of the prompt set" in ran.out

    def test_a_category_without_a_class_is_an_error_that_lists_all(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("classify", "--classes", "Red,green,blue,PLAID")
        assert (ran.status, ran.out) == (1, "")
        assert (
            "4 of 6 categories have no class: azure (10 images), plaid (10 images), red (10 images), "
            "sky blue (10 images); the classes are Red, green, blue, PLAID"
        ) in ran.err.replace("\n", " ")
        assert "\"plaid\" for 'PLAID', \"red\" for 'Red'" in ran.err and "--partial" in ran.err
        assert rows("FROM runs") == []

    def test_every_later_output_says_that_a_run_is_partial(self, shotdex: Run, here: Path) -> None:
        partial = ("--classes", "red,green", "--partial")
        assert "2 of 6 categories" in shotdex("classify", *partial, "--name", "a").out
        assert shotdex("classify", *partial, "--template", "a {}", "--name", "b").status == 0
        for command in (("runs",), ("runs", "a"), ("report", "a"), ("compare", "a", "b"), ("diff", "a", "b"),
                        ("rerun", "a")):  # fmt: skip
            assert "2 of 6 categories" in shotdex(*command).out, command
        for command in (("runs",), ("report", "a"), ("diff", "a", "b")):
            assert re.search(r'"categories": \[\s*2,\s*6\s*\]', shotdex(*command, "--json").out), command

    @pytest.mark.parametrize("option", ["--classes", "--prompts"])
    def test_lines_of_a_text_file_are_offered_as_prompts(self, shotdex: Run, here: Path, option: str) -> None:
        lines = [f'a "{name}" one' for name in sorted(LABELS)]
        (here / "my lines.txt").write_text("\n".join(lines))
        ran = shotdex("classify", option, "my lines.txt")
        assert (ran.status, ran.out) == (1, "")
        offered, _, file = ran.err.partition("[classes]\n")
        assert "as many lines as there are categories" in offered and "--prompts 'my lines.toml'" in offered
        (here / "my lines.toml").write_text("[classes]\n" + file)
        found = done(shotdex("classify", "--prompts", "my lines.toml", "--json"))
        assert found["prompts"]["classes"] == {name: [f'a "{name}" one'] for name in sorted(LABELS)}
        (here / "my lines.txt").write_text("\n".join(lines[1:]))
        assert "as many lines" not in shotdex("classify", option, "my lines.txt").err
